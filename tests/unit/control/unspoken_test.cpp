// What gorb has no word for (a tunnel's type, a persistence engine, one-packet scheduling): what has it is
// not taken over, and what of gorb's gets it from somebody is set back, like any other drift.
#include <gmock/gmock.h>
#include <linux/ip_vs.h>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::unspoken_test {
namespace {

using ipvs::Op;
using testing::HasSubstr;

constexpr char vip[] = "10.0.0.1:80", server[] = "10.1.0.1:80";

struct UnspokenTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;
    model::Service web = service("web", vip);
    model::Backend b1 = backend("b1", server, 0);
    // As gorb has them, and with words that gorb has not.
    ipvs::ServiceRecord spoken_service, service_record;
    ipvs::DestRecord spoken_dest, dest;

    UnspokenTest() {
        registry.load({GORB_PLUGINS});
        web.persistence_s = 300;
        b1.forwarding = model::Forwarding::tunnel;
        service_record = spoken_service = reconcile::service_record(web);
        service_record.flags |= IP_VS_SVC_F_ONEPACKET;
        service_record.pe_name = "sip";
        dest = spoken_dest = reconcile::dest_record(b1, 0);
        dest.tunnel_type = IP_VS_CONN_F_TUNNEL_TYPE_GUE;
        dest.tunnel_port = 6080;
    }
    void start(bool repair = true) {
        Options options;
        options.reconcile_period_ns = 0;
        options.repair_drift = repair;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    void apply(const Op& op) { ASSERT_TRUE(table.apply(std::vector{op}).front()); }
    std::string refusal(Change change) {
        const auto done = submit(*control, std::move(change)).get();
        if (done) return "done";
        EXPECT_EQ(done.error().code, base::Errc::exists);
        return done.error().sentence;
    }
    void expect(const ipvs::ServiceRecord& wanted, const ipvs::DestRecord& wanted_dest) {
        EXPECT_TRUE((**table.service(key(vip))).same_settings(wanted));
        ASSERT_EQ(table.dests(key(vip))->size(), 1U);
        EXPECT_TRUE(table.dests(key(vip))->front().same_settings(wanted_dest));
    }
};

TEST_F(UnspokenTest, WhatSomebodyGaveToEntriesOfGorbsIsSetBack) {
    start();
    ASSERT_TRUE(submit(*control, PutService{web, {}}).get());
    ASSERT_TRUE(submit(*control, PutBackend{"web", b1, {}}).get());
    apply(Op::edit(service_record));
    apply(Op::edit(key(vip), dest));
    EXPECT_EQ(look(*control)->drift, 2U);
    expect(spoken_service, spoken_dest);
    EXPECT_EQ(look(*control)->drift, 0U);
    // A start makes everything as it should be.
    disk.content.services.push_back({web, 1, model::Origin::api, {{b1, 2, {}, 0}}});
    control.reset();
    apply(Op::edit(service_record));
    apply(Op::edit(key(vip), dest));
    start();
    expect(spoken_service, spoken_dest);
}

TEST_F(UnspokenTest, WhereDriftIsOnlyReportedItIsToldOf) {
    start(false);
    ASSERT_TRUE(submit(*control, PutService{web, {}}).get());
    ASSERT_TRUE(submit(*control, PutBackend{"web", b1, {}}).get());
    apply(Op::edit(service_record));
    apply(Op::edit(key(vip), dest));
    EXPECT_EQ(look(*control)->drift, 2U);
    std::string told;
    for (const Event& event : control->events(0)) told += event.after + "\n";
    EXPECT_THAT(told, HasSubstr("one-packet"));
    EXPECT_THAT(told, HasSubstr("persistence engine sip"));
    EXPECT_THAT(told, HasSubstr("tunnel type 1 port 6080"));
    expect(service_record, dest);
}

TEST_F(UnspokenTest, WhatHasItIsTakenOverByNoWayAndLeftAsItIs) {
    start();
    apply(Op::add(service_record));
    apply(Op::add(key(vip), dest));
    EXPECT_THAT(refusal(Adopt{key(vip), "web", {}}), HasSubstr("one-packet"));
    EXPECT_THAT(refusal(PutService{web, {}, true}), HasSubstr("one-packet"));
    expect(service_record, dest);
    EXPECT_EQ(disk.writes(), 0U);
    apply(Op::edit(spoken_service));
    EXPECT_THAT(refusal(Adopt{key(vip), "web", {}}), HasSubstr("10.1.0.1:80 in 10.0.0.1:80/tcp"));
    ASSERT_TRUE(submit(*control, PutService{web, {}, true}).get());
    EXPECT_THAT(refusal(PutBackend{"web", b1, {}, true}), HasSubstr("GUE"));
    expect(spoken_service, dest);
    apply(Op::edit(key(vip), spoken_dest));
    ASSERT_TRUE(submit(*control, PutBackend{"web", b1, {}, true}).get());
}

TEST_F(UnspokenTest, AServiceThatMovesTakesOverNothingThatHasItForItsBackendsEither) {
    start();
    ASSERT_TRUE(submit(*control, PutService{service("web", "10.0.0.2:80"), {}}).get());
    ASSERT_TRUE(submit(*control, PutBackend{"web", b1, {}}).get());
    ASSERT_TRUE(submit(*control, PutBackend{"web", backend("b2", "10.1.0.2:80"), {}}).get());
    apply(Op::add(spoken_service));
    dest.weight = 33;
    apply(Op::add(key(vip), dest));
    const size_t writes = disk.writes();
    EXPECT_THAT(refusal(PutService{web, Match{true, {}}, true}),
                AllOf(HasSubstr("10.1.0.1:80 in 10.0.0.1:80/tcp"), HasSubstr("GUE")));
    expect(spoken_service, dest);
    EXPECT_EQ(table.dests(key("10.0.0.2:80"))->size(), 2U);
    EXPECT_EQ(disk.writes(), writes);
    apply(Op::edit(key(vip), spoken_dest));
    ASSERT_TRUE(submit(*control, PutService{web, Match{true, {}}, true}).get());
    EXPECT_EQ(table.dests(key(vip))->size(), 2U);
}

}  // namespace
}  // namespace gorb::control::unspoken_test
