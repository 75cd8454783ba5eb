#include <gtest/gtest.h>

#include "unit/model/codec_helpers.h"

namespace gorb::model::backend_codec_test {
namespace {

using namespace std::chrono_literals;
using Args = std::map<std::string, std::string>;

TEST(ReadBackend, TheSpecificationsExampleRuns) {
    const auto b = backend(R"json({
        "address": "10.1.0.1",
        "port": 12346,
        "method": "nat",
        "pulse": {
            "type": "http",
            "interval": "5s",
            "path": "/health (ignored for tcp pulse)"
        },
        "weight": 128
    })json");
    ASSERT_TRUE(b) << b.error().sentence;
    Backend expected;
    expected.name = "b1";
    expected.address = {ip("10.1.0.1"), 12346};
    expected.weight = 128;
    edit_pulse(expected, [](PulseSpec& p) { p.type = "http"; });
    edit_pulse(expected, [](PulseSpec& p) { p.interval = 5s; });
    edit_pulse(expected, [](PulseSpec& p) { p.args = {{"path", "\"/health (ignored for tcp pulse)\""}}; });
    EXPECT_EQ(*b, expected);
}

TEST(ReadBackend, TheSpecificationsPlaceholdersAreFaultsThatNameTheChoice) {
    const auto faults = faults_of(backend(
        R"({"address": "10.1.0.1", "port": 12346, "method": "nat|tunnel", "pulse": {"type": "tcp|http"}})"));
    EXPECT_NE(faults.at("/method").find("\"nat\", \"tunnel\" or \"dr\""), std::string::npos);
    EXPECT_NE(faults.at("/pulse/type").find("\"tcp\" or \"http\""), std::string::npos);
    EXPECT_EQ(faults.size(), 2U);
}

TEST(ReadBackend, WhatIsLeftOutHasItsDefault) {
    Backend expected;
    expected.name = "b1";
    expected.address = {ip("10.0.0.1"), 80};
    EXPECT_EQ(backend(with_key("")).value(), expected);
    EXPECT_EQ(backend(with_key(R"("pulse": {})")).value(), expected);
    EXPECT_EQ(expected.weight, 100U);
    EXPECT_EQ(expected.pulses[0].type, "tcp");
    EXPECT_EQ(expected.pulses[0].interval, 1min);
}

TEST(ReadBackend, ForwardingHasUpstreamsAndIpvsadmsNames) {
    const auto forwarding = [](const std::string& name) {
        return backend(with_key("\"method\": \"" + name + "\"")).value().forwarding;
    };
    for (const char* name : {"nat", "masq", "NAT"}) EXPECT_EQ(forwarding(name), Forwarding::nat);
    for (const char* name : {"tunnel", "ipip", "Tunnel"}) EXPECT_EQ(forwarding(name), Forwarding::tunnel);
    for (const char* name : {"dr", "gate", "DR"}) EXPECT_EQ(forwarding(name), Forwarding::dr);
    for (const char* bad : {"\"local\"", "0", "[]"}) {
        EXPECT_EQ(pointers_of(backend(with_key("\"method\": " + std::string(bad)))), "/method") << bad;
    }
}

TEST(ReadBackend, AWeightOfZeroIsADrainAndANegativeOneAFault) {
    EXPECT_EQ(backend(with_key("\"weight\": 0")).value().weight, 0U);
    EXPECT_EQ(backend(with_key("\"weight\": 65535")).value().weight, 65535U);
    for (const char* bad : {"-1", "65536", "\"100\"", "1.5", "[]"}) {
        EXPECT_EQ(pointers_of(backend(with_key("\"weight\": " + std::string(bad)))), "/weight") << bad;
    }
}

TEST(ReadBackend, ThresholdsAreReadAndOrdered) {
    const auto b = backend(with_key(R"("upper-threshold": 100, "lower-threshold": 50)")).value();
    EXPECT_EQ(b.upper_threshold, 100U);
    EXPECT_EQ(b.lower_threshold, 50U);
    EXPECT_EQ(pointers_of(backend(with_key(R"("lower-threshold": 50)"))), "/lower-threshold");
    EXPECT_EQ(pointers_of(backend(with_key(R"("upper-threshold": 2147483648)"))), "/upper-threshold");
    EXPECT_EQ(pointers_of(backend(with_key(R"("upper-threshold": -1)"))), "/upper-threshold");
}

TEST(ReadBackend, PulseOptionsStandBesideTypeOrInsideArgs) {
    const Args expected{{"expect", "200"}, {"path", "\"/x\""}};
    for (const char* pulse :
         {R"({"type": "http", "path": "/x", "expect": 200})",
          R"({"type": "http", "args": {"path": "/x", "expect": 200}})",
          R"({"type": "http", "path": "/x", "args": {"expect": 200}})",
          R"({"type": "http", "path": "/x", "args": {"path": "\/x", "expect": 200.0}})"}) {
        const auto b = backend(with_key("\"pulse\": " + std::string(pulse)));
        ASSERT_TRUE(b) << pulse;
        EXPECT_EQ(b->pulses[0].args, expected) << pulse;
    }
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"path": "/x", "args": {"path": "/y"}})"))),
              "/pulse/path");
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"expect": "200", "args": {"expect": 200}})"))),
              "/pulse/expect");
}

