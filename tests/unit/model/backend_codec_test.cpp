#include <gtest/gtest.h>

#include "unit/model/codec_helpers.h"

namespace gorb::model {
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
    expected.pulse.type = "http";
    expected.pulse.interval = 5s;
    expected.pulse.args = {{"path", "\"/health (ignored for tcp pulse)\""}};
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
    EXPECT_EQ(expected.pulse.type, "tcp");
    EXPECT_EQ(expected.pulse.interval, 1min);
}

TEST(ReadBackend, ForwardingHasUpstreamsAndIpvsadmsNames) {
    const auto forwarding = [](const std::string& name) {
        return backend(with_key("\"method\": \"" + name + "\"")).value().forwarding;
    };
    for (const char* name : {"nat", "masq", "NAT"}) EXPECT_EQ(forwarding(name), Forwarding::nat);
    for (const char* name : {"tunnel", "ipip", "Tunnel"}) EXPECT_EQ(forwarding(name), Forwarding::tunnel);
    for (const char* name : {"dr", "gate", "DR"}) EXPECT_EQ(forwarding(name), Forwarding::dr);
    for (const char* bad : {"\"local\"", "\"\"", "0", "null"}) {
        EXPECT_EQ(pointers_of(backend(with_key("\"method\": " + std::string(bad)))), "/method") << bad;
    }
}

TEST(ReadBackend, AWeightOfZeroIsADrainAndANegativeOneAFault) {
    EXPECT_EQ(backend(with_key("\"weight\": 0")).value().weight, 0U);
    EXPECT_EQ(backend(with_key("\"weight\": 65535")).value().weight, 65535U);
    for (const char* bad : {"-1", "65536", "\"100\"", "1.5", "null"}) {
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
        EXPECT_EQ(b->pulse.args, expected) << pulse;
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
    EXPECT_EQ(b->pulse.args, (Args{{"n", "200"},
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
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"args": null})"))), "/pulse/args");
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"args": []})"))), "/pulse/args");
    EXPECT_TRUE(backend(with_key("\"pulse\": {\"x\": " + nested(16) + "}")));
    EXPECT_EQ(pointers_of(backend(with_key("\"pulse\": {\"x\": " + nested(17) + "}"))), "/pulse/x");
    EXPECT_EQ(pointers_of(backend(with_key("\"pulse\": {\"args\": {\"x\": " + nested(17) + "}}"))),
              "/pulse/args/x");
}

TEST(ReadBackend, IntervalAndTimeoutAreDurationsOrSeconds) {
    const auto interval = [](const std::string& text) {
        return backend(with_key("\"pulse\": {\"interval\": " + text + "}")).value().pulse.interval;
    };
    EXPECT_EQ(interval("\"5s\""), 5s);
    EXPECT_EQ(interval("\"250ms\""), 250ms);
    EXPECT_EQ(interval("\"1 minutes\""), 1min);
    EXPECT_EQ(interval("5"), 5s);
    for (const char* bad :
         {"\"5\"", "\"0s\"", "\"9ms\"", "\"25h\"", "0", "-5", "1.5", "86401", "null", "\"-5s\"", "{}"}) {
        EXPECT_EQ(pointers_of(backend(with_key("\"pulse\": {\"interval\": " + std::string(bad) + "}"))),
                  "/pulse/interval")
            << bad;
    }
    EXPECT_EQ(backend(with_key(R"("pulse": {"timeout": "1ms"})")).value().pulse.timeout, 1ms);
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"timeout": "11m"})"))), "/pulse/timeout");
}

TEST(ReadBackend, RiseAndFallAreCounts) {
    const auto b = backend(with_key(R"("pulse": {"rise": 1, "fall": 1000})")).value();
    EXPECT_EQ(b.pulse.rise, 1U);
    EXPECT_EQ(b.pulse.fall, 1000U);
    EXPECT_EQ(pointers_of(backend(with_key(R"("pulse": {"rise": 0, "fall": 1001})"))),
              "/pulse/fall /pulse/rise");
}

