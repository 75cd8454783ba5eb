// For random values that keep the rules: read(write(x)) == x, patch(x, write(y)) of the same key is y, and
// every prefix of a document is refused.
#include <gtest/gtest.h>

#include <random>

#include "model/rules.h"
#include "unit/model/codec_helpers.h"

namespace gorb::model {
namespace {

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
        b.pulse.type = one_of<const char*>({"tcp", "http", "none", "x.y-z_1"});
        b.pulse.interval = base::Nanos(
            10'000'000 + static_cast<int64_t>(below(24ULL * 3600 * 1'000'000'000 - 10'000'000 + 1)));
        b.pulse.timeout =
            base::Nanos(1'000'000 + static_cast<int64_t>(below(600ULL * 1'000'000'000 - 1'000'000 + 1)));
        b.pulse.rise = static_cast<uint32_t>(1 + below(max_rise_fall));
        b.pulse.fall = static_cast<uint32_t>(1 + below(max_rise_fall));
        for (uint64_t i = below(5); i > 0; --i)
            b.pulse.args[name()] = base::canonical_json(base::parse_json(json(3)).value());
        return b;
    }

  private:
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

TEST(CodecProperty, EveryServiceReadsBackFromWhatIsWritten) {
    Random random(1);
    for (int i = 0; i < 5'000; ++i) {
        const Service s = random.service();
        ASSERT_TRUE(service_violations(s).empty());
        const auto again = read_service(s.name, written(s), {});
        ASSERT_TRUE(again) << written(s) << ": " << again.error().sentence;
        ASSERT_EQ(*again, s) << written(s);
    }
}

TEST(CodecProperty, EveryBackendReadsBackFromWhatIsWritten) {
    Random random(2);
    for (int i = 0; i < 5'000; ++i) {
        const Backend b = random.backend();
        ASSERT_TRUE(backend_violations(b).empty());
        const auto again = read_backend(b.name, written(b));
        ASSERT_TRUE(again) << written(b) << ": " << again.error().sentence;
        ASSERT_EQ(*again, b) << written(b);
    }
}

TEST(CodecProperty, APatchWithTheWholeServiceMakesItThat) {
    Random random(3);
    for (int i = 0; i < 5'000; ++i) {
        const Service from = random.service();
        Service to = random.service();
        to.name = from.name;
        to.key = from.key;
        to.netmask = static_cast<uint8_t>(to.key.vip.ip.bits());
        if (!service_violations(to).empty()) continue;  // port 0 without persistence
        const auto patched = patch_service(from, written(to));
        ASSERT_TRUE(patched) << written(to) << ": " << patched.error().sentence;
        ASSERT_EQ(*patched, to);
    }
}

TEST(CodecProperty, APatchWithTheWholeBackendMakesItThat) {
    Random random(4);
    for (int i = 0; i < 5'000; ++i) {
        const Backend from = random.backend();
        Backend to = random.backend();
        to.name = from.name;
        to.address = from.address;
        if (to.pulse.type == from.pulse.type) to.pulse.args = from.pulse.args;  // else they are merged
        const auto patched = patch_backend(from, written(to));
        ASSERT_TRUE(patched) << written(to) << ": " << patched.error().sentence;
        ASSERT_EQ(*patched, to);
    }
}

TEST(CodecProperty, ACutDocumentIsRefused) {
    Random random(5);
    for (int i = 0; i < 50; ++i) {
        const std::string text = written(random.backend());
        for (size_t n = 0; n < text.size(); ++n)
            ASSERT_FALSE(read_backend("b", std::string_view(text).substr(0, n))) << n;
    }
}

}  // namespace
}  // namespace gorb::model
