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

constexpr base::Nanos shortest_interval = std::chrono::milliseconds(10);
constexpr base::Nanos a_day = std::chrono::hours(24);

Violation optional_interval(const char* pointer, base::Nanos value) {
    if (value == base::Nanos(0) || (value >= shortest_interval && value <= a_day)) return std::nullopt;
    return wrong(pointer, "must be 0s (as \"interval\") or from 10ms to 24h");
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

Violation scheduler_schedules(const Service& s) {
    if (s.scheduler != "none") return std::nullopt;
    return wrong(
        "/method",
        "must be the name of a scheduler, such as \"wrr\": with \"none\" the kernel refuses every new "
        "connection");
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

Violation slow_start_range(const Service& s) {
    const PoolPolicy& p = s.pool;
    if (p.recovery != Recovery::ramp) {
        if (p.slow_start == base::Nanos(0)) return std::nullopt;
        return wrong("/slow-start", "goes with recovery \"ramp\" only");
    }
    if (p.slow_start >= std::chrono::seconds(1) && p.slow_start <= a_day) return std::nullopt;
    return wrong("/slow-start", "must be from 1s to 24h for recovery \"ramp\"");
}

Violation hysteresis_below_quorum(const Service& s) {
    if (s.pool.hysteresis < s.pool.quorum) return std::nullopt;
    return wrong("/hysteresis", "must be below \"quorum\", which is " + std::to_string(s.pool.quorum));
}

std::vector<Fault> service_violations(const Service& s) {
    return broken(vip_usable(s), port_zero_needs_persistence(s), scheduler_name(s), flags_fit_scheduler(s),
                  persistence_range(s), netmask_range(s), slow_start_range(s), hysteresis_below_quorum(s));
}

std::vector<Fault> new_service_violations(const Service& s) {
    std::vector<Fault> all = service_violations(s);
    if (auto violation = scheduler_schedules(s)) all.push_back(std::move(*violation));
    return all;
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

Violation thresholds_range(const Backend& b) {
    const bool upper = b.upper_threshold > max_threshold;
    if (!upper && b.lower_threshold <= max_threshold) return std::nullopt;
    return wrong(upper ? "/upper-threshold" : "/lower-threshold",
                 "must be a whole number from 0 to " + std::to_string(max_threshold));
}

Violation thresholds_ordered(const Backend& b) {
    if (b.lower_threshold <= b.upper_threshold) return std::nullopt;
    return wrong("/lower-threshold",
                 "must not be above \"upper-threshold\", which is " + std::to_string(b.upper_threshold));
}

Violation drain_timeout_range(const Backend& b) {
    if (b.drain_timeout <= max_drain) return std::nullopt;
    return wrong("/drain-timeout", "must be from 0s (none) to 720h");
}

std::vector<Fault> pulse_violations(const PulseList& pulses) {
    std::vector<Fault> all;
    for (size_t i = 0; i < pulses.size(); ++i) {
        const PulseSpec& p = pulses[i];
        const std::string place = pulses.size() == 1 ? "/pulse" : "/pulses/" + std::to_string(i);
        for (Fault& fault :
             broken(pulse_type_name(p), interval_range(p), fast_interval_range(p), down_interval_range(p),
                    timeout_range(p), rise_fall_range(p), backoff_range(p), window_range(p), damping_range(p),
                    pulse_address_usable(p), source_usable(p), interface_name(p))) {
            all.push_back({place + fault.pointer, std::move(fault.what)});
        }
    }
    return all;
}

std::vector<Fault> backend_violations(const Backend& b) {
    std::vector<Fault> all = broken(backend_address_usable(b), weight_range(b), thresholds_range(b),
                                    thresholds_ordered(b), drain_timeout_range(b));
    for (Fault& fault : pulse_violations(b.pulses)) all.push_back(std::move(fault));
    for (size_t i = 0; i < b.pulses.size(); ++i) {
        const PulseSpec& p = b.pulses[i];
        if (!p.source || p.source.family == checked_address(b.address, p).ip.family) continue;
        all.push_back({(b.pulses.size() == 1 ? "/pulse" : "/pulses/" + std::to_string(i)) + "/source",
                       std::string("must be of the same family as the ") +
                           (p.address ? "pulse's address" : "backend's address")});
    }
    return all;
}

Violation pulse_type_name(const PulseSpec& p) {
    const auto& type = p.type;
    const bool ok = !type.empty() && type.size() <= 64 && std::all_of(type.begin(), type.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    });
    if (ok) return std::nullopt;
    return wrong("/type", "must be the name of one pulse, such as \"tcp\" or \"http\"");
}

Violation interval_range(const PulseSpec& p) {
    if (p.interval >= shortest_interval && p.interval <= a_day) return std::nullopt;
    return wrong("/interval", "must be from 10ms to 24h");
}

Violation fast_interval_range(const PulseSpec& p) {
    return optional_interval("/fast-interval", p.fast_interval);
}

Violation down_interval_range(const PulseSpec& p) {
    return optional_interval("/down-interval", p.down_interval);
}

Violation timeout_range(const PulseSpec& p) {
    using namespace std::chrono;
    if (p.timeout >= milliseconds(1) && p.timeout <= minutes(10)) return std::nullopt;
    return wrong("/timeout", "must be from 1ms to 10m");
}

Violation rise_fall_range(const PulseSpec& p) {
    const auto in_range = [](uint32_t n) { return n >= 1 && n <= max_rise_fall; };
    if (in_range(p.rise) && in_range(p.fall)) return std::nullopt;
    return wrong(in_range(p.rise) ? "/fall" : "/rise",
                 "must be a whole number from 1 to " + std::to_string(max_rise_fall));
}

Violation backoff_range(const PulseSpec& p) {
    if (!(p.backoff.factor >= 1 && p.backoff.factor <= 10))
        return wrong("/backoff/factor", "must be a number from 1 to 10, such as 2");
    if (p.backoff.max < shortest_interval || p.backoff.max > a_day)
        return wrong("/backoff/max", "must be from 10ms to 24h");
    return std::nullopt;
}

Violation window_range(const PulseSpec& p) {
    if (p.window.of == 0 && p.window.failures == 0) return std::nullopt;
    if (p.window.of < 1 || p.window.of > max_window)
        return wrong("/window/of", "must be a whole number from 1 to " + std::to_string(max_window));
    if (p.window.failures < 1 || p.window.failures > p.window.of)
        return wrong("/window/failures",
                     "must be a whole number from 1 to \"of\", which is " + std::to_string(p.window.of));
    return std::nullopt;
}

Violation damping_range(const PulseSpec& p) {
    const Damping& d = p.damping;
    if (d.hold < base::Nanos(0) || d.hold > a_day)
        return wrong("/damping/hold", "must be from 0s (none) to 24h");
    if (d.max < d.hold || d.max > a_day)
        return wrong("/damping/max",
                     "must be from \"hold\", which is " + base::duration_text(d.hold) + ", to 24h");
    if (d.forget < std::chrono::seconds(1) || d.forget > a_day)
        return wrong("/damping/forget", "must be from 1s to 24h");
    return std::nullopt;
}

Violation pulse_address_usable(const PulseSpec& p) {
    if (!p.address) return std::nullopt;
    // Each link has such addresses; sockets that are bound to an interface need no more to know which.
    if (link_local_v6(p.address) && p.interface.empty())
        return wrong("/address", R"(a link-local address needs "interface")");
    if (usable(p.address)) return std::nullopt;
    return wrong("/address",
                 "must be the address of a host, not an unspecified, multicast or broadcast address");
}

Violation source_usable(const PulseSpec& p) {
    if (!p.source || usable(p.source)) return std::nullopt;
    return wrong("/source",
                 "must be an address of this machine, not an unspecified, multicast or broadcast address");
}

Violation interface_name(const PulseSpec& p) {
    const auto& name = p.interface;
    const bool ok =
        name.size() <= 15 && name != "." && name != ".." &&
        std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != '/'; });
    if (ok) return std::nullopt;
    return wrong("/interface", "must be the name of a network interface, such as \"eth0\"");
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