TEST(ReadBackend, ArgsAreAnyJsonAndKeepTheirTypes) {
    const auto b =
        backend(with_key(R"("pulse": {"args": {"n": 200, "t": "200", "b": true, "f": 0.50, "l": [ 1, "2" ],
                                                "o": {"b": null, "a": {}}, "big": 18446744073709551615}})"));
    ASSERT_TRUE(b) << b.error().sentence;
    EXPECT_EQ(b->pulses[0].args, (Args{{"n", "200"},
                                       {"t", "\"200\""},
                                       {"b", "true"},
                                       {"f", "0.5"},
                                       {"l", "[1,\"2\"]"},
                                       {"o", R"({"a":{},"b":null})"},
                                       {"big", "18446744073709551615"}}));
}

TEST(ReadBackend, ArgsThatAreNullOrTooDeepAreFaults) {
    const auto nested = [](int n) { return std::string(n, '[') + std::string(n, ']'); };
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"a/b": null, "args": {"x": null}})"))),
              "/pulse/args/x /pulse/a~1b");
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"args": []})"))), "/pulse/args");
    EXPECT_TRUE(backend(with_key("\"pulse\": {\"x\": " + nested(16) + "}")));
    EXPECT_EQ(pointers_of(backend(with_key("\"pulse\": {\"x\": " + nested(17) + "}"))), "/pulse/x");
    EXPECT_EQ(pointers_of(backend(with_key("\"pulse\": {\"args\": {\"x\": " + nested(17) + "}}"))),
              "/pulse/args/x");
}

TEST(ReadBackend, IntervalAndTimeoutAreDurationsOrSeconds) {
    const auto interval = [](const std::string& text) {
        return backend(with_key("\"pulse\": {\"interval\": " + text + "}")).value().pulses[0].interval;
    };
    EXPECT_EQ(interval("\"5s\""), 5s);
    EXPECT_EQ(interval("\"250ms\""), 250ms);
    EXPECT_EQ(interval("\"1 minutes\""), 1min);
    EXPECT_EQ(interval("5"), 5s);
    EXPECT_EQ(interval("null"), PulseSpec{}.interval);
    for (const char* bad :
         {"\"5\"", "\"0s\"", "\"9ms\"", "\"25h\"", "0", "-5", "1.5", "86401", "\"-5s\"", "{}"}) {
        EXPECT_EQ(pointers_of(backend(with_key("\"pulse\": {\"interval\": " + std::string(bad) + "}"))),
                  "/pulse/interval")
            << bad;
    }
    EXPECT_EQ(backend(with_key(R"("pulse": {"timeout": "1ms"})")).value().pulses[0].timeout, 1ms);
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"timeout": "11m"})"))), "/pulse/timeout");
}