TEST(ReadBackend, EveryWrongFieldIsReportedAtOnceAndOnlyOnce) {
    EXPECT_EQ(
        pointers_of(backend(
            R"({"host": "x", "weight": "x", "pulse": {"type": "", "rise": "x"}, "name": "x", "vsid": "web"})")),
        "/host /name /port /pulse/rise /pulse/type /vsid /weight");
    EXPECT_EQ(pointers_of(backend(R"({"host": "fe80::1", "port": 1, "pulse": []})")), "/host /pulse");
    EXPECT_EQ(pointers_of(backend("{}")), "/address /port");
}

TEST(WriteBackend, TheFieldsAreUpstreamsAndMore) {
    const auto b = backend(with_key(
        R"("pulse": {"type": "http", "interval": 90, "path": "/x", "expect": 200}, "method": "gate")"));
    EXPECT_EQ(
        written(*b),
        R"({"host":"10.0.0.1","address":"10.0.0.1","port":80,"weight":100,"method":"dr",)"
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
    expected.pulse.interval = 10s;
    EXPECT_EQ(patch(R"({"pulse": {"interval": "10s"}})").value(), expected);
    expected = now;
    expected.forwarding = Forwarding::dr;
    expected.upper_threshold = 0;
    EXPECT_EQ(patch(R"({"method": "dr", "upper-threshold": 0})").value(), expected);
}

TEST_F(PatchBackend, NullRemovesAnArgumentAndResetsTheRest) {
    Backend expected = now;
    expected.pulse.args.erase("path");
    EXPECT_EQ(patch(R"({"pulse": {"path": null}})").value(), expected);
    EXPECT_EQ(patch(R"({"pulse": {"args": {"path": null, "absent": null}}})").value(), expected);
    expected = now;
    expected.pulse.interval = 1min;
    expected.pulse.rise = 2;
    EXPECT_EQ(patch(R"({"pulse": {"interval": null, "rise": null}})").value(), expected);
    EXPECT_TRUE(patch(R"({"pulse": {"args": null}})").value().pulse.args.empty());
    EXPECT_EQ(patch(R"({"pulse": {"args": null, "path": "/y"}})").value().pulse.args,
              (Args{{"path", "\"/y\""}}));
    EXPECT_EQ(pointers_of(patch(R"({"weight": null, "pulse": {"type": null}})")), "/pulse/type /weight");
    EXPECT_EQ(pointers_of(patch(R"({"pulse": null})")), "/pulse");
}

TEST_F(PatchBackend, ArgumentsAreMergedAsRfc7396Says) {
    EXPECT_EQ(patch(R"({"pulse": {"headers": {"a": null, "b": {"d": 3}, "e": {"f": null}}}})")
                  .value()
                  .pulse.args.at("headers"),
              R"({"b":{"c":2,"d":3},"e":{}})");
    EXPECT_EQ(patch(R"({"pulse": {"headers": [1, null]}})").value().pulse.args.at("headers"), "[1,null]");
    EXPECT_EQ(patch(R"({"pulse": {"path": {"x": null, "y": 1}}})").value().pulse.args.at("path"),
              R"({"y":1})");
    EXPECT_EQ(patch(R"({"pulse": {"new": 5}})").value().pulse.args.size(), 3U);
}

TEST_F(PatchBackend, ANewTypeStartsFromEmptyArgs) {
    EXPECT_EQ(patch(R"({"pulse": {"type": "HTTP"}})").value(), now);
    const auto b = patch(R"({"pulse": {"type": "tcp"}})").value();
    EXPECT_EQ(b.pulse.type, "tcp");
    EXPECT_TRUE(b.pulse.args.empty());
    EXPECT_EQ(b.pulse.interval, 5s);
    EXPECT_EQ(patch(R"({"pulse": {"type": "dns", "name": "x"}})").value().pulse.args,
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

}  // namespace
}  // namespace gorb::model
