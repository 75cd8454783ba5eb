#include "model/rules.h"

#include <algorithm>

namespace gorb::model {
namespace {

using base::Fault;

bool alphanumeric(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

Violation wrong(const char* pointer, std::string what) {
    return Fault{pointer, std::move(what)};
}

bool usable(const base::Ip& ip) {
    return ip && !ip.unspecified() && !ip.multicast_or_broadcast();
}

// fe80::/10
bool link_local_v6(const base::Ip& ip) {
    return ip.v6() && ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80;
}

template <class... Rules>
std::vector<Fault> broken(Rules... violations) {
    std::vector<Fault> faults;
    for (Violation* v : {&violations...}) {
        if (*v) faults.push_back(std::move(**v));
    }
    return faults;
}

}  // namespace

std::optional<std::string> name_violation(std::string_view name) {
    const bool ok = !name.empty() && name.size() <= 128 && name != "." && name != ".." &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                        return alphanumeric(c) || c == '.' || c == '_' || c == ':' || c == '-';
                    });
    if (ok) return std::nullopt;
    return "a name must be 1 to 128 characters of A-Z a-z 0-9 . _ : - (and not \".\" or \"..\")";
}

Violation vip_usable(const Service& s) {
    if (usable(s.key.vip.ip)) return std::nullopt;
    return wrong("/address",
                 "must be an address of one host, not an unspecified, multicast or broadcast address");
}

Violation port_zero_needs_persistence(const Service& s) {
    if (s.key.vip.port != 0 || s.persistence_s != 0) return std::nullopt;
    return wrong("/port", "must be 1 to 65535; 0 (every port) is for persistent services only");
}

Violation scheduler_name(const Service& s) {
    const auto& name = s.scheduler;
    const bool ok = !name.empty() && name.size() <= 15 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
    if (ok) return std::nullopt;
    return wrong("/method", "must be the name of one scheduler, such as \"rr\", \"wrr\", \"wlc\" or \"sh\"");
}

Violation flags_fit_scheduler(const Service& s) {
    if ((s.flags & ~uint32_t{flag_fallback | flag_port}) != 0) {
        return wrong("/flags", "must be of fallback (0x8) and port (0x10)");
    }
    if (s.flags == 0 || s.scheduler == "sh" || s.scheduler == "mh") return std::nullopt;
    return wrong("/flags",
                 "must be empty (\"\") here: fallback and port belong to the schedulers sh and mh, and the "
                 "method is " +
                     s.scheduler.substr(0, 15));
}

Violation persistence_range(const Service& s) {
    if (s.persistence_s <= max_persistence_s) return std::nullopt;
    return wrong("/persistent", "must be false, or a timeout from 1 second to 30 days (2592000 seconds)");
}

Violation netmask_range(const Service& s) {
    const unsigned bits = s.key.vip.ip.bits();
    if (bits == 0 || s.netmask == bits) return std::nullopt;
    if (s.netmask < 1 || s.netmask > bits) {
        return wrong("/netmask", "must be a prefix length from 1 to " + std::to_string(bits) +
                                     (bits == 32 ? ", or a mask such as \"255.255.255.0\"" : ""));
    }
    if (s.persistence_s != 0) return std::nullopt;
    return wrong("/netmask",
                 "has a meaning for persistent services only; set \"persistent\" too, or leave it out");
}

std::vector<Fault> service_violations(const Service& s) {
    return broken(vip_usable(s), port_zero_needs_persistence(s), scheduler_name(s), flags_fit_scheduler(s),
                  persistence_range(s), netmask_range(s));
}

Violation backend_address_usable(const Backend& b) {
    if (usable(b.address.ip) && !link_local_v6(b.address.ip)) return std::nullopt;
    return wrong("/address",
                 "must be an address of one host, not an unspecified, multicast, broadcast or IPv6 "
                 "link-local address");
}

Violation weight_range(const Backend& b) {
    if (b.weight <= max_weight) return std::nullopt;
    return wrong("/weight", "must be a whole number from 0 to " + std::to_string(max_weight));
}

Violation thresholds_ordered(const Backend& b) {
    if (b.lower_threshold <= b.upper_threshold) return std::nullopt;
    return wrong("/lower-threshold",
                 "must not be above \"upper-threshold\", which is " + std::to_string(b.upper_threshold));
}

Violation pulse_type_name(const Backend& b) {
    const auto& type = b.pulses[0].type;
    const bool ok = !type.empty() && type.size() <= 64 && std::all_of(type.begin(), type.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    });
    if (ok) return std::nullopt;
    return wrong("/pulse/type", "must be the name of one pulse, such as \"tcp\" or \"http\"");
}

Violation interval_range(const Backend& b) {
    using namespace std::chrono;
    if (b.pulses[0].interval >= milliseconds(10) && b.pulses[0].interval <= hours(24)) return std::nullopt;
    return wrong("/pulse/interval", "must be from 10ms to 24h");
}

Violation timeout_range(const Backend& b) {
    using namespace std::chrono;
    if (b.pulses[0].timeout >= milliseconds(1) && b.pulses[0].timeout <= minutes(10)) return std::nullopt;
    return wrong("/pulse/timeout", "must be from 1ms to 10m");
}

Violation rise_fall_range(const Backend& b) {
    const auto in_range = [](uint32_t n) { return n >= 1 && n <= max_rise_fall; };
    if (in_range(b.pulses[0].rise) && in_range(b.pulses[0].fall)) return std::nullopt;
    return wrong(in_range(b.pulses[0].rise) ? "/pulse/fall" : "/pulse/rise",
                 "must be a whole number from 1 to " + std::to_string(max_rise_fall));
}

std::vector<Fault> backend_violations(const Backend& b) {
    return broken(backend_address_usable(b), weight_range(b), thresholds_ordered(b), pulse_type_name(b),
                  interval_range(b), timeout_range(b), rise_fall_range(b));
}

Violation families_match(const Service& s, const Backend& b) {
    if (s.key.vip.ip.family == b.address.ip.family || b.forwarding == Forwarding::tunnel) return std::nullopt;
    const char* family = s.key.vip.ip.v4() ? "IPv4" : "IPv6";
    return wrong("/address", std::string("must be ") + family +
                                 " as the service's address is; the other family needs method \"tunnel\"");
}

Violation port_not_remapped(const Service& s, const Backend& b) {
    const uint16_t port = s.key.vip.port;
    if (port == 0 || b.address.port == port || b.forwarding == Forwarding::nat) return std::nullopt;
    return wrong("/port", "must be " + std::to_string(port) + " as the service's port is: method \"" +
                              std::string(forwarding_text(b.forwarding)) +
                              "\" can not change the port, only \"nat\" can");
}

Violation backend_port_named(const Service& s, const Backend& b) {
    if (b.address.port != 0 || s.key.vip.port == 0) return std::nullopt;
    return wrong("/port", "must be 1 to 65535; 0 (the client's port) is for services with port 0 only");
}

std::vector<Fault> backend_in_service_violations(const Service& s, const Backend& b) {
    // Port 0 with a forwarding that keeps ports is one fault, not two.
    Violation port = backend_port_named(s, b);
    return broken(families_match(s, b), port ? std::move(port) : port_not_remapped(s, b));
}

}  // namespace gorb::model
