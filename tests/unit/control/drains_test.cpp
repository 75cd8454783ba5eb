// When a drain is over, what comes of one whose end is refused, and what looking at many costs.
#include "control/drains.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

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
    Slots slots;
    Drains drains{clock, slots};
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
        ASSERT_TRUE(driver.set_counters(record.key, dest.address, {1, 0}));
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
    // What the control has last made of it there.
    void in_kernel(bool present) {
        Slot slot;
        slot.member.id = model::BackendId{1};
        slot.present = present;
        slots.put(std::move(slot));
    }
    void remove_destination() {
        const auto removal = ipvs::Op::remove(reconcile::kernel_key(service.key), backend({}).address);
        ASSERT_TRUE(driver.apply(std::vector{removal}).back());
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

// Drift puts it back, and its connections go on.
TEST_F(DrainsTest, OneWhoseDestinationSomebodyElseHasRemovedIsNotOver) {
    become(backend(std::chrono::seconds(30)), 1, clock.wall());
    in_kernel(true);
    remove_destination();
    EXPECT_EQ(over_after(second), 0U);
    EXPECT_FALSE(view().finished);
    EXPECT_EQ(view().trouble, "somebody has removed the destination from the kernel");
    const auto key = reconcile::kernel_key(service.key);
    const auto dest = reconcile::dest_record(backend({}), 0);
    ASSERT_TRUE(driver.apply(std::vector{ipvs::Op::add(key, dest)}).back());
    ASSERT_TRUE(driver.set_counters(key, dest.address, {2, 0}));
    EXPECT_EQ(over_after(second), 0U);
    EXPECT_EQ(view().trouble, "");
    EXPECT_EQ(view().active, 2U);
    remove_destination();
    EXPECT_EQ(over_after(28 * second), 1U) << "its time passes all the same";
}

TEST_F(DrainsTest, WhatWasNeverCountedIsNotSaidToBeNone) {
    become(backend(std::chrono::seconds(30)), 1, clock.wall());
    in_kernel(true);
    remove_destination();
    testing::internal::CaptureStderr();
    EXPECT_EQ(over_after(30 * second), 1U);
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find("drain ended by its time-out"), std::string::npos) << log;
    EXPECT_NE(log.find("not known: somebody has removed"), std::string::npos) << log;
    EXPECT_EQ(log.find("0 active"), std::string::npos) << log;
}

TEST_F(DrainsTest, OneThatGorbHasOutOfTheKernelHasNoConnections) {
    become(backend(std::chrono::seconds(30)), 1, clock.wall());
    in_kernel(false);
    remove_destination();
    EXPECT_EQ(over_after(second), 1U);
    EXPECT_TRUE(view().finished);
    EXPECT_EQ(view().trouble, "");
}

// A template sends its client's new connections there.
TEST_F(DrainsTest, ItIsNotOverWhileATemplateIsLeft) {
    become(backend(std::chrono::hours(1)), 1, clock.wall());
    const auto key = reconcile::kernel_key(service.key);
    ASSERT_TRUE(driver.set_counters(key, backend({}).address, {0, 0, 1}));
    EXPECT_EQ(over_after(60 * second), 0U);
    EXPECT_EQ(view().templates, 1U);
    EXPECT_FALSE(view().finished);
    ASSERT_TRUE(driver.set_counters(key, backend({}).address, {0, 0, 0}));
    EXPECT_EQ(over_after(second), 1U);
    EXPECT_TRUE(view().finished);
}

// ns of the quickest of some looks at `count` drains in services of `each`.
uint64_t time_of_a_look(uint32_t count, uint32_t each) {
    base::ManualClock clock;
    ipvs::MemoryDriver driver;
    const Slots slots;
    Drains drains(clock, slots);
    store::Builder builder;
    std::vector<ipvs::Op> ops;
    model::Service service;
    for (uint32_t i = 0; i < count; ++i) {
        const std::string number = std::to_string(i / each);
        if (i % each == 0) {
            service.name = "s" + std::string(6 - number.size(), '0') + number;
            service.key.vip = *base::Endpoint::parse("10.0.0.1:" + std::to_string(i / each + 1));
            builder.add(service, 1, model::Origin::api);
            ops.push_back(ipvs::Op::add(reconcile::service_record(service)));
        }
        const std::string within = std::to_string(i % each);
        auto entry = std::make_shared<model::BackendEntry>();
        entry->spec.name = "b" + std::string(6 - within.size(), '0') + within;
        entry->spec.address = *base::Endpoint::parse("10.1." + std::to_string(i % each / 250) + "." +
                                                     std::to_string(1 + i % each % 250) + ":80");
        entry->spec.admin = model::Admin::drain;
        entry->id = model::BackendId{i + 1};
        builder.add(model::BackendPtr(entry));
        ops.push_back(
            ipvs::Op::add(reconcile::kernel_key(service.key), reconcile::dest_record(entry->spec, 0)));
        drains.follow(service.name, *entry);
    }
    for (const auto& status : driver.apply(ops)) EXPECT_TRUE(status);
    const model::Snapshot now = builder.finish(1);
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 5; ++i) {
        clock.advance(second);
        const auto begin = std::chrono::steady_clock::now();
        drains.look(now, driver);
        best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - begin);
    }
    EXPECT_TRUE(drains.view(model::BackendId{count})->counted);
    return static_cast<uint64_t>(best.count());
}

// By the square it would take a hundred times as long.
TEST(DrainsCost, ADrainCostsAsMuchAmongManyOfItsServiceAsAmongFew) {
    const uint64_t among_few = time_of_a_look(20'000, 200);
    EXPECT_LT(time_of_a_look(20'000, 20'000), 6 * among_few);
}

}  // namespace
}  // namespace gorb::control::drains_test
