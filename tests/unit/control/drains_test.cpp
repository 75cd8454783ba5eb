// When a drain is over, and what comes of one whose end is refused.
#include "control/drains.h"

#include <gtest/gtest.h>

#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "store/transitions.h"

namespace gorb::control::drains_test {
namespace {

using base::second;

// web with b1, which has a connection.
struct DrainsTest : testing::Test {
    base::ManualClock clock;
    ipvs::MemoryDriver driver;
    Drains drains{clock};
    model::Service service;
    model::SnapshotPtr now;

    DrainsTest() {
        service.name = "web";
        service.key.vip = *base::Endpoint::parse("10.0.0.1:80");
    }
    void SetUp() override {
        const auto record = reconcile::service_record(service);
        const auto dest = reconcile::dest_record(backend(base::Nanos(0)), 0);
        for (const auto& status :
             driver.apply(std::vector{ipvs::Op::add(record), ipvs::Op::add(record.key, dest)}))
            ASSERT_TRUE(status);
        ASSERT_TRUE(driver.set_counters(record.key, dest.address, 1, 0));
    }
    static model::Backend backend(base::Nanos timeout) {
        model::Backend b;
        b.name = "b1";
        b.address = *base::Endpoint::parse("10.1.0.1:80");
        b.admin = model::Admin::drain;
        b.drain_timeout = model::drain_time(timeout);
        b.drain_then = model::DrainThen::remove;
        return b;
    }
    // `since`: when the drain was set so, wall ns.
    void become(const model::Backend& spec, uint64_t revision, int64_t since) {
        auto entry = std::make_shared<model::BackendEntry>();
        entry->spec = spec;
        entry->id = model::BackendId{1};
        entry->revision = revision;
        entry->drain_since = since;
        store::Builder builder;
        builder.add(service, 1, model::Origin::api);
        builder.add(model::BackendPtr(entry));
        now = std::make_shared<const model::Snapshot>(builder.finish(revision));
        drains.follow("web", *entry);
    }
    size_t over_after(uint64_t ns) {
        clock.advance(ns);
        return drains.look(*now, driver).size();
    }
    DrainView view() { return *drains.view(model::BackendId{1}); }
};

TEST_F(DrainsTest, TheTimeCountsFromWhenItWasSaid) {
    become(backend(base::Nanos(0)), 1, clock.wall());
    EXPECT_EQ(view().deadline_wall, 0);
    EXPECT_EQ(over_after(3600 * second), 0U);
    const int64_t said = clock.wall();
    become(backend(std::chrono::seconds(30)), 2, said);
    EXPECT_EQ(view().since_wall, said);
    EXPECT_EQ(view().deadline_wall, clock.wall() + static_cast<int64_t>(30 * second));
    EXPECT_EQ(over_after(29 * second), 0U);
    EXPECT_EQ(over_after(second), 1U);
}

TEST_F(DrainsTest, WhatIsChangedBesidesLeavesTheTimeAsItIs) {
    const int64_t said = clock.wall();
    become(backend(std::chrono::seconds(30)), 1, said);
    const int64_t deadline = view().deadline_wall;
    EXPECT_EQ(over_after(20 * second), 0U);
    model::Backend heavier = backend(std::chrono::seconds(30));
    heavier.weight = 50;
    become(heavier, 2, said);
    EXPECT_EQ(view().deadline_wall, deadline);
    EXPECT_EQ(over_after(10 * second), 1U);
}

TEST_F(DrainsTest, AfterARestartItGoesOnWithWhatIsLeftOfTheTime) {
    const int64_t said = clock.wall() - static_cast<int64_t>(20 * second);
    become(backend(std::chrono::seconds(30)), 1, said);
    EXPECT_EQ(view().since_wall, said);
    EXPECT_EQ(view().deadline_wall, said + static_cast<int64_t>(30 * second));
    EXPECT_EQ(over_after(9 * second), 0U);
    EXPECT_EQ(over_after(second), 1U);
}

TEST_F(DrainsTest, AClockThatWasSetBackMakesTheTimeNoLonger) {
    become(backend(std::chrono::seconds(30)), 1, clock.wall() + static_cast<int64_t>(3600 * second));
    EXPECT_EQ(view().deadline_wall, clock.wall() + static_cast<int64_t>(30 * second));
    EXPECT_EQ(over_after(29 * second), 0U);
    EXPECT_EQ(over_after(second), 1U);
}

TEST_F(DrainsTest, AClockThatWasSetForwardMakesItOverAndNotNegative) {
    become(backend(std::chrono::seconds(30)), 1, 1);
    EXPECT_EQ(view().deadline_wall, clock.wall());
    EXPECT_EQ(over_after(0), 1U);
}

TEST_F(DrainsTest, WhatIsRefusedIsToldAgainAndSlowerEachTime) {
    become(backend(std::chrono::seconds(30)), 1, clock.wall());
    EXPECT_EQ(over_after(30 * second), 1U);
    EXPECT_EQ(over_after(3600 * second), 0U);  // nobody has said yet what became of it
    drains.again(model::BackendId{1});
    EXPECT_EQ(over_after(second), 1U);
    drains.again(model::BackendId{1});
    EXPECT_EQ(over_after(second), 0U);
    EXPECT_EQ(over_after(second), 1U);
    become(backend(std::chrono::seconds(10)), 2, clock.wall());
    EXPECT_EQ(over_after(10 * second), 1U);
}

}  // namespace
}  // namespace gorb::control::drains_test
