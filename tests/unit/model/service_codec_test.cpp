#include <gtest/gtest.h>

#include "unit/model/codec_helpers.h"

namespace gorb::model::service_codec_test {
using namespace std::chrono_literals;
namespace {

uint32_t persistence(std::string_view members) {
    const auto s = service(with_key(members));
    EXPECT_TRUE(s) << members << ": " << (s ? "" : s.error().sentence);
    return s ? s->persistence_s : 0;
}

TEST(ReadService, TheSpecificationsExampleRuns) {
    const auto s = service(
        R"({"address": "10.0.0.1", "port": 12345, "protocol": "tcp", "method": "wrr", "persistent": true})");
    ASSERT_TRUE(s) << s.error().sentence;
    Service expected;
    expected.name = "web";
    expected.key = {Protocol::tcp, {ip("10.0.0.1"), 12345}};
    expected.scheduler = "wrr";
    expected.persistence_s = default_persistence_s;
    EXPECT_EQ(*s, expected);
}

TEST(ReadService, TheSpecificationsPlaceholdersAreFaultsThatNameTheChoice) {
    const auto faults = faults_of(service(
        R"({"address": "10.0.0.1", "port": 12345, "protocol": "tcp|udp", "method": "rr|wrr|lc|wlc|lblc|lblcr|sh|dh|sed|nq"})"));
    EXPECT_EQ(faults.at("/protocol"), "must be \"tcp\" or \"udp\"");
    EXPECT_NE(faults.at("/method").find("one scheduler"), std::string::npos);
    EXPECT_EQ(faults.size(), 2U);
}

// The kernel takes it, and the service refuses every connection.
TEST(ReadService, NoneIsNoMethodButOfAServiceThatIsStored) {
    EXPECT_NE(faults_of(service(with_key(R"("method": "None")"))).at("/method").find("every new connection"),
              std::string::npos);
    const Service now = service(with_key("")).value();
    EXPECT_EQ(faults_of(patch_service(now, R"({"method": "none"})")).count("/method"), 1U);
    const auto stored = read_service_settings(now.key, R"({"method": "none"})");
    ASSERT_TRUE(stored);
    EXPECT_EQ(patch_service(*stored, R"({"method": "rr"})")->scheduler, "rr");
}

TEST(ReadService, WhatIsLeftOutHasItsDefault) {
    const auto v4 = service(with_key(""));
    ASSERT_TRUE(v4);
    EXPECT_EQ(v4->key.protocol, Protocol::tcp);
    EXPECT_EQ(v4->scheduler, "wrr");
    EXPECT_EQ(v4->flags, 0U);
    EXPECT_EQ(v4->persistence_s, 0U);
    EXPECT_EQ(v4->netmask, 32);
    EXPECT_EQ(service(R"({"host": "2001:db8::1", "port": 1})")->netmask, 128);
}

TEST(ReadService, AddressAndHostAreOneField) {
    EXPECT_EQ(service(R"({"host": "10.0.0.1", "port": 80})")->key.vip.ip, ip("10.0.0.1"));
    EXPECT_TRUE(service(R"({"host": "2001:db8::1", "address": "2001:DB8:0::1", "port": 80})"));
    EXPECT_EQ(pointers_of(service(R"({"host": "10.0.0.1", "address": "10.0.0.2", "port": 80})")), "/host");
    EXPECT_EQ(pointers_of(service(R"({"host": "web.example", "port": 80})")), "/host");
    EXPECT_EQ(pointers_of(service(R"({"host": "0.0.0.0", "port": 80})")), "/host");
    EXPECT_EQ(pointers_of(service(R"({"address": "0.0.0.0", "port": 80})")), "/address");
}

TEST(ReadService, AMissingAddressIsTheDefaultOneOrAFault) {
    EXPECT_EQ(service(R"({"port": 80})", {ip("10.9.9.9")})->key.vip.ip, ip("10.9.9.9"));
    EXPECT_EQ(service(with_key(""), {ip("10.9.9.9")})->key.vip.ip, ip("10.0.0.1"));
    EXPECT_EQ(pointers_of(service(R"({"address": null, "port": 80})", {ip("10.9.9.9")})), "/address");
    EXPECT_EQ(pointers_of(service("{}")), "/address /port");
    EXPECT_NE(faults_of(service("{}")).at("/port").find("is missing"), std::string::npos);
}

TEST(ReadService, NamesAreReadInAnyCase) {
    const auto s = service(
        R"({"address": "10.0.0.1", "port": 80, "protocol": "UDP", "method": "Sh", "flags": "SH-Port"})");
    ASSERT_TRUE(s) << s.error().sentence;
    EXPECT_EQ(s->key.protocol, Protocol::udp);
    EXPECT_EQ(s->scheduler, "sh");
    EXPECT_EQ(s->flags, flag_port);
}

TEST(ReadService, APortIsANumberOfItsRange) {
    for (const char* bad :
         {"\"80\"", "-1", "65536", "80.5", "true", "null", "[80]", "18446744073709551615"}) {
        EXPECT_EQ(pointers_of(service(R"({"address": "10.0.0.1", "port": )" + std::string(bad) + "}")),
                  "/port")
            << bad;
    }
    EXPECT_EQ(pointers_of(service(R"({"address": "10.0.0.1", "port": 0})")), "/port");
    EXPECT_TRUE(service(R"({"address": "10.0.0.1", "port": 0, "persistent": true})"));
}

TEST(ReadService, FlagsAreATextOrAnArray) {
    const auto flags = [](std::string_view members) {
        const auto s = service(with_key(members));
        EXPECT_TRUE(s) << members;
        return s ? s->flags : 0xff;
    };
    const uint32_t both = flag_fallback | flag_port;
    EXPECT_EQ(flags(R"("method": "sh", "flags": "sh-fallback")"), flag_fallback);
    EXPECT_EQ(flags(R"("method": "sh", "flags": "sh-fallback|sh-port")"), both);
    EXPECT_EQ(flags(R"("method": "sh", "flags": " sh-port | sh-fallback ")"), both);
    EXPECT_EQ(flags(R"("method": "mh", "flags": ["mh-port", "mh-fallback"])"), both);
    EXPECT_EQ(flags(R"("method": "mh", "flags": "flag-1|flag-2")"), both);
    EXPECT_EQ(flags(R"("method": "sh", "flags": ["flag-1"])"), flag_fallback);
    EXPECT_EQ(flags(R"("flags": "")"), 0U);
    EXPECT_EQ(flags(R"("flags": [])"), 0U);
}

TEST(ReadService, FlagsOfNoOrAnotherSchedulerAreFaults) {
    for (const char* bad :
         {R"("method": "sh", "flags": "fallback")", R"("method": "sh", "flags": "mh-port")",
          R"("method": "wrr", "flags": "sh-port")", R"("method": "wrr", "flags": "flag-1")",
          R"("method": "sh", "flags": ["sh-port", 1])", R"("method": "sh", "flags": 8)",
          R"("method": "sh", "flags": "sh-port||sh-port")", R"("method": "sh", "flags": "flag-3")",
          R"("method": "sh", "flags": {})", R"("method": "sh", "flags": "|")"}) {
        EXPECT_EQ(pointers_of(service(with_key(bad))), "/flags") << bad;
    }
    EXPECT_NE(faults_of(service(with_key(R"("method": "mh", "flags": "sh-port")")))
                  .at("/flags")
                  .find("which is \"mh\""),
              std::string::npos);
}

TEST(ReadService, PersistenceHasFourSpellings) {
    EXPECT_EQ(persistence(R"("persistent": true)"), 300U);
    EXPECT_EQ(persistence(R"("persistent": false)"), 0U);
    EXPECT_EQ(persistence(R"("persistent": 60)"), 60U);
    EXPECT_EQ(persistence(R"("persistent": "5m")"), 300U);
    EXPECT_EQ(persistence(R"("persistent": "1000ms")"), 1U);
    EXPECT_EQ(persistence(R"("persistent": "720h")"), 2'592'000U);
    EXPECT_EQ(persistence(R"("persistent": true, "persistence-timeout": 60)"), 60U);
    EXPECT_EQ(persistence(R"("persistent": true, "persistence-timeout": "2m")"), 120U);
    EXPECT_EQ(persistence(R"("persistent": 60, "persistence-timeout": "1m")"), 60U);
}

TEST(ReadService, OtherPersistenceIsAFault) {
    for (const char* bad : {"0", "-1", "2592001", "1.5", "\"1.5s\"", "\"500ms\"", "\"721h\"", "\"yes\"",
                            "\"60\"", "[]", "{}"}) {
        EXPECT_EQ(pointers_of(service(with_key("\"persistent\": " + std::string(bad)))), "/persistent")
            << bad;
        EXPECT_EQ(pointers_of(service(
                      with_key("\"persistent\": true, \"persistence-timeout\": " + std::string(bad)))),
                  "/persistence-timeout")
            << bad;
    }
    EXPECT_EQ(pointers_of(service(with_key(R"("persistence-timeout": 60)"))), "/persistence-timeout");
    EXPECT_EQ(pointers_of(service(with_key(R"("persistent": false, "persistence-timeout": 60)"))),
              "/persistence-timeout");
    EXPECT_EQ(pointers_of(service(with_key(R"("persistent": 61, "persistence-timeout": 60)"))),
              "/persistence-timeout");
}

TEST(ReadService, NullIsTheDefaultOfPersistenceToo) {
    EXPECT_EQ(persistence(R"("persistent": null, "persistence-timeout": null, "netmask": null)"), 0U);
    EXPECT_EQ(persistence(R"("persistent": true, "persistence-timeout": null)"), 300U);
    EXPECT_EQ(persistence(R"("persistent": 60, "persistence-timeout": null)"), 60U);
    EXPECT_EQ(pointers_of(service(with_key(R"("persistent": null, "persistence-timeout": 60)"))),
              "/persistence-timeout");
    const Service now =
        service(with_key(R"("method": "sh", "flags": "sh-port", "persistent": 60, "netmask": 24)")).value();
    const auto patched = [&](const char* body) { return patch_service(now, body).value(); };
    EXPECT_EQ(patched(R"({"persistence-timeout": null})").persistence_s, 300U);
    EXPECT_EQ(patched(R"({"persistent": true, "persistence-timeout": null})").persistence_s, 300U);
    EXPECT_EQ(patched(R"({"netmask": null})").netmask, 32);
    EXPECT_EQ(patched(R"({"flags": null})").flags, 0U);
    EXPECT_EQ(patched(R"({"persistent": null, "method": null, "flags": null})"),
              service(with_key(R"("flags": "")")).value());
}

TEST(ReadService, ANetmaskHasThreeSpellings) {
    for (const char* spelling : {"\"255.255.255.0\"", "\"/24\"", "24", "\"24\""}) {
        const auto s = service(with_key("\"persistent\": true, \"netmask\": " + std::string(spelling)));
        ASSERT_TRUE(s) << spelling;
        EXPECT_EQ(s->netmask, 24) << spelling;
    }
    for (const char* spelling : {"64", "\"/64\""}) {
        const auto s = service(R"({"host": "2001:db8::1", "port": 80, "persistent": true, "netmask": )" +
                               std::string(spelling) + "}");
        ASSERT_TRUE(s) << spelling;
        EXPECT_EQ(s->netmask, 64) << spelling;
    }
}

TEST(ReadService, AnotherNetmaskIsAFault) {
    for (const char* bad :
         {"0", "33", "-1", "24.5", "\"255.0.255.0\"", "\"0.0.0.0\"", "\"/\"", "\"/33\"", "\"\"", "\"24x\"",
          "\"/+4\"", "\"/ 24\"", "\"/999999999999\"", "true", "{}", "\"::\"", "280"}) {
        EXPECT_EQ(pointers_of(service(with_key("\"persistent\": true, \"netmask\": " + std::string(bad)))),
                  "/netmask")
            << bad;
    }
    for (const char* bad : {"129", "\"255.255.255.0\"", "\"ffff::\""}) {
        EXPECT_EQ(pointers_of(service(R"({"host": "::2", "port": 80, "persistent": true, "netmask": )" +
                                      std::string(bad) + "}")),
                  "/netmask")
            << bad;
    }
    EXPECT_EQ(pointers_of(service(with_key(R"("netmask": 24)"))), "/netmask");  // without persistence
}

TEST(ReadService, EveryWrongFieldIsReportedAtOnceAndOnlyOnce) {
    const auto s = service(
        R"({"address": "x", "port": "80", "protocol": "sctp", "method": 1, "flags": 1, "persistent": "x", "netmask": "x", "a/b": 1, "vsid": "x"})");
    EXPECT_EQ(pointers_of(s), "/address /a~1b /flags /method /netmask /persistent /port /protocol /vsid");
    EXPECT_EQ(s.error().sentence.rfind("/address must be a numeric IP address", 0), 0U) << s.error().sentence;
    EXPECT_NE(s.error().sentence.find("(and 8 more faults)"), std::string::npos);
    EXPECT_NE(
        faults_of(s).at("/vsid").find(
            "known are: address, fallback, flags, host, hysteresis, max-down, method, netmask, on-down, "),
        std::string::npos);
}

TEST(ReadService, WhatIsNoObjectIsRefusedWithoutFaults) {
    for (const char* body : {"", "[]", "null", "{\"port\": 80", "address=10.0.0.1"}) {
        const auto s = service(body);
        ASSERT_FALSE(s);
        EXPECT_EQ(s.error().code, base::Errc::invalid);
        EXPECT_TRUE(s.error().faults.empty());
        EXPECT_FALSE(s.error().sentence.empty());
    }
}

TEST(ReadService, ABadNameIsRefused) {
    const auto s = read_service("a b", with_key(""), {});
    ASSERT_FALSE(s);
    EXPECT_NE(s.error().sentence.find("1 to 128 characters"), std::string::npos);
}

TEST(WriteService, TheFieldsAreUpstreamsAndMore) {
    const auto s = service(
        with_key(R"("method": "sh", "flags": "sh-port|sh-fallback", "persistent": 60, "netmask": 24)"));
    EXPECT_EQ(
        written(*s),
        R"({"host":"10.0.0.1","address":"10.0.0.1","port":80,"protocol":"tcp","method":"sh","flags":"sh-fallback|sh-port",)"
        R"("persistent":true,"persistence-timeout":60,"netmask":"255.255.255.0"})");
    const auto v6 = service(R"({"host": "2001:db8::1", "port": 53, "protocol": "udp", "persistent": true})");
    EXPECT_EQ(
        written(*v6),
        R"({"host":"2001:db8::1","address":"2001:db8::1","port":53,"protocol":"udp","method":"wrr","flags":"",)"
        R"("persistent":true,"persistence-timeout":300,"netmask":128})");
    EXPECT_EQ(
        written(*service(with_key(""))),
        R"({"host":"10.0.0.1","address":"10.0.0.1","port":80,"protocol":"tcp","method":"wrr","flags":"","persistent":false})");
}

class PatchService : public testing::Test {
  protected:
    base::Result<Service> patch(std::string_view body) { return patch_service(now, body); }
    Service now =
        service(with_key(R"("method": "sh", "flags": "sh-port", "persistent": 60, "netmask": 24)")).value();
};

TEST_F(PatchService, OnlyWhatIsNamedChanges) {
    EXPECT_EQ(patch("{}").value(), now);
    Service expected = now;
    expected.flags = flag_fallback;
    EXPECT_EQ(patch(R"({"flags": "sh-fallback"})").value(), expected);
    expected = now;
    expected.persistence_s = 120;
    EXPECT_EQ(patch(R"({"persistence-timeout": 120})").value(), expected);
    EXPECT_EQ(patch(R"({"persistent": "2m"})").value(), expected);
    EXPECT_EQ(patch(R"({"persistent": true})").value(), now);  // it is
    expected = now;
    expected.netmask = 16;
    EXPECT_EQ(patch(R"({"netmask": "255.255.0.0"})").value(), expected);
}

TEST_F(PatchService, WithoutPersistenceThereIsNoNetmask) {
    const Service s = patch(R"({"persistent": false})").value();
    EXPECT_EQ(s.persistence_s, 0U);
    EXPECT_EQ(s.netmask, 32);
    EXPECT_EQ(pointers_of(patch(R"({"persistent": false, "netmask": 24})")), "/netmask");
}

TEST_F(PatchService, TheKeyIsAcceptedAsItIsAndRefusedOtherwise) {
    EXPECT_EQ(
        patch(R"({"address": "10.0.0.1", "host": "::ffff:10.0.0.1", "port": 80, "protocol": "TCP"})").value(),
        now);
    EXPECT_EQ(pointers_of(patch(R"({"host": "10.0.0.2", "port": 81, "protocol": "udp"})")),
              "/host /port /protocol");
    const auto faults = faults_of(patch(R"({"address": "10.0.0.2"})"));
    EXPECT_NE(
        faults.at("/address").find("the kernel knows a virtual service by its address, port and protocol"),
        std::string::npos);
    EXPECT_NE(faults.at("/address").find("create another service and delete this one"), std::string::npos);
    EXPECT_EQ(pointers_of(patch(R"({"address": "x", "port": "80"})")), "/address /port");
}

// Of upstream's ServiceOptions, where only a scheduler's settings, or nothing, is set.
TEST_F(PatchService, WhatGoWritesForWhatIsNotSetChangesNothing) {
    EXPECT_EQ(
        patch(R"({"host":"","port":0,"protocol":"","method":"","flags":"","persistent":false})").value(),
        now);
    Service expected = now;
    expected.persistence_s = 0;
    expected.netmask = 32;
    EXPECT_EQ(patch(R"({"persistent": false})").value(), expected);
    EXPECT_EQ(patch(R"({"method": "sh", "flags": ""})")->flags, 0U);
    EXPECT_EQ(pointers_of(patch(R"({"port": 0})")), "/port");
}

TEST_F(PatchService, TheRulesAreAppliedToTheResult) {
    EXPECT_EQ(pointers_of(patch(R"({"method": "wrr"})")), "/flags");
    EXPECT_TRUE(patch(R"({"method": "wrr", "flags": ""})"));
    EXPECT_EQ(patch(R"({"method": "mh"})")->flags, flag_port);  // the same two bits
    EXPECT_EQ(pointers_of(patch(R"({"flags": "mh-port"})")), "/flags");
    now.key.vip.port = 0;
    EXPECT_EQ(pointers_of(patch(R"({"persistent": false})")), "/port");
}

TEST_F(PatchService, UnknownFieldsAreFaults) {
    EXPECT_EQ(pointers_of(patch(R"({"name": "x", "mthod": null, "persistent": true})")), "/mthod /name");
}

TEST(ReadService, PoolPolicyIsReadAndWrittenWhereItIsNotTheDefault) {
    const auto s = service(with_key(
        R"("on-down": "remove", "fallback": "off", "recovery": "history", "quorum": 3, "hysteresis": 1,
            "panic-threshold": "30%", "max-down": 50)"));
    ASSERT_TRUE(s) << s.error().sentence;
    EXPECT_EQ(s->pool.on_down, OnDown::remove);
    EXPECT_TRUE(s->pool.refuse_fallback);
    EXPECT_EQ(s->pool.recovery, Recovery::history);
    EXPECT_EQ(s->pool.quorum, 3U);
    EXPECT_EQ(s->pool.hysteresis, 1U);
    EXPECT_EQ(s->pool.panic_threshold, 30U);
    EXPECT_EQ(s->pool.max_down, 50U);
    EXPECT_NE(written(*s).find(
                  R"("on-down":"remove","fallback":"off","recovery":"history","quorum":3,"hysteresis":1,)"
                  R"("panic-threshold":"30%","max-down":"50%")"),
              std::string::npos)
        << written(*s);
    EXPECT_EQ(pointers_of(service(with_key(
                  R"("on-down": "kill", "fallback": true, "recovery": 1, "quorum": 0, "hysteresis": -1,
                      "panic-threshold": "101%", "max-down": "x", "slow-start": "soon", "slow-start-least": 0)"))),
              "/fallback /hysteresis /max-down /on-down /panic-threshold /quorum /recovery /slow-start "
              "/slow-start-least");
}

TEST(ReadService, ASlowStartIsARampAndARampHasOne) {
    const auto pool = [](const std::string& members) { return service(with_key(members)).value().pool; };
    EXPECT_EQ(pool(R"("slow-start": "30s")").recovery, Recovery::ramp);
    EXPECT_EQ(pool(R"("recovery": "ramp")").slow_start, 60s);
    EXPECT_EQ(pointers_of(service(with_key(R"("recovery": "immediate", "slow-start": "30s")"))),
              "/slow-start");
    // null is as left out.
    EXPECT_EQ(pool(R"("recovery": null, "slow-start": "30s")"), pool(R"("slow-start": "30s")"));
    EXPECT_EQ(pool(R"("recovery": "ramp", "slow-start": null)"), pool(R"("recovery": "ramp")"));
    EXPECT_EQ(pool(R"("recovery": null, "slow-start": null)"), PoolPolicy{});
    const auto ramp = service(with_key(R"("slow-start": "30s")")).value();
    EXPECT_EQ(patch_service(ramp, R"({"recovery": "history"})").value().pool.slow_start, 0s);
    EXPECT_EQ(patch_service(ramp, R"({"slow-start": null})").value().pool, PoolPolicy{});
    EXPECT_EQ(patch_service(ramp, R"({"slow-start": "5s"})").value().pool.slow_start, 5s);
    EXPECT_EQ(patch_service(ramp, R"({"recovery": null})").value().pool, PoolPolicy{});
    EXPECT_EQ(patch_service(ramp, R"({"recovery": null, "slow-start": null})").value().pool, PoolPolicy{});
    EXPECT_EQ(patch_service(ramp, R"({"recovery": null, "slow-start": "5s"})").value().pool.slow_start, 5s);
}

}  // namespace
}  // namespace gorb::model::service_codec_test
