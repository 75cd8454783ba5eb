#include "control/adopt.h"

#include <linux/ip_vs.h>
#include <netinet/in.h>

#include <algorithm>
#include <numeric>

#include "model/rules.h"
#include "model/scheduler.h"

namespace gorb::control {
namespace {

using base::Errc;

std::string called(const base::Endpoint& address) {
    std::string name = address.ip.text() + "-" + std::to_string(address.port);
    std::ranges::replace(name, ':', '.');
    return name;
}

std::string in_words(const base::Fault& fault) {
    return "\"" + fault.pointer.substr(1) + "\" that is not as gorb wants it: it " + fault.what;
}

}  // namespace

std::string unspoken(const ipvs::ServiceRecord& service) {
    if (service.flags & IP_VS_SVC_F_ONEPACKET) return "one-packet scheduling (ipvsadm -o)";
    if (!service.pe_name.empty()) return "the persistence engine " + service.pe_name;
    const uint32_t others = service.flags & ~uint32_t{IP_VS_SVC_F_PERSISTENT | IP_VS_SVC_F_HASHED |
                                                      model::flag_fallback | model::flag_port};
    return others == 0 ? "" : "the flags " + std::to_string(others);
}

std::string unspoken(const ipvs::DestRecord& dest) {
    if ((dest.forwarding & IP_VS_CONN_F_FWD_MASK) > IP_VS_CONN_F_DROUTE)
        return "the forwarding method " + std::to_string(dest.forwarding & IP_VS_CONN_F_FWD_MASK);
    if (!dest.has_tunnel()) return {};
    if (dest.tunnel_type == IP_VS_CONN_F_TUNNEL_TYPE_GUE) return "a GUE tunnel";
    if (dest.tunnel_type == IP_VS_CONN_F_TUNNEL_TYPE_GRE) return "a GRE tunnel";
    return "options of its tunnel";
}

base::Error not_adoptable(const std::string& entry, const std::string& unspoken) {
    return {
        Errc::exists,
        entry + " can not be adopted: it has " + unspoken +
            ", which gorb has no word for and would take away from it: do that first, or leave it as it is",
        {},
        0};
}

std::string note_on_adopted(const model::ConfigService& service) {
    uint32_t divisor = 0, serve = 0;
    for (const model::Backend& backend : service.backends) {
        divisor = std::gcd(divisor, backend.weight);
        serve += backend.weight > 0 ? 1 : 0;
    }
    const bool hashes = model::scheduler_traits(service.spec.scheduler).slots > 0;
    if (!hashes || divisor <= 1 || serve < 2) return {};
    return "gorb gives the scheduler " + service.spec.scheduler +
           " weights divided by their greatest common divisor, " + std::to_string(divisor) +
           " here: its table is filled in another order by that, and new connections of many clients go to "
           "another backend than before";
}

base::Result<model::ConfigService> adopted(const ipvs::ServiceRecord& service,
                                           const std::vector<ipvs::DestRecord>& dests,
                                           const std::string& name,
                                           const std::optional<model::PulseList>& pulses) {
    const auto no = [&](const std::string& what) {
        return base::fail(Errc::exists, service.key.text() + " can not be adopted: " + what);
    };
    if (const std::string what = unspoken(service); !what.empty())
        return base::fail(not_adoptable(service.key.text(), what));
    if (service.key.fwmark != 0) return no("gorb has no virtual services by firewall mark");
    if (service.key.protocol != IPPROTO_TCP && service.key.protocol != IPPROTO_UDP)
        return no("gorb has virtual services of tcp and udp only");
    model::ConfigService out;
    model::Service& spec = out.spec;
    spec.key.protocol = static_cast<model::Protocol>(service.key.protocol);
    spec.key.vip = service.key.vip;
    spec.name = name.empty()
                    ? std::string(model::protocol_text(spec.key.protocol)) + "-" + called(spec.key.vip)
                    : name;
    spec.scheduler = service.scheduler;
    spec.flags = service.flags & (model::flag_fallback | model::flag_port);
    if (service.flags & IP_VS_SVC_F_PERSISTENT) {
        if (service.timeout_s == 0) return no("it is persistent for 0 s, and with gorb that is at least 1 s");
        spec.persistence_s = service.timeout_s;
    }
    spec.netmask = service.netmask;
    // The kernel has what gorb's rules refuse, and a store with it in would not be opened again.
    if (const auto faults = model::new_service_violations(spec); !faults.empty())
        return no("it has a " + in_words(faults.front()));
    for (const ipvs::DestRecord& dest : dests) {
        model::Backend backend;
        backend.name = called(dest.address);
        backend.address = dest.address;
        const std::string which = "its destination " + dest.address.text() + " has ";
        if (const std::string what = unspoken(dest); !what.empty())
            return base::fail(not_adoptable(dest.address.text() + " in " + service.key.text(), what));
        switch (dest.forwarding & IP_VS_CONN_F_FWD_MASK) {
            case IP_VS_CONN_F_TUNNEL:
                backend.forwarding = model::Forwarding::tunnel;
                break;
            case IP_VS_CONN_F_DROUTE:
                backend.forwarding = model::Forwarding::dr;
                break;
            default:  // or local: it stays so
                backend.forwarding = model::Forwarding::nat;
        }
        if (dest.weight > model::max_weight)
            return no(which + "weight " + std::to_string(dest.weight) + ", gorb goes up to " +
                      std::to_string(model::max_weight));
        backend.weight = dest.weight;
        backend.upper_threshold = dest.upper_threshold;
        backend.lower_threshold = dest.lower_threshold;
        auto faults = model::backend_violations(backend);
        if (faults.empty()) faults = model::backend_in_service_violations(spec, backend);
        if (!faults.empty()) return no(which + "a " + in_words(faults.front()));
        backend.pulses = pulses ? *pulses : model::pulses_for_found(spec.key, backend.address);
        // Of the pulses alone, which are not the kernel's.
        if (faults = model::backend_violations(backend); !faults.empty())
            return base::fail(base::faults_error(std::move(faults)));
        out.backends.push_back(std::move(backend));
    }
    std::ranges::sort(out.backends, {}, &model::Backend::name);
    return out;
}

}  // namespace gorb::control
