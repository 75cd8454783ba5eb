// Virtual services and backends as the user wants them: plain values, and their enums as text.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/duration.h"
#include "base/result.h"

namespace gorb::model {

// IP protocol numbers.
enum class Protocol : uint8_t { tcp = 6, udp = 17 };
std::string_view protocol_text(Protocol p);  // "tcp", "udp"

// Forwarding method of a backend; the values are IP_VS_CONN_F_* of <linux/ip_vs.h>.
enum class Forwarding : uint8_t { nat = 0, tunnel = 2, dr = 3 };
std::string_view forwarding_text(Forwarding f);  // "nat", "tunnel", "dr"

// What makes a virtual service the one it is in the kernel; it can not be changed in place.
struct ServiceKey {
    Protocol protocol = Protocol::tcp;
    base::Endpoint vip;

    std::string text() const;  // "10.0.0.1:80/tcp"
    auto operator<=>(const ServiceKey&) const = default;
};

// Scheduler flags, as IP_VS_SVC_F_SCHED* of <linux/ip_vs.h>; sh and mh read the same two bits.
enum SchedulerFlag : uint32_t {
    flag_fallback = 0x08,  // sh-fallback, mh-fallback
    flag_port = 0x10,      // sh-port, mh-port
};

inline constexpr uint32_t default_persistence_s = 300;  // as ipvsadm(8) -p without a number

struct Service {
    std::string name;
    ServiceKey key;
    std::string scheduler = "wrr";  // the kernel decides which exist
    uint32_t flags = 0;             // SchedulerFlag
    uint32_t persistence_s = 0;     // timeout in seconds, 0: not persistent
    // Prefix length by which clients are grouped for persistence: 1..32 or 1..128; 32 or 128 means each for
    // itself.
    uint8_t netmask = 32;

    bool operator==(const Service&) const = default;
};

// How a backend is checked. What the plugin understands is in args, each value as canonical JSON text.
struct PulseSpec {
    std::string type = "tcp";
    base::Nanos interval = std::chrono::minutes(1);  // upstream's default
    base::Nanos timeout = std::chrono::seconds(5);
    uint32_t rise = 2;  // passes in a row that bring a backend up
    uint32_t fall = 3;  // failures in a row that bring it down
    std::map<std::string, std::string> args;

    bool operator==(const PulseSpec&) const = default;
};

struct Backend {
    std::string name;
    base::Endpoint address;
    Forwarding forwarding = Forwarding::nat;
    uint32_t weight = 100;         // configured weight, 0..max_weight; 0 drains
    uint32_t upper_threshold = 0;  // connections at which the kernel stops sending new ones, 0: none
    uint32_t lower_threshold = 0;  // connections below which it starts again, 0: three quarters of the upper
    PulseSpec pulse;

    bool operator==(const Backend&) const = default;
};

inline constexpr uint32_t max_weight = 65535;
inline constexpr uint32_t max_threshold = 2'147'483'647;
inline constexpr uint32_t max_persistence_s = 30 * 24 * 3600;
inline constexpr uint32_t max_rise_fall = 1000;

}  // namespace gorb::model
