#include "reconcile/plan.h"

#include <gtest/gtest.h>
#include <linux/ip_vs.h>

#include <cerrno>
#include <string>
#include <vector>

#include "ipvs/memory_driver.h"

namespace gorb::reconcile::plan_test {
namespace {

using ipvs::Op;

base::Endpoint at(const std::string& text) {
    return *base::Endpoint::parse(text);
}
ipvs::ServiceKey web(const std::string& vip = "10.0.0.1:80") {
    return ipvs::ServiceKey::of(6, at(vip));
}
ipvs::DestRecord dest(const std::string& address, uint32_t weight = 100) {
    ipvs::DestRecord d;
    d.address = at(address);
    d.weight = weight;
    return d;
}
TableService service(const ipvs::ServiceKey& key, const std::vector<ipvs::DestRecord>& dests) {
    TableService out;
    out.record.key = key;
    out.record.scheduler = "wrr";
    out.record.netmask = 32;
    for (const auto& d : dests) out.dests[d.address] = d;
    return out;
}
Table table(const std::vector<TableService>& services) {
    Table out;
    for (const auto& s : services) out[s.record.key] = s;
    return out;
}
std::vector<std::string> texts(const Table& wanted, const Table& found, const std::set<Entry>& leaving) {
    std::vector<std::string> out;
    for (const Op& op : plan(wanted, found, leaving).ops) {
        auto [before, after] = words_of(op, found);
        if (!before.empty() && !after.empty()) before += " -> ";
        out.push_back(op.text().append(": ").append(before).append(after));
    }
    return out;
}
using Texts = std::vector<std::string>;

TEST(Plan, AnEmptyTableIsFilledServicesFirst) {
    const Table wanted = table({service(web(), {dest("10.1.0.1:80"), dest("10.1.0.2:80", 7)})});
    EXPECT_EQ(texts(wanted, {}, {}),
              (Texts{"add virtual service 10.0.0.1:80/tcp: wrr",
                     "add destination 10.1.0.1:80 to 10.0.0.1:80/tcp: nat, weight 100",
                     "add destination 10.1.0.2:80 to 10.0.0.1:80/tcp: nat, weight 7"}));
}

TEST(Plan, WhatDiffersIsEditedInPlaceAndSaid) {
    TableService wanted = service(web(), {dest("10.1.0.1:80", 0)});
    TableService found = service(web(), {dest("10.1.0.1:80", 100)});
    found.record.scheduler = "rr";
    found.record.flags = IP_VS_SVC_F_PERSISTENT;
    found.record.timeout_s = 300;
    const Plan made = plan(table({wanted}), table({found}), {});
    EXPECT_EQ(texts(table({wanted}), table({found}), {}),
              (Texts{"change virtual service 10.0.0.1:80/tcp: rr, persistent 300 s -> wrr, "
                     "no persistent 300 s",
                     "change destination 10.1.0.1:80 of 10.0.0.1:80/tcp: weight 100 -> weight 0"}));
    EXPECT_EQ(made.removals, 0U);
    EXPECT_EQ(made.ours, 2U);
}

TEST(Plan, ForeignServicesAndDestinationsStayAsTheyAre) {
    const Table wanted = table({service(web(), {dest("10.1.0.1:80")})});
    const Table found = table({service(web(), {dest("10.1.0.1:80"), dest("10.1.0.9:80", 3)}),
                               service(web("10.0.0.9:80"), {dest("10.1.0.1:80", 3)})});
    const Plan made = plan(wanted, found, {});
    EXPECT_TRUE(made.ops.empty());
    EXPECT_EQ(made.ours, 2U);
}

TEST(Plan, WhatLeavesGoesLastAndIsReportedWhenItIsGone) {
    const Entry service_goes{web("10.0.0.2:80"), std::nullopt};
    const Entry dest_goes{web(), at("10.1.0.2:80")};
    const Entry with_its_service{web("10.0.0.2:80"), at("10.1.0.1:80")};
    const Entry of_a_foreign_one{web("10.0.0.9:80"), at("10.1.0.1:80")};
    const Entry gone_already{web("10.0.0.3:80"), at("10.1.0.1:80")};
    const std::set<Entry> leaving = {service_goes, dest_goes, with_its_service, of_a_foreign_one,
                                     gone_already};
    const Table wanted = table({service(web(), {dest("10.1.0.1:80")})});
    const Table found =
        table({service(web(), {dest("10.1.0.2:80")}), service(web("10.0.0.2:80"), {dest("10.1.0.1:80")}),
               service(web("10.0.0.9:80"), {dest("10.1.0.1:80"), dest("10.1.0.2:80")})});
    const Plan made = plan(wanted, found, leaving);
    EXPECT_EQ(texts(wanted, found, leaving),
              (Texts{"add destination 10.1.0.1:80 to 10.0.0.1:80/tcp: nat, weight 100",
                     "remove destination 10.1.0.2:80 from 10.0.0.1:80/tcp: nat, weight 100",
                     "remove destination 10.1.0.1:80 from 10.0.0.9:80/tcp: nat, weight 100",
                     "remove virtual service 10.0.0.2:80/tcp: wrr"}));
    EXPECT_EQ(made.gone, std::vector{gone_already});
    EXPECT_EQ(made.removals, 4U);
    EXPECT_EQ(made.ours, 5U);
}

TEST(Plan, WhatIsWantedAndLeavingIsWanted) {
    const Table wanted = table({service(web(), {dest("10.1.0.1:80")})});
    const std::set<Entry> leaving = {{web(), std::nullopt}, {web(), at("10.1.0.1:80")}};
    EXPECT_TRUE(plan(wanted, wanted, leaving).ops.empty());
    EXPECT_EQ(plan(wanted, wanted, leaving).removals, 0U);
}

TEST(Plan, ADestinationThatTheKernelMadeLocalIsNoDrift) {
    for (const uint32_t forwarding : {IP_VS_CONN_F_MASQ, IP_VS_CONN_F_TUNNEL, IP_VS_CONN_F_DROUTE}) {
        auto asked = dest("10.1.0.1:80");
        asked.forwarding = forwarding;
        auto local = asked;
        local.forwarding = IP_VS_CONN_F_LOCALNODE;
        const Table wanted = table({service(web(), {asked})});
        EXPECT_TRUE(plan(wanted, table({service(web(), {local})}), {}).ops.empty());
        local.weight = 1;
        const Table found = table({service(web(), {local})});
        const Plan made = plan(wanted, found, {});
        ASSERT_EQ(made.ops.size(), 1U);
        EXPECT_EQ(made.ops[0].dest.forwarding, forwarding);
        EXPECT_EQ(words_of(made.ops[0], found).before, "weight 1");
    }
    auto bypass = dest("10.1.0.1:80");
    bypass.forwarding = IP_VS_CONN_F_BYPASS;
    const Table found = table({service(web(), {bypass})});
    const Plan made = plan(table({service(web(), {dest("10.1.0.1:80")})}), found, {});
    ASSERT_EQ(made.ops.size(), 1U);
    EXPECT_EQ(words_of(made.ops[0], found).before, "bypass");
}

TEST(Plan, TheGuardRefusesMoreThanItsShareButNeverItsLeast) {
    Plan made;
    made.ours = 100;
    made.removals = 50;
    EXPECT_EQ(too_much(made, {50, 20}), "");
    made.removals = 51;
    const std::string refusal = too_much(made, {50, 20});
    EXPECT_NE(refusal.find("51 of the 100"), std::string::npos) << refusal;
    EXPECT_NE(refusal.find("50 %"), std::string::npos) << refusal;
    EXPECT_EQ(too_much(made, {50, 51}), "");
    made.removals = 100;
    EXPECT_EQ(too_much(made, {100, 0}), "");
    EXPECT_NE(too_much(made, {0, 20}), "");
    made.ours = made.removals = 20;
    EXPECT_EQ(too_much(made, {0, 20}), "");
    EXPECT_EQ(too_much({}, {0, 0}), "");
}

TEST(Plan, SettingsAreSaidInWords) {
    ipvs::ServiceRecord s = service(web(), {}).record;
    s.scheduler = "sh";
    s.flags = IP_VS_SVC_F_PERSISTENT | 0x18 | IP_VS_SVC_F_ONEPACKET;
    s.timeout_s = 300;
    s.netmask = 24;
    s.pe_name = "sip";
    EXPECT_EQ(settings_text(s),
              "sh, sh-fallback|sh-port one-packet, persistent 300 s, netmask /24, "
              "persistence engine sip");
    ipvs::DestRecord d = dest("10.1.0.1:80", 5);
    d.forwarding = IP_VS_CONN_F_TUNNEL;
    d.upper_threshold = 10;
    d.lower_threshold = 7;
    d.tunnel_type = 1;
    d.tunnel_port = 6080;
    EXPECT_EQ(settings_text(d),
              "tunnel, weight 5, upper-threshold 10, lower-threshold 7, tunnel type 1 port "
              "6080 flags 0");
}

TEST(Table, AServiceThatGoesWhileItIsReadIsNotInItAndAnErrorIsTheResult) {
    // A driver whose list of services is older than its destinations.
    class Stale : public ipvs::Driver {
      public:
        base::Result<ipvs::Info> info() override { return inner.info(); }
        base::Result<std::vector<ipvs::ServiceRecord>> services() override {
            auto all = inner.services();
            if (all) all->push_back(plan_test::service(web("10.0.0.9:80"), {}).record);
            return all;
        }
        base::Result<std::optional<ipvs::ServiceRecord>> service(const ipvs::ServiceKey& key) override {
            return inner.service(key);
        }
        base::Result<std::vector<ipvs::DestRecord>> dests(const ipvs::ServiceKey& key) override {
            return inner.dests(key);
        }
        std::vector<base::Status> apply(std::span<const Op> ops) override { return inner.apply(ops); }
        base::Status flush() override { return inner.flush(); }
        base::Result<std::vector<std::string>> probe_schedulers(
            std::span<const std::string_view> names) override {
            return inner.probe_schedulers(names);
        }
        ipvs::MemoryDriver inner;
    };
    Stale driver;
    const TableService one = service(web(), {dest("10.1.0.2:80"), dest("10.1.0.1:80")});
    const std::vector<Op> ops = {Op::add(one.record), Op::add(web(), dest("10.1.0.2:80")),
                                 Op::add(web(), dest("10.1.0.1:80"))};
    for (const auto& answer : driver.apply(ops)) ASSERT_TRUE(answer);
    const auto read = read_table(driver);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->size(), 1U);
    EXPECT_EQ(read->at(web()).dests.size(), 2U);
    driver.inner.fail_reads(EIO);
    EXPECT_FALSE(read_table(driver));
}

}  // namespace
}  // namespace gorb::reconcile::plan_test
