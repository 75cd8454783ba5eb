// The whole desired state as one document, in the form of GET /config, PUT /config, POST /plan, --import and
// the declarative files:
//
//   {"services": {"web": {"host": "10.0.0.1", "port": 80, "protocol": "tcp", ...,
//                         "backends": {"b1": {"host": "10.1.0.1", "port": 80, ...}}}}}
//
// A service and a backend have the fields that PUT takes for them (codec.h). "revision" beside "services" is
// accepted and means nothing here, so that what GET gives can be PUT again.
#pragma once
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/codec.h"
#include "model/service.h"
#include "model/snapshot.h"

namespace gorb::model {

struct ConfigService {
    Service spec;
    std::vector<Backend> backends;  // by name, ascending
    bool operator==(const ConfigService&) const = default;
};

struct Config {
    std::vector<ConfigService> services;  // by name, ascending
    bool operator==(const Config&) const = default;
};

inline constexpr size_t max_faults = 64;

// What a document says, checked as a whole: names, every field, no two services with the same address, port
// and protocol, no two backends of a service with the same address, backends that suit their service. Each
// fault has its JSON pointer ("/services/web/backends/b1/weight"); all of them at once, at most max_faults.
// Backends that are checked alike share one PulseList.
//
// Cost: about 11 us for each backend with a pulse, 5 us without (optimised, one core of 2 GHz or so).
base::Result<Config> read_config(std::string_view body, const Defaults& defaults);

// The member "services", into the object that is open: every option written out. With that one member it is
// what read_config() reads back to the same state.
void write_config_services(base::JsonWriter& out, const Snapshot& snapshot);

// The output of `ipvsadm -Sn` (ipvsadm(8), "save"): names are made of address and port ("tcp-10.0.0.1-80",
// "10.1.0.1-80"), pulses are pulses_for_found(). Faults point to the line ("line 3"). What gorb has no word
// for (firewall marks, SCTP, a persistence engine, one-packet scheduling, tunnels of another type than ipip)
// is a fault that says so: nothing is left out in silence.
base::Result<Config> read_ipvsadm(std::string_view text);

}  // namespace gorb::model