TEST(ReadBackend, RiseAndFallAreCounts) {
    const auto b = backend(with_key(R"("pulse": {"rise": 1, "fall": 1000})")).value();
    EXPECT_EQ(b.pulses[0].rise, 1U);
    EXPECT_EQ(b.pulses[0].fall, 1000U);
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"rise": 0, "fall": 1001})"))),
              "/pulse/fall /pulse/rise");
}

// What Go makes of upstream's BackendOptions{Host, Port}: it has no word for what is not set.
TEST(ReadBackend, WhatGoWritesForAWeightThatIsNotSetIsTheDefault) {
    const auto b = backend(R"({"host":"10.1.0.1","port":8080,"weight":0,"method":"","pulse":null})").value();
    EXPECT_EQ(b.weight, 100U);
    EXPECT_EQ(b.address.port, 8080);
    EXPECT_EQ(backend(with_key(R"("method": "", "weight": 7)"))->weight, 7U);
    EXPECT_EQ(backend(with_key(R"("weight": 0)"))->weight, 0U);
    EXPECT_EQ(backend(with_key(R"("method": "nat", "weight": 0)"))->weight, 0U);
    EXPECT_EQ(backend(with_key(R"("method": null, "weight": 0)"))->weight, 0U);
    EXPECT_EQ(pointers_of(backend(with_key(R"("method": "", "weight": "0")"))), "/weight");
}

TEST(ReadBackend, EveryWrongFieldIsReportedAtOnceAndOnlyOnce) {
    EXPECT_EQ(
        pointers_of(backend(
            R"({"host": "x", "weight": "x", "pulse": {"type": " ", "rise": "x"}, "name": "x", "vsid": "web"})")),
        "/host /name /port /pulse/rise /pulse/type /vsid /weight");
    EXPECT_EQ(pointers_of(backend(R"({"host": "fe80::1", "port": 1, "pulse": []})")), "/host /pulse");
    EXPECT_EQ(pointers_of(backend("{}")), "/address /port");
}

TEST(WriteBackend, TheFieldsAreUpstreamsAndMore) {
    const auto b = backend(with_key(
        R"("pulse": {"type": "http", "interval": 90, "path": "/x", "expect": 200}, "method": "gate")"));
    EXPECT_EQ(
        written(*b),
        R"({"host":"10.0.0.1","address":"10.0.0.1","port":80,"weight":100,"method":"dr","backup":false,"admin":"ready",)"
        R"("pulse":{"type":"http","interval":"1m30s","timeout":"5s","rise":2,"fall":3,"args":{"expect":200,"path":"/x"}},)"
        R"("upper-threshold":0,"lower-threshold":0})");
}

class PatchBackend : public testing::Test {
  protected:
    base::Result<Backend> patch(std::string_view body) { return patch_backend(now, body); }
    Backend now =
        backend(
            with_key(
                R"("weight": 7, "upper-threshold": 9, "pulse": {"type": "http", "interval": "5s", "rise": 4,
                                      "path": "/x", "headers": {"a": "1", "b": {"c": 2}}})"))
            .value();
};

TEST_F(PatchBackend, OnlyWhatIsNamedChanges) {
    EXPECT_EQ(patch("{}").value(), now);
    EXPECT_EQ(patch(R"({"pulse": {}})").value(), now);
    EXPECT_EQ(patch(R"({"pulse": {"args": {}}})").value(), now);
    Backend expected = now;
    expected.weight = 0;
    EXPECT_EQ(patch(R"({"weight": 0})").value(), expected);
    expected = now;
    edit_pulse(expected, [](PulseSpec& p) { p.interval = 10s; });
    EXPECT_EQ(patch(R"({"pulse": {"interval": "10s"}})").value(), expected);
    expected = now;
    expected.forwarding = Forwarding::dr;
    expected.upper_threshold = 0;
    EXPECT_EQ(patch(R"({"method": "dr", "upper-threshold": 0})").value(), expected);
}

