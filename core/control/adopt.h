// What a virtual service that the kernel has would be as one of ours. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ipvs/driver.h"
#include "model/config.h"

namespace gorb::control {

// `name` "": made of the key, "tcp-10.0.0.1-80"; backends are called by their address, "10.1.0.1-80".
// Errc::unsupported where gorb has no word for it (firewall marks, SCTP, a forwarding method of its own),
// naming what it is. `pulses` nullopt: pulses_for_found().
base::Result<model::ConfigService> adopted(const ipvs::ServiceRecord& service,
                                           const std::vector<ipvs::DestRecord>& dests,
                                           const std::string& name,
                                           const std::optional<model::PulseList>& pulses);

}  // namespace gorb::control
