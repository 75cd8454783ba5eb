// Many at once, caps, checks that are hastened, lateness, short intervals.
#include "unit/health/scheduler_player.h"

namespace gorb::health::scheduler_caps_test {
namespace {

// A hundred thousand at once: all are started within 2 s, and those that were there before are not late.
TEST(Scheduler, AHundredThousandNewTargetsStartWithinTwoSecondsAndMakeNoOtherLate) {
    Player p;
    constexpr size_t old = 1000, fresh = 100'000;
    for (uint64_t id = 1; id <= old; ++id) p.add(id, 1 * s);
    p.run_for(5 * s);
    p.starts.clear();
    p.latest = 0;
    for (uint64_t id = 1; id <= fresh; ++id) p.add(old + id, 5 * s);
    p.run_for(2 * s + 2 * Scheduler::tick);
    EXPECT_EQ(p.starts.size(), old + fresh);
    EXPECT_LE(p.latest, 2 * Scheduler::tick);
}

// On a loop that is slower than new targets come: they wait, for as little memory as can be, and not those
// that were there before.
TEST(Scheduler, NewTargetsThatAreTooManyForTheLoopWaitBehindTheOthers) {
    Player p;
    constexpr size_t old = 1000, fresh = 20'000;
    for (uint64_t id = 1; id <= old; ++id) p.add(id, 1 * s);
    p.run_for(5 * s);
    for (uint64_t id = 1; id <= fresh; ++id) p.add(old + id, 100 * s);
    std::vector<Slot> overdue;
    std::vector<Scheduler::Start> begun;
    uint64_t latest = 0;
    size_t first = 0, turns = 0;
    for (; first < fresh && turns < 1000; ++turns) {
        begun.clear();
        p.scheduler.advance(p.clock.now(), overdue);
        p.scheduler.take(p.clock.now(), begun);
        p.clock.advance(4 * ms);  // a turn costs that much
        for (const auto& [slot, late] : begun) {
            if (slot >= old) {
                ++first;
            } else {
                latest = std::max(latest, late);
            }
            p.finish(slot);
        }
        p.most_in_a_turn = std::max(p.most_in_a_turn, begun.size());
    }
    EXPECT_GE(first, fresh);
    EXPECT_LT(turns, 450U) << "and no turn starts less for it: 64 of them, but for some 4 of the old ones";
    EXPECT_LE(latest, 2 * Scheduler::tick);
    EXPECT_EQ(p.most_in_a_turn, Scheduler::starts_per_turn);
}

// More is due than can be done, for ever.
TEST(Scheduler, ALoopThatHasTooMuchToDoStillMakesFirstChecks) {
    Player p;
    for (uint64_t id = 1; id <= 2000; ++id) p.add(id, 10 * ms);
    p.run_for(1 * s);
    for (uint64_t id = 1; id <= 100; ++id) p.add(2000 + id, 100 * s);
    std::vector<Slot> overdue;
    std::vector<Scheduler::Start> begun;
    size_t first = 0;
    for (size_t turns = 0; first < 100 && turns < 100; ++turns) {
        begun.clear();
        p.scheduler.advance(p.clock.now(), overdue);
        p.scheduler.take(p.clock.now(), begun);
        p.clock.advance(10 * ms);
        for (const auto& start : begun) {
            first += start.slot >= 2000;
            p.finish(start.slot);
        }
    }
    EXPECT_EQ(first, 100U);
}

TEST(Scheduler, AtTheCapChecksWaitAndKeepTheirOrder) {
    Player p(Scheduler::Caps{10, 1000});
    p.answers = [](Slot) { return false; };
    for (uint64_t id = 1; id <= 30; ++id) p.add(id, 100 * s, 50 * s);
    p.turn();
    EXPECT_EQ(p.order.size(), 10U);
    EXPECT_EQ(p.scheduler.running(), 10U);
    EXPECT_NE(p.scheduler.wake(), 0U) << "no turn is of use before a check has ended";
    for (Slot slot = 0; slot < 5; ++slot) p.finish(slot);
    EXPECT_EQ(p.scheduler.wake(), 0U);
    p.turn();
    ASSERT_EQ(p.order.size(), 15U);
    for (Slot slot = 0; slot < 15; ++slot) EXPECT_EQ(p.order[slot], slot);
    EXPECT_EQ(p.most_running, 10U);
}

TEST(Scheduler, AHostAtItsCapHoldsUpNoOther) {
    Player p(Scheduler::Caps{1000, 3});
    p.answers = [&](Slot slot) { return slot >= 20; };
    for (uint64_t id = 1; id <= 20; ++id) p.add(id, 100 * s, 50 * s, 7);
    for (uint64_t id = 21; id <= 40; ++id) p.add(id, 100 * s, 50 * s);
    p.turn();
    EXPECT_EQ(p.starts.size(), 23U);
    EXPECT_EQ(p.scheduler.held_back(), 17U);
    EXPECT_EQ(p.scheduler.running(), 3U);
    p.order.clear();
    p.finish(1);
    p.finish(0);
    p.turn();
    EXPECT_EQ(p.order, (std::vector<Slot>{3, 4})) << "in their order";
    p.scheduler.remove(5);  // one that is held back
    p.finish(2);
    p.order.clear();
    p.turn();
    EXPECT_EQ(p.order, std::vector<Slot>{6});
    for (Slot slot = 3; slot < 20; ++slot) {
        if (slot != 5) p.scheduler.remove(slot);
    }
    EXPECT_EQ(p.scheduler.held_back(), 0U);
    EXPECT_EQ(p.scheduler.running(), 0U);
}

// Five hosts have enough that is due to fill the loop with checks that end at their deadline only.
TEST(Scheduler, SlowHostsThatFillTheLoopStarveNoOtherAndAreServedInTurns) {
    constexpr uint64_t timeout = 5 * s;
    constexpr size_t hosts = 5, each = 200;
    Player p(Scheduler::Caps{200, 64});
    p.answers = [&](Slot slot) { return slot >= hosts * each; };
    for (uint64_t id = 1; id <= hosts * each; ++id)
        p.add(id, 10 * s, timeout, 1 + static_cast<uint32_t>(id % hosts));
    for (uint64_t id = 1; id <= 50; ++id)
        p.add(hosts * each + id, 1 * s, timeout, 1000 + static_cast<uint32_t>(id));
    p.run_for(300 * s);
    for (Slot slot = 0; slot < p.targets.size(); ++slot) {
        const auto& times = p.starts[slot];
        ASSERT_GE(times.size(), 2U) << slot;
        uint64_t longest = 0;
        for (size_t i = 1; i < times.size(); ++i) longest = std::max(longest, times[i] - times[i - 1]);
        // A whole round of what is slow takes 1000 / 200 deadlines; one who is not slow waits for none but
        // the next slot that is free.
        EXPECT_LE(longest, slot < hosts * each ? 7 * timeout : timeout + 1 * s + 4 * Scheduler::tick) << slot;
    }
    EXPECT_EQ(p.most_running, 200U);
}

TEST(Scheduler, AHostOfWhichMuchIsDueMakesNoOtherWaitForAllOfIt) {
    Player p(Scheduler::Caps{10, 1000});
    p.answers = [](Slot) { return false; };
    for (uint64_t id = 1; id <= 40; ++id) p.add(id, 100 * s, 50 * s, 7);
    p.turn();
    const Slot other = p.add(41, 100 * s, 50 * s, 8);
    p.order.clear();
    p.finish(0);
    p.finish(1);
    p.turn();
    EXPECT_EQ(p.order, (std::vector<Slot>{10, other}));
}

TEST(Scheduler, WhatWaitsForTheCapOfTheLoopIsHeldBackAsWell) {
    Player p(Scheduler::Caps{10, 1});
    p.answers = [](Slot) { return false; };
    for (uint64_t id = 1; id <= 6; ++id) p.add(id, 100 * s, 50 * s, 1000);
    for (uint64_t id = 7; id <= 30; ++id) p.add(id, 100 * s, 50 * s);
    p.turn();
    EXPECT_EQ(p.scheduler.running(), 10U);
    EXPECT_EQ(p.scheduler.held_back(), 20U);
    p.finish(p.order.back());
    EXPECT_EQ(p.scheduler.held_back(), 5U) << "there is room again, but not for that host";
}

TEST(Scheduler, OneThatIsRemovedWhenItsTurnHasComeHoldsUpNoneBehindIt) {
    Player p(Scheduler::Caps{1000, 1});
    p.answers = [](Slot) { return false; };
    for (uint64_t id = 1; id <= 3; ++id) p.add(id, 100 * s, 50 * s, 7);
    p.turn();
    p.finish(0);
    p.scheduler.remove(1);
    p.turn();
    EXPECT_EQ(p.order, (std::vector<Slot>{0, 2}));
}

TEST(Scheduler, AWaitingCheckCanBeHastenedARunningOneNot) {
    Player p;
    const Slot slot = p.add(1, 100 * s);
    p.turn();
    p.clock.advance(1 * s);
    p.scheduler.hasten(slot, p.clock.now(), p.clock.now());
    EXPECT_EQ(p.scheduler.wake(), 0U);
    p.answers = [](Slot) { return false; };
    p.turn();
    EXPECT_EQ(p.starts[slot].size(), 2U);
    p.scheduler.hasten(slot, p.clock.now(), p.clock.now());
    p.turn();
    EXPECT_EQ(p.starts[slot].size(), 2U);
    p.finish(slot);
    p.scheduler.hasten(slot, p.clock.now() + 2 * s, p.clock.now());
    p.scheduler.hasten(slot, p.clock.now() + 50 * s, p.clock.now());
    p.run_for(2 * s + Scheduler::tick);
    EXPECT_EQ(p.starts[slot].size(), 3U);
}

TEST(Scheduler, LatenessIsTheTimeSinceACheckWasDue) {
    Player p;
    p.add(1, 1 * s);
    p.run_for(10 * s);
    EXPECT_LE(p.latest, Scheduler::tick);
    p.scheduler.hasten(0, p.clock.now(), p.clock.now());
    p.clock.advance(70 * ms);
    p.turn();
    EXPECT_EQ(p.latest, 70 * ms);
}

TEST(Scheduler, IntervalsBelowATenthOfASecondAreKept) {
    for (const uint64_t interval : {10 * ms, 20 * ms, 30 * ms, 50 * ms, 70 * ms}) {
        Player p;
        p.answers = [](Slot) { return true; };
        const Slot slot = p.add(5, interval, 5 * ms);
        p.run_for(10 * s);
        EXPECT_NEAR(static_cast<double>(p.starts[slot].size()),
                    static_cast<double>(10 * s) / static_cast<double>(interval), 2)
            << interval;
    }
}

}  // namespace
}  // namespace gorb::health::scheduler_caps_test
