// Services and backends at random, such that keep the rules.
#pragma once
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "unit/model/codec_helpers.h"

namespace gorb::model {

class Random {
  public:
    explicit Random(uint64_t seed) : engine_(seed) {}

    uint64_t below(uint64_t n) { return engine_() % n; }
    bool coin() { return below(2) == 0; }
    template <class T>
    T one_of(std::initializer_list<T> list) {
        return *(list.begin() + below(list.size()));
    }

    base::Endpoint endpoint() {
        base::Endpoint e;
        e.ip = coin() ? ip("10.0.0.1") : ip("2001:db8::1");
        e.ip.bytes[3] = static_cast<uint8_t>(1 + below(250));
        e.port = static_cast<uint16_t>(1 + below(65535));
        return e;
    }

    Service service() {
        Service s;
        s.name = "s" + std::to_string(below(1000));
        s.key = {one_of({Protocol::tcp, Protocol::udp}), endpoint()};
        s.scheduler = one_of<const char*>({"rr", "wrr", "sh", "mh", "lblcr", "twos"});
        if (s.scheduler == "sh" || s.scheduler == "mh")
            s.flags = one_of<uint32_t>({0, flag_fallback, flag_port, flag_fallback | flag_port});
        s.netmask = static_cast<uint8_t>(s.key.vip.ip.bits());
        if (coin()) {
            s.persistence_s = static_cast<uint32_t>(1 + below(max_persistence_s));
            s.netmask = static_cast<uint8_t>(1 + below(s.key.vip.ip.bits()));
            if (below(4) == 0) s.key.vip.port = 0;
        }
        if (coin()) s.pool = pool();
        return s;
    }

    Backend backend() {
        Backend b;
        b.name = "b" + std::to_string(below(1000));
        b.address = endpoint();
        b.forwarding = one_of({Forwarding::nat, Forwarding::tunnel, Forwarding::dr});
        b.weight = static_cast<uint32_t>(below(max_weight + 1));
        b.upper_threshold = static_cast<uint32_t>(below(uint64_t{max_threshold} + 1));
        b.lower_threshold = static_cast<uint32_t>(below(uint64_t{b.upper_threshold} + 1));
        b.backup = coin();
        b.admin = one_of({Admin::ready, Admin::drain, Admin::maint});
        b.drain_timeout = std::chrono::seconds(below(3) * 90);
        b.drain_then = one_of({DrainThen::maint, DrainThen::remove});
        std::vector<PulseSpec> pulses;
        for (uint64_t i = 1 + (coin() ? below(3) : 0); i > 0; --i) pulses.push_back(pulse());
        for (PulseSpec& p : pulses) {
            if (coin()) p.address = endpoint().ip;
            if (coin()) p.source = ip_like(checked_address(b.address, p).ip);
        }
        b.pulses = std::move(pulses);
        return b;
    }

    PulseSpec pulse() {
        PulseSpec p;
        p.type = one_of<const char*>({"tcp", "http", "none", "x.y-z_1"});
        p.interval = interval();
        p.timeout =
            base::Nanos(1'000'000 + static_cast<int64_t>(below(600ULL * 1'000'000'000 - 1'000'000 + 1)));
        if (coin()) p.fast_interval = interval();
        if (coin()) p.down_interval = interval();
        if (coin()) p.backoff = {1 + static_cast<double>(below(901)) / 100, interval()};
        if (coin()) p.jitter = static_cast<uint32_t>(below(51));
        p.rise = static_cast<uint32_t>(1 + below(max_rise_fall));
        p.fall = static_cast<uint32_t>(1 + below(max_rise_fall));
        if (coin()) {
            p.window.of = static_cast<uint32_t>(1 + below(max_window));
            p.window.failures = static_cast<uint32_t>(1 + below(p.window.of));
        }
        if (coin()) {
            p.damping.hold = base::Nanos(static_cast<int64_t>(below(1'000'000'000)));
            p.damping.max = std::chrono::seconds(1 + below(86'400));
            p.damping.forget = std::chrono::seconds(1 + below(86'400));
        }
        p.initial = one_of({Initial::unknown, Initial::up, Initial::down});
        if (coin()) p.interface = "eth0.1";
        if (coin()) p.fwmark = static_cast<uint32_t>(engine_());
        for (uint64_t i = below(5); i > 0; --i)
            p.args[name()] = base::canonical_json(base::parse_json(json(3)).value());
        return p;
    }
    PoolPolicy pool() {
        PoolPolicy p;
        p.on_down = one_of({OnDown::weight_zero, OnDown::remove});
        p.refuse_fallback = coin();
        p.recovery = one_of({Recovery::immediate, Recovery::ramp, Recovery::history});
        if (p.recovery == Recovery::ramp) p.slow_start = std::chrono::seconds(1 + below(86'400));
        p.slow_start_least = static_cast<uint32_t>(1 + below(100));
        p.quorum = static_cast<uint32_t>(1 + below(max_quorum));
        p.hysteresis = static_cast<uint32_t>(below(p.quorum));
        p.panic_threshold = static_cast<uint32_t>(below(101));
        p.max_down = static_cast<uint32_t>(below(101));
        return p;
    }

  private:
    base::Nanos interval() {
        return base::Nanos(10'000'000 +
                           static_cast<int64_t>(below(24ULL * 3600 * 1'000'000'000 - 10'000'000 + 1)));
    }
    base::Ip ip_like(const base::Ip& other) {
        base::Ip ip = endpoint().ip;
        while (ip.family != other.family) ip = endpoint().ip;
        return ip;
    }
    // Also names of the core's own fields, of pointers, and outside ASCII: inside args they mean nothing
    // special.
    std::string name() {
        return one_of<const char*>(
            {"path", "expect", "type", "interval", "args", "a/b~", "", "\xc3\xa9", "quote\"", "host"});
    }
    std::string json(unsigned depth) {
        switch (below(depth ? 7 : 5)) {
            case 0:
                return std::to_string(static_cast<int64_t>(engine_()));
            case 1:
                return std::to_string(engine_());
            case 2:
                return one_of<const char*>({"true", "false", "0.1", "-2.5e-7", "1e30", "5e-324"});
            case 3:
                return R"("\u00e9\n\"\\/\ud83d\ude00")";
            case 4:
                return one_of<const char*>({"\"\"", "\"200\"", "200", "200.0"});
            case 5:
                return "[" + json(depth - 1) + ",null," + json(depth - 1) + "]";
            default:
                return "{\"b\":" + json(depth - 1) + ",\"a\":" + json(depth - 1) + "}";
        }
    }

    std::mt19937_64 engine_;
};

}  // namespace gorb::model
