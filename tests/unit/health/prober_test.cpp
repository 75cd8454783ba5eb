#include "health/prober.h"

#include <gtest/gtest.h>

#include "unit/health/fake_checker.h"

namespace gorb::health::prober_test {
namespace {

class ProberTest : public testing::Test {
  protected:
    // Starts a check of what stands in a slot.
    std::optional<plugin::Report> start(Prober::Slot slot, const std::string& backend,
                                        const std::string& type = "tcp") {
        model::PulseSpec pulse;
        pulse.type = type;
        const SpecPtr spec = specs.of(model::PulseList({pulse}), 0, nullptr);
        const base::Endpoint address = address_of(slot);
        const std::function<std::pair<std::string, std::string>()> names = [&] {
            return std::pair<std::string, std::string>("web", backend);
        };
        return prober.start(slot, {address, *spec, names}, 100);
    }
    void settle() {
        for (int i = 0; i < 1000 && loop.step(); ++i) {
        }
    }

    base::ManualClock clock;
    io::Loop loop{"loop-0", &clock};
    FakeWorld world;
    std::vector<std::pair<Prober::Slot, plugin::Report>> results;
    std::vector<Prober::Slot> rechecks;
    Prober prober{loop, world.maker(),
                  [this](Prober::Slot slot, const plugin::Report& r) { results.emplace_back(slot, r); },
                  [this](Prober::Slot slot) { rechecks.push_back(slot); }};
    Specs specs;
};

TEST_F(ProberTest, AResultCarriesTheSlotThatWasStarted) {
    EXPECT_FALSE(start(3, "x"));
    EXPECT_FALSE(start(5, "y"));
    EXPECT_TRUE(results.empty());
    settle();
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[0].first, 3U);
    EXPECT_EQ(results[1].first, 5U);
    EXPECT_EQ(results[0].second.detail, "connected");
}

TEST_F(ProberTest, ATargetIsAddedOnceAndCheckedOften) {
    for (int i = 0; i < 10; ++i) {
        EXPECT_FALSE(start(0, "x"));
        settle();
    }
    EXPECT_EQ(results.size(), 10U);
    EXPECT_EQ(world.adds, 1);
    EXPECT_EQ(world.makes, 1);
}

TEST_F(ProberTest, EachPulseTypeHasItsOwnChecker) {
    EXPECT_FALSE(start(0, "x", "tcp"));
    EXPECT_FALSE(start(1, "y", "http"));
    // Both checkers number their runs from one.
    settle();
    EXPECT_EQ(world.checkers, 2);
    ASSERT_EQ(results.size(), 2U);
    EXPECT_NE(results[0].first, results[1].first);
}

TEST_F(ProberTest, ACancelledCheckHasNoResult) {
    EXPECT_FALSE(start(0, "x"));
    prober.cancel(0);
    prober.cancel(0);
    prober.cancel(17);
    settle();
    EXPECT_TRUE(results.empty());
    EXPECT_EQ(world.cancels, 1);
}

TEST_F(ProberTest, ASlotMayBeUsedAgainAfterItsTargetIsRemoved) {
    world.answer("x", std::nullopt);
    EXPECT_FALSE(start(0, "x"));
    prober.remove(0);
    EXPECT_EQ(world.cancels, 1);
    EXPECT_FALSE(start(0, "y"));
    settle();
    ASSERT_EQ(results.size(), 1U);
    EXPECT_EQ(world.starts().back().backend, "y");
}

TEST_F(ProberTest, WhatCanNotBeAddedIsUnknownWithItsReason) {
    world.refuse_add("no such file");
    const auto report = start(0, "x");
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, plugin::Verdict::unknown);
    EXPECT_EQ(report->detail, "no such file");
    EXPECT_EQ(report->code, 22);
    prober.cancel(0);
    prober.remove(0);
    world.refuse_add(std::nullopt);
    EXPECT_FALSE(start(0, "x"));
    settle();
    EXPECT_EQ(results.size(), 1U);
}

TEST_F(ProberTest, ACheckerThatCanNotBeMadeIsTriedAgainAfterASecond) {
    world.refuse_make("not loaded");
    EXPECT_EQ(start(0, "x")->detail, "not loaded");
    EXPECT_EQ(start(1, "y")->detail, "not loaded");
    EXPECT_EQ(world.makes, 1);
    world.refuse_make(std::nullopt);
    EXPECT_TRUE(start(0, "x"));
    clock.advance(Prober::retry);
    EXPECT_FALSE(start(0, "x"));
    settle();
    EXPECT_EQ(results.size(), 1U);
}

}  // namespace
}  // namespace gorb::health::prober_test
