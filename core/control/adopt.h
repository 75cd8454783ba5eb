// What a virtual service that the kernel has would be as one of ours. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ipvs/driver.h"
#include "model/config.h"

namespace gorb::control {

// What an entry has that gorb has no word for ("one-packet scheduling", "a GUE tunnel"), "" for nothing. As
// one of gorb's it would lose that, so it can not become one.
std::string unspoken(const ipvs::ServiceRecord& service);
std::string unspoken(const ipvs::DestRecord& dest);
// That as a refusal; `entry` is what it is about: "10.0.0.1:80/tcp". Errc::exists.
base::Error not_adoptable(const std::string& entry, const std::string& unspoken);

// What an adoption changes about where clients go, "" for nothing: `sh` with other slots hashes them anew.
std::string note_on_adopted(const model::ConfigService& service);

// `name` "": made of the key, "tcp-10.0.0.1-80"; backends are called by their address, "10.1.0.1-80".
// Errc::exists where gorb has no word for it (firewall marks, SCTP, all that is unspoken()) or its rules
// refuse it, naming what it is. `pulses` nullopt: pulses_for_found().
base::Result<model::ConfigService> adopted(const ipvs::ServiceRecord& service,
                                           const std::vector<ipvs::DestRecord>& dests,
                                           const std::string& name,
                                           const std::optional<model::PulseList>& pulses);

}  // namespace gorb::control
