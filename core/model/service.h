// Virtual services and backends as the user wants them: plain values, and their enums as text.
#pragma once
#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// What becomes of a backend that is down.
enum class OnDown : uint8_t { weight_zero, remove };
std::string_view on_down_text(OnDown value);  // "weight-zero", "remove"

// How a backend comes back.
enum class Recovery : uint8_t {
    immediate,
    ramp,     // linear over slow_start
    history,  // in proportion to the passes among its last 100 checks, as upstream gorb
};
std::string_view recovery_text(Recovery value);  // "immediate", "ramp", "history"

// How the health of the backends becomes the health of the service.
struct PoolPolicy {
    OnDown on_down = OnDown::weight_zero;
    bool refuse_fallback = false;  // sh and mh: not even where a backend of weight 0 would swallow clients
    Recovery recovery = Recovery::immediate;
    base::Nanos slow_start{0};       // of Recovery::ramp
    uint32_t slow_start_least = 10;  // per cent of the weight with which a ramp begins, 1..100
    uint32_t quorum = 1;             // primaries that must be up; under it backups serve
    // The quorum is reached at quorum + hysteresis primaries, and lost under quorum - hysteresis.
    uint32_t hysteresis = 0;
    uint32_t panic_threshold = 0;  // per cent of backends that are up under which all serve; 0: never
    uint32_t max_down = 100;       // per cent of backends that health may take out of service at most

    bool operator==(const PoolPolicy&) const = default;
};

struct Service {
    std::string name;
    ServiceKey key;
    std::string scheduler = "wrr";  // the kernel decides which exist
    uint32_t flags = 0;             // SchedulerFlag
    uint32_t persistence_s = 0;     // timeout in seconds, 0: not persistent
    // Prefix length by which clients are grouped for persistence: 1..32 or 1..128; 32 or 128 means each for
    // itself.
    uint8_t netmask = 32;
    // It goes with its last backend; set by a deletion that waits for connections, not by documents.
    bool deleting = false;
    PoolPolicy pool;

    bool operator==(const Service&) const = default;
};

// What a check that has not happened yet counts as.
enum class Initial : uint8_t { unknown, up, down };  // unknown: the first result decides
std::string_view initial_text(Initial value);

// While a target is down its interval grows by `factor` with every failure, up to `max`. 1: it does not.
struct Backoff {
    double factor = 1;
    base::Nanos max = std::chrono::minutes(5);

    bool operator==(const Backoff&) const = default;
};

// `failures` of the last `of` counted results bring it down, whatever their order. of == 0: not used.
struct Window {
    uint32_t failures = 0, of = 0;

    bool operator==(const Window&) const = default;
};
inline constexpr uint32_t max_window = 100;

// Flap damping. After the n-th recent fall a target stays down for at least hold * 2^(n-1), at most `max`; a
// fall is forgotten after `forget`. hold == 0: not used.
struct Damping {
    base::Nanos hold{0};
    base::Nanos max = std::chrono::minutes(10);
    base::Nanos forget = std::chrono::minutes(10);

    bool operator==(const Damping&) const = default;
};

// How a backend is checked. What the plugin understands is in args, each value as canonical JSON text.
struct PulseSpec {
    std::string type = "tcp";
    base::Nanos interval = std::chrono::minutes(1);  // upstream's default
    base::Nanos timeout = std::chrono::seconds(5);
    base::Nanos fast_interval{0};  // while a change is pending, 0: as interval
    base::Nanos down_interval{0};  // while down, 0: as interval
    Backoff backoff;
    uint32_t jitter = 10;  // per cent of each interval, 0..50: how much earlier or later a check may come
    uint32_t rise = 2;     // passes in a row that bring a backend up
    uint32_t fall = 3;     // failures in a row that bring it down
    Window window;
    Damping damping;
    Initial initial = Initial::unknown;
    base::Ip address;  // where the check goes instead of to the backend; none: to the backend's own
    // Where the check comes from; empty: the kernel chooses.
    base::Ip source;
    std::string interface;
    uint32_t fwmark = 0;
    std::map<std::string, std::string> args;