TEST_F(PatchBackend, WhatGoWritesForWhatIsNotSetChangesNothing) {
    Backend expected = now;
    expected.weight = 10;
    EXPECT_EQ(patch(R"({"host":"","port":0,"weight":10,"method":"","pulse":null})").value(), expected);
    EXPECT_EQ(patch(R"({"host":"","port":80,"weight":0,"method":"","pulse":null})").value(), now);
    EXPECT_EQ(pointers_of(patch(R"({"host":"","port":81,"weight":0,"method":"","pulse":null})")), "/port");
    EXPECT_EQ(pointers_of(patch(R"({"port":0,"weight":10})")), "/port");
    EXPECT_EQ(patch(R"({"method":"nat","pulse":null})")->pulses[0].type, "tcp");
}

TEST_F(PatchBackend, NullRemovesAnArgumentAndResetsTheRest) {
    Backend expected = now;
    edit_pulse(expected, [](PulseSpec& p) { p.args.erase("path"); });
    EXPECT_EQ(patch(R"({"pulse": {"path": null}})").value(), expected);
    EXPECT_EQ(patch(R"({"pulse": {"args": {"path": null, "absent": null}}})").value(), expected);
    expected = now;
    edit_pulse(expected, [](PulseSpec& p) { p.interval = 1min; });
    edit_pulse(expected, [](PulseSpec& p) { p.rise = 2; });
    EXPECT_EQ(patch(R"({"pulse": {"interval": null, "rise": null}})").value(), expected);
    EXPECT_TRUE(patch(R"({"pulse": {"args": null}})").value().pulses[0].args.empty());
    EXPECT_EQ(patch(R"({"pulse": {"args": null, "path": "/y"}})").value().pulses[0].args,
              (Args{{"path", "\"/y\""}}));
    EXPECT_EQ(pointers_of(patch(R"({"pulse": {"type": null}})")), "/pulse/type");
    expected = Backend();
    expected.name = now.name;
    expected.address = now.address;
    EXPECT_EQ(patch(R"({"weight": null, "method": null, "upper-threshold": null, "lower-threshold": null,
                        "backup": null, "admin": null, "pulse": null, "pulses": null})")
                  .value(),
              expected);
}

TEST_F(PatchBackend, NullInPlaceOfSeveralPulsesLeavesTheFirst) {
    const Backend several = patch(R"({"pulses": [{"type": "tcp", "rise": 5}, {"type": "icmp"}]})").value();
    ASSERT_EQ(several.pulses.size(), 2U);
    const auto of = [&](const char* body) { return patch_backend(several, body); };
    ASSERT_EQ(of(R"({"pulses": null})")->pulses.size(), 1U);
    EXPECT_EQ(of(R"({"pulses": null})")->pulses[0].rise, 5U);
    EXPECT_EQ(of(R"({"pulses": null, "pulse": {"fall": 7}})")->pulses[0].rise, 5U);
    EXPECT_EQ(of(R"({"pulses": null, "pulse": null})")->pulses, PulseList());
    EXPECT_EQ(pointers_of(of(R"({"pulse": null})")), "/pulse");  // which of them?
    // Of one it takes nothing.
    EXPECT_EQ(patch(R"({"pulses": null})").value(), now);
}

TEST_F(PatchBackend, ArgumentsAreMergedAsRfc7396Says) {
    EXPECT_EQ(patch(R"({"pulse": {"headers": {"a": null, "b": {"d": 3}, "e": {"f": null}}}})")
                  .value()
                  .pulses[0]
                  .args.at("headers"),
              R"({"b":{"c":2,"d":3},"e":{}})");
    EXPECT_EQ(patch(R"({"pulse": {"headers": [1, null]}})").value().pulses[0].args.at("headers"), "[1,null]");
    EXPECT_EQ(patch(R"({"pulse": {"path": {"x": null, "y": 1}}})").value().pulses[0].args.at("path"),
              R"({"y":1})");
    EXPECT_EQ(patch(R"({"pulse": {"new": 5}})").value().pulses[0].args.size(), 3U);
}

