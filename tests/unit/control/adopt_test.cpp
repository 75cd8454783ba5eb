// What of the kernel's virtual services can be gorb's.
#include "control/adopt.h"

#include <gmock/gmock.h>
#include <linux/ip_vs.h>

#include "model/rules.h"

namespace gorb::control::adopt_test {
namespace {

using base::Errc;
using testing::HasSubstr;

ipvs::ServiceRecord service() {
    ipvs::ServiceRecord record;
    record.key = ipvs::ServiceKey::of(6, *base::Endpoint::parse("10.0.0.1:80"));
    record.scheduler = "wrr";
    record.netmask = 32;
    return record;
}

ipvs::DestRecord dest(const char* address) {
    ipvs::DestRecord record;
    record.address = *base::Endpoint::parse(address);
    record.weight = 1;
    return record;
}

std::string refusal(const base::Result<model::ConfigService>& result) {
    if (result) return "adopted";
    EXPECT_EQ(result.error().code, Errc::exists);
    return result.error().sentence;
}

TEST(Adopt, WhatIsAdoptedKeepsAllRules) {
    ipvs::ServiceRecord persistent = service();
    persistent.flags = IP_VS_SVC_F_PERSISTENT;
    persistent.timeout_s = 2592000;
    persistent.netmask = 24;
    const auto found = adopted(persistent, {dest("10.1.0.1:80")}, "", {});
    ASSERT_TRUE(found) << found.error().sentence;
    EXPECT_TRUE(model::service_violations(found->spec).empty());
    EXPECT_TRUE(model::backend_violations(found->backends.at(0)).empty());
}

// ipvsadm -p takes up to 31 days, gorb 30: stored, it would be a store that does not open again.
TEST(Adopt, AServiceThatGorbsRulesRefuseIsRefusedByItsField) {
    ipvs::ServiceRecord persistent = service();
    persistent.flags = IP_VS_SVC_F_PERSISTENT;
    persistent.timeout_s = 2678400;
    EXPECT_THAT(refusal(adopted(persistent, {}, "", {})), HasSubstr("\"persistent\""));
    ipvs::ServiceRecord grouped = service();
    grouped.netmask = 24;
    EXPECT_THAT(refusal(adopted(grouped, {}, "", {})), HasSubstr("\"netmask\""));
    ipvs::ServiceRecord unscheduled = service();
    unscheduled.scheduler = "none";
    EXPECT_THAT(refusal(adopted(unscheduled, {}, "", {})), HasSubstr("\"method\""));
}

// As one of gorb's it would lose it, at the next start at the latest.
TEST(Adopt, WhatGorbHasNoWordForIsRefusedByItsName) {
    ipvs::ServiceRecord found = service();
    found.flags = IP_VS_SVC_F_ONEPACKET;
    EXPECT_THAT(refusal(adopted(found, {}, "", {})), HasSubstr("one-packet scheduling"));
    found.flags = 0x20;
    EXPECT_THAT(refusal(adopted(found, {}, "", {})), HasSubstr("flags 32"));
    found.flags = IP_VS_SVC_F_PERSISTENT;
    EXPECT_THAT(refusal(adopted(found, {}, "", {})), HasSubstr("persistent for 0 s"));
    found.timeout_s = 300;
    found.pe_name = "sip";
    EXPECT_THAT(refusal(adopted(found, {}, "", {})), HasSubstr("persistence engine sip"));
    ipvs::DestRecord tunnel = dest("10.1.0.1:80");
    tunnel.forwarding = IP_VS_CONN_F_TUNNEL;
    EXPECT_EQ(refusal(adopted(service(), {tunnel}, "", {})), "adopted");
    tunnel.tunnel_flags = 1;
    EXPECT_THAT(refusal(adopted(service(), {tunnel}, "", {})), HasSubstr("options of its tunnel"));
    tunnel.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GUE;
    EXPECT_THAT(refusal(adopted(service(), {tunnel}, "", {})), HasSubstr("GUE"));
    tunnel.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GRE;
    EXPECT_THAT(refusal(adopted(service(), {tunnel}, "", {})), HasSubstr("GRE"));
    ipvs::DestRecord bypass = dest("10.1.0.1:80");
    bypass.forwarding = IP_VS_CONN_F_BYPASS;
    EXPECT_THAT(refusal(adopted(service(), {bypass}, "", {})), HasSubstr("forwarding method 4"));
}

TEST(Adopt, ADestinationThatGorbsRulesRefuseIsRefusedByItsField) {
    ipvs::DestRecord thresholds = dest("10.1.0.1:80");
    thresholds.upper_threshold = 5;
    thresholds.lower_threshold = 6;
    const auto sentence = refusal(adopted(service(), {thresholds}, "", {}));
    EXPECT_THAT(sentence, HasSubstr("\"lower-threshold\""));
    EXPECT_THAT(sentence, HasSubstr("10.1.0.1:80"));
    EXPECT_THAT(refusal(adopted(service(), {dest("224.0.0.1:80")}, "", {})), HasSubstr("\"address\""));
    thresholds.lower_threshold = 0;
    thresholds.upper_threshold = 2147483648;  // of 32 bits in the kernel
    EXPECT_THAT(refusal(adopted(service(), {thresholds}, "", {})), HasSubstr("\"upper-threshold\""));
}

// The kernel takes it, and goes by the service's port; the "port" of the request is another one.
TEST(Adopt, ADestinationThatDoesNotSuitItsServiceIsRefusedByItsField) {
    ipvs::DestRecord other_port = dest("10.1.0.1:8080");
    other_port.forwarding = IP_VS_CONN_F_DROUTE;
    const auto sentence = refusal(adopted(service(), {other_port}, "", {}));
    EXPECT_THAT(sentence, HasSubstr("its destination 10.1.0.1:8080 has a \"port\""));
    EXPECT_THAT(sentence, HasSubstr("must be 80"));
}

// A tcp check would be refused by a server that speaks UDP, and all of them would be down at once.
TEST(Adopt, WhatATcpCheckTellsNothingOfIsNotCheckedUnlessThatIsSaid) {
    const auto type = [](const ipvs::ServiceRecord& record, const char* address,
                         const std::optional<model::PulseList>& pulses) {
        const auto found = adopted(record, {dest(address)}, "", pulses);
        return found ? found->backends.at(0).pulses[0].type : found.error().sentence;
    };
    ipvs::ServiceRecord udp = service();
    udp.key.protocol = 17;
    ipvs::ServiceRecord every_port = service();
    every_port.key.vip.port = 0;
    every_port.flags = IP_VS_SVC_F_PERSISTENT;
    every_port.timeout_s = 60;
    EXPECT_EQ(type(service(), "10.1.0.1:80", {}), "tcp");
    EXPECT_EQ(type(udp, "10.1.0.1:80", {}), "none");
    EXPECT_EQ(type(every_port, "10.1.0.1:0", {}), "none");
    EXPECT_EQ(type(every_port, "10.1.0.1:80", {}), "tcp");
    EXPECT_EQ(type(udp, "10.1.0.1:80", model::PulseList()), "tcp");
}

// ip_vs_sh.c fills its table destination by destination, with as many slots as the weight says.
TEST(Adopt, WhereItGivesShOtherSlotsThatIsSaid) {
    const auto note = [](const char* scheduler, uint32_t weight, uint32_t other) {
        ipvs::ServiceRecord record = service();
        record.scheduler = scheduler;
        ipvs::DestRecord one = dest("10.1.0.1:80"), two = dest("10.1.0.2:80");
        one.weight = weight;
        two.weight = other;
        return note_on_adopted(*adopted(record, {one, two}, "", {}));
    };
    EXPECT_THAT(note("sh", 100, 50), HasSubstr("divisor, 50 here"));
    EXPECT_EQ(note("sh", 3, 2), "");
    EXPECT_EQ(note("sh", 100, 0), "") << "who serves alone has all slots";
    EXPECT_EQ(note("wrr", 100, 50), "");
}

TEST(Adopt, PulsesThatDoNotSuitAreTheRequestsFault) {
    model::PulseSpec pulse;
    pulse.source = base::Endpoint::parse("[fd00::1]:1")->ip;
    const auto found = adopted(service(), {dest("10.1.0.1:80")}, "", model::PulseList({pulse}));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::invalid);
    EXPECT_EQ(found.error().faults.at(0).pointer, "/pulse/source");
}

}  // namespace
}  // namespace gorb::control::adopt_test