    bool operator==(const PulseSpec&) const = default;
};

// Where that pulse of a backend with this address goes. A port of the pulse's own is for the plugin to know.
inline base::Endpoint checked_address(const base::Endpoint& backend, const PulseSpec& pulse) {
    return {pulse.address ? pulse.address : backend.ip, backend.port};
}

// The pulses of a backend, all of which must pass. Immutable and shared: most backends of a service are
// checked alike. Never empty.
class PulseList {
  public:
    PulseList() : pulses_(standard()) {}
    PulseList(std::vector<PulseSpec> pulses)  // NOLINT: a list is its content
        : pulses_(std::make_shared<const std::vector<PulseSpec>>(std::move(pulses))) {}
    // A part of something that lives as long as the list does.
    explicit PulseList(std::shared_ptr<const std::vector<PulseSpec>> pulses) : pulses_(std::move(pulses)) {}

    const PulseSpec& operator[](size_t i) const { return (*pulses_)[i]; }
    size_t size() const { return pulses_->size(); }
    auto begin() const { return pulses_->begin(); }
    auto end() const { return pulses_->end(); }
    // Of the same types in the same order? Then what is known of a backend's health by the one is known by
    // the other as well.
    bool asks_as(const PulseList& other) const {
        return std::ranges::equal(*pulses_, *other.pulses_, {}, &PulseSpec::type, &PulseSpec::type);
    }
    bool operator==(const PulseList& other) const {
        return pulses_ == other.pulses_ || *pulses_ == *other.pulses_;
    }

  private:
    static const std::shared_ptr<const std::vector<PulseSpec>>& standard() {
        static const auto one = std::make_shared<const std::vector<PulseSpec>>(1);
        return one;
    }

    std::shared_ptr<const std::vector<PulseSpec>> pulses_;
};
inline constexpr size_t max_pulses = 8;

// What the operator wants of a backend, whatever its health.
enum class Admin : uint8_t {
    ready,
    drain,  // weight 0, still checked: connections end by themselves
    maint,  // weight 0, not checked
};
std::string_view admin_text(Admin value);  // "ready", "drain", "maint"

// What becomes of a drain that is over.
enum class DrainThen : uint8_t { maint, remove };
std::string_view drain_then_text(DrainThen value);  // "maint", "delete"

// Short, since every backend has one.
using DrainTime = std::chrono::duration<uint32_t, std::milli>;
// Rounded up. What does not fit becomes the longest there is, which drain_timeout_range() refuses.
DrainTime drain_time(base::Nanos wanted);

struct Backend {
    std::string name;
    base::Endpoint address;
    Forwarding forwarding = Forwarding::nat;
    bool backup = false;  // serves only while the primaries are under the service's quorum
    Admin admin = Admin::ready;
    DrainThen drain_then = DrainThen::maint;
    DrainTime drain_timeout{0};    // of a drain; 0: it stays drained
    uint32_t weight = 100;         // configured weight, 0..max_weight; 0 takes no new connections
    uint32_t upper_threshold = 0;  // connections at which the kernel stops sending new ones, 0: none
    uint32_t lower_threshold = 0;  // connections below which it starts again, 0: three quarters of the upper
    PulseList pulses;

    bool operator==(const Backend&) const = default;
};

// How a backend is to be checked that somebody else made and nobody has said it of: with the standard pulse
// where that tells something, else not at all. What serves must not lose its traffic by being taken over, and
// a TCP connection is no question to a UDP service, nor to port 0.
PulseList pulses_for_found(const ServiceKey& service, const base::Endpoint& backend);

inline constexpr uint32_t max_weight = 65535;
inline constexpr uint32_t max_threshold = 2'147'483'647;
inline constexpr uint32_t max_persistence_s = 30 * 24 * 3600;
inline constexpr uint32_t max_rise_fall = 1000;
inline constexpr uint32_t max_quorum = 100'000;

}  // namespace gorb::model