TEST_F(PatchBackend, ANewTypeStartsFromEmptyArgs) {
    EXPECT_EQ(patch(R"({"pulse": {"type": "HTTP"}})").value(), now);
    const auto b = patch(R"({"pulse": {"type": "tcp"}})").value();
    EXPECT_EQ(b.pulses[0].type, "tcp");
    EXPECT_TRUE(b.pulses[0].args.empty());
    EXPECT_EQ(b.pulses[0].interval, 5s);
    EXPECT_EQ(patch(R"({"pulse": {"type": "dns", "name": "x"}})").value().pulses[0].args,
              (Args{{"name", "\"x\""}}));
}

TEST_F(PatchBackend, TheKeyIsAcceptedAsItIsAndRefusedOtherwise) {
    EXPECT_EQ(patch(R"({"host": "10.0.0.1", "port": 80})").value(), now);
    EXPECT_EQ(pointers_of(patch(R"({"address": "10.0.0.2", "port": 81})")), "/address /port");
    const auto faults = faults_of(patch(R"({"port": 81})"));
    EXPECT_NE(faults.at("/port").find("the kernel knows a backend by its address and port"),
              std::string::npos);
    EXPECT_NE(faults.at("/port").find("create another backend and delete this one"), std::string::npos);
}

TEST_F(PatchBackend, TheRulesAreAppliedToTheResult) {
    EXPECT_EQ(pointers_of(patch(R"({"lower-threshold": 10})")), "/lower-threshold");
    EXPECT_EQ(pointers_of(patch(R"({"pulse": {"interval": "1ms"}, "x": 1})")), "/pulse/interval /x");
}

TEST_F(PatchBackend, WhatGetShowsIsAPatchThatChangesNothing) {
    EXPECT_EQ(patch(written(now)).value(), now);
}

TEST(ReadBackend, PolicyOfAPulseIsReadAndWrittenWhereItIsNotTheDefault) {
    const auto b = backend(with_key(
        R"("pulse": {"fast-interval": "1s", "down-interval": 30, "backoff": {"factor": 1.5, "max": "2m"},
            "jitter": "20%", "window": {"failures": 3, "of": 10}, "initial": "UP", "source": "10.9.9.9",
            "damping": {"hold": "10s", "max": "5m", "forget": "15m"}, "interface": "eth1", "fwmark": 7,
            "address": "10.8.8.8"})"));
    ASSERT_TRUE(b) << b.error().sentence;
    const PulseSpec& p = b->pulses[0];
    EXPECT_EQ(p.fast_interval, 1s);
    EXPECT_EQ(p.down_interval, 30s);
    EXPECT_EQ(p.backoff, (Backoff{1.5, 2min}));
    EXPECT_EQ(p.jitter, 20U);
    EXPECT_EQ(p.window, (Window{3, 10}));
    EXPECT_EQ(p.initial, Initial::up);
    EXPECT_EQ(p.damping, (Damping{10s, 5min, 15min}));
    EXPECT_EQ(p.address.text(), "10.8.8.8");
    EXPECT_EQ(p.source.text(), "10.9.9.9");
    EXPECT_EQ(p.interface, "eth1");
    EXPECT_EQ(p.fwmark, 7U);
    EXPECT_TRUE(p.args.empty());
    EXPECT_NE(
        written(*b).find(
            R"("fast-interval":"1s","down-interval":"30s","backoff":{"factor":1.5,"max":"2m"},"jitter":"20%",)"
            R"("window":{"failures":3,"of":10},"damping":{"hold":"10s","max":"5m","forget":"15m"},"initial":"up",)"
            R"("address":"10.8.8.8","source":"10.9.9.9","interface":"eth1","fwmark":7,)"),
        std::string::npos)
        << written(*b);
    EXPECT_EQ(pointers_of(backend(with_key(
                  R"("pulse": {"backoff": {"factor": "x", "y": 1}, "jitter": "51%", "window": {"failures": 0},
                      "initial": "maybe", "address": "db.lan", "source": "eth0", "damping": 3, "fwmark": -1})"))),
              "/pulse/address /pulse/backoff/factor /pulse/backoff/y /pulse/damping /pulse/fwmark "
              "/pulse/initial /pulse/jitter "
              "/pulse/source /pulse/window/failures /pulse/window/of");
}

TEST(ReadBackend, SeveralPulsesAreAnArrayAndTheFirstStandsBesideIt) {
    const auto b = backend(with_key(R"("pulses": [{"type": "tcp"}, {"type": "http", "path": "/x"}])"));
    ASSERT_TRUE(b) << b.error().sentence;
    ASSERT_EQ(b->pulses.size(), 2U);
    EXPECT_EQ(b->pulses[1].args.at("path"), "\"/x\"");
    EXPECT_EQ(backend(written(*b)).value().pulses, b->pulses);
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulses": [{"type": "tcp"}, {"type": " ", "rise": 0}])"))),
              "/pulses/1/rise /pulses/1/type");
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulses": [], "pulse": {})"))), "/pulses");
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulses": [1])"))), "/pulses");
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"type": "http"}, "pulses": [{"type": "tcp"}])"))),
              "/pulse");

    const auto one = patch_backend(*b, R"({"pulse": {"interval": "2s"}})");
    EXPECT_EQ(pointers_of(one), "/pulse");
    EXPECT_EQ(patch_backend(*b, R"({"pulses": [{"interval": "2s"}]})").value().pulses.size(), 1U);
}

TEST_F(PatchBackend, ARemovalThatIsCalledOffIsForgotten) {
    const auto draining =
        backend(with_key(R"("admin": "drain", "drain-timeout": "5m", "drain-then": "delete")"));
    ASSERT_TRUE(draining);
    for (const char* admin : {"ready", "maint"}) {
        const auto off = patch_backend(*draining, std::string(R"({"admin": ")") + admin + R"("})");
        ASSERT_TRUE(off);
        EXPECT_EQ(off->drain_timeout, 0s) << admin;
        EXPECT_EQ(off->drain_then, DrainThen::maint) << admin;
    }
    const auto kept = patch_backend(*draining, R"({"admin": "ready", "drain-then": "delete"})");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->drain_then, DrainThen::remove) << "it was named";
    const auto still = patch_backend(*draining, R"({"weight": 3})");
    ASSERT_TRUE(still);
    EXPECT_EQ(still->drain_then, DrainThen::remove) << "the drain goes on";
    const auto maint = backend(with_key(R"("admin": "drain", "drain-timeout": "5m")"));
    ASSERT_TRUE(maint);
    EXPECT_EQ(patch_backend(*maint, R"({"admin": "ready"})").value().drain_timeout, 5min)
        << "it removes nothing";
}

TEST(ReadBackend, AdminStateAndDrainAreWords) {
    const auto b = backend(
        with_key(R"("admin": "DRAIN", "drain-timeout": "5m", "drain-then": "delete", "backup": true)"));
    ASSERT_TRUE(b) << b.error().sentence;
    EXPECT_EQ(b->admin, Admin::drain);
    EXPECT_EQ(b->drain_timeout, 5min);
    EXPECT_EQ(b->drain_then, DrainThen::remove);
    EXPECT_TRUE(b->backup);
    const auto back =
        patch_backend(*b, R"({"admin": null, "drain-timeout": null, "drain-then": null, "backup": null})");
    ASSERT_TRUE(back) << back.error().sentence;
    EXPECT_EQ(back->admin, Admin::ready);
    EXPECT_EQ(back->drain_timeout, 0s);
    EXPECT_EQ(back->drain_then, DrainThen::maint);
    EXPECT_FALSE(back->backup);
    EXPECT_EQ(pointers_of(backend(
                  with_key(R"("admin": "off", "drain-then": 1, "backup": "yes", "drain-timeout": -1)"))),
              "/admin /backup /drain-then /drain-timeout");
}

}  // namespace
}  // namespace gorb::model::backend_codec_test
