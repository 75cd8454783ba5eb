#include "health/scheduler.h"

#include <random>

#include "unit/health/scheduler_player.h"

namespace gorb::health::scheduler_test {
namespace {

constexpr uint64_t us = 1000;

TEST(Scheduler, WithoutTargetsNothingIsEverDue) {
    Player p;
    EXPECT_EQ(p.scheduler.wake(), Scheduler::never);
    p.clock.advance(1000 * s);
    p.turn();
    EXPECT_EQ(p.scheduler.wake(), Scheduler::never);
    EXPECT_TRUE(p.starts.empty());
}

TEST(Scheduler, TheFirstCheckOfAFewTargetsStartsAtOnce) {
    Player p;
    for (uint64_t id = 1; id <= 60; ++id) p.add(id, 5 * s);
    EXPECT_EQ(p.scheduler.wake(), 0U);
    p.turn();
    EXPECT_EQ(p.starts.size(), 60U);
}

TEST(Scheduler, LaterChecksComeOncePerIntervalAtTheTargetsOwnPlaceWithoutDrift) {
    Player p;
    const Slot slot = p.add(42, 1 * s);
    p.run_for(1000 * s);
    const auto& times = p.starts[slot];
    ASSERT_GE(times.size(), 1000U);
    ASSERT_LE(times.size(), 1002U);
    const uint64_t phase = spread(42) % s;
    EXPECT_LE(times[1] - times[0], s + Scheduler::tick);
    for (size_t i = 1; i < times.size(); ++i) {
        // Late by less than a tick, and by no more at the end than at the start.
        ASSERT_LT((times[i] - phase) % s, Scheduler::tick) << i;
        if (i > 1) {
            ASSERT_EQ(times[i] - times[i - 1], s);
        }
    }
}

TEST(Scheduler, AnIntervalThatIsNotAMultipleOfTheGridDoesNotDriftEither) {
    Player p;
    const uint64_t interval = 333'333'333;
    const Slot slot = p.add(7, interval);
    p.run_for(300 * s);
    const auto& times = p.starts[slot];
    EXPECT_NEAR(static_cast<double>(times.size()), 900, 2);
    const uint64_t phase = spread(7) % interval;
    for (size_t i = 1; i < times.size(); ++i) ASSERT_LT((times[i] - phase) % interval, Scheduler::tick) << i;
}

TEST(Scheduler, ManyTargetsAddedTogetherArePaced) {
    Player p;
    constexpr size_t n = 10'000;
    const uint64_t begin = p.clock.now();
    for (uint64_t id = 0; id < n; ++id) p.add(id, 60 * s);
    p.run_for(60 * s);
    ASSERT_EQ(p.starts.size(), n);
    std::vector<uint64_t> firsts;
    for (const auto& [slot, times] : p.starts) firsts.push_back(times.front() - begin);
    std::sort(firsts.begin(), firsts.end());
    for (size_t k = 0; k < n; ++k) {
        ASSERT_LE(firsts[k], k * 20 * us + 2 * Scheduler::tick) << k;
        if (k >= 64) {
            ASSERT_GE(firsts[k] + 2 * Scheduler::tick, k * 20 * us) << k;
        }
    }
}

TEST(Scheduler, NoFirstCheckIsLaterThanOneInterval) {
    Player p;
    const uint64_t begin = p.clock.now();
    for (uint64_t id = 0; id < 5000; ++id) p.add(id, 100 * ms);
    p.run_for(110 * ms);
    EXPECT_EQ(p.starts.size(), 5000U);
    // Those that pacing would make too late are spread over the interval, not put at its end.
    std::map<uint64_t, size_t> at;
    for (const auto& [slot, times] : p.starts) ++at[(times.front() - begin) / Scheduler::tick];
    for (const auto& [tick, n] : at) EXPECT_LT(n, 1000U) << tick;
}

TEST(Scheduler, PacingIsForgottenWhenTheRushIsOver) {
    Player p;
    for (uint64_t id = 0; id < 1000; ++id) p.add(id, 60 * s);
    p.run_for(1 * s);
    const Slot late = p.add(5000, 60 * s);
    p.turn();
    EXPECT_EQ(p.starts[late].size(), 1U);
}

TEST(Scheduler, RegularChecksAreSpreadOverTheInterval) {
    Player p;
    constexpr size_t n = 10'000;
    for (uint64_t id = 1; id <= n; ++id) p.add(id, 10 * s);
    p.run_for(20 * s);
    p.starts.clear();
    p.run_for(10 * s);
    std::map<uint64_t, size_t> at;
    size_t all = 0;
    for (const auto& [slot, times] : p.starts) {
        ASSERT_EQ(times.size(), 1U);
        ++at[(times.front() - 1) / (100 * ms)];  // the grid belongs to what is before it
        ++all;
    }
    EXPECT_EQ(all, n);
    // 100 in each tenth of a second, give or take five standard deviations.
    for (const auto& [tenth, count] : at) {
        EXPECT_GT(count, 50U);
        EXPECT_LT(count, 150U);
    }
    EXPECT_EQ(at.size(), 100U);
}

TEST(Scheduler, ATurnStartsNoMoreThanSixtyFourAndWantsTheNextAtOnce) {
    Player p;
    for (uint64_t id = 0; id < 1000; ++id) p.add(id, 100 * s);
    p.run_for(1 * s);
    EXPECT_EQ(p.starts.size(), 1000U);
    EXPECT_LE(p.most_in_a_turn, 64U);
    // All are due when a loop comes back from a long stall.
    p.starts.clear();
    p.clock.advance(100 * s);
    p.turn();
    EXPECT_EQ(p.starts.size(), 64U);
    EXPECT_EQ(p.scheduler.wake(), 0U);
    p.turn();
    EXPECT_EQ(p.starts.size(), 128U);
}

TEST(Scheduler, MissedRoundsAreSkippedNotBunched) {
    Player p;
    const Slot slot = p.add(3, 1 * s);
    p.run_for(10 * s);
    p.starts.clear();
    p.clock.advance(60 * s + 500 * ms);  // the loop was busy all the while
    const uint64_t back = p.clock.now();
    p.run_for(5 * s);
    const auto& times = p.starts[slot];
    ASSERT_GE(times.size(), 5U);
    ASSERT_LE(times.size(), 6U);
    EXPECT_EQ(times.front(), back);
    const uint64_t phase = spread(3) % s;
    for (size_t i = 1; i < times.size(); ++i) EXPECT_LT((times[i] - phase) % s, Scheduler::tick);
}

TEST(Scheduler, OneCheckIsInFlightAndTheNextIsDueAfterItHasEnded) {
    Player p;
    p.answers = [](Slot) { return false; };
    const Slot slot = p.add(9, 1 * s, 3500 * ms);
    p.turn();
    EXPECT_EQ(p.scheduler.running(), 1U);
    const uint64_t begun = p.scheduler.started(slot);
    EXPECT_EQ(p.deadline(slot), begun + 3500 * ms);
    p.run_for(3490 * ms);
    EXPECT_EQ(p.starts[slot].size(), 1U);
    EXPECT_EQ(p.timeouts, 0U);
    p.run_for(30 * ms);
    EXPECT_EQ(p.timeouts, 1U);
    EXPECT_EQ(p.starts[slot].size(), 1U);
    p.run_for(1 * s);
    EXPECT_EQ(p.starts[slot].size(), 2U);
}

TEST(Scheduler, ADeadlinePassesWithinTwoTicks) {
    Player p;
    p.answers = [](Slot) { return false; };
    uint64_t begun = 0;
    p.on_timeout = [&](Slot slot) {
        begun = p.scheduler.started(slot);
        EXPECT_LT(p.clock.now() - begun, 250 * ms + 2 * Scheduler::tick);
    };
    p.add(9, 1 * s, 250 * ms);
    p.run_for(100 * s);
    EXPECT_GE(p.timeouts, 99U);
}

TEST(Scheduler, AnAnswerTakesTheDeadlineAway) {
    Player p;
    p.answers = [](Slot) { return false; };
    const Slot slot = p.add(9, 60 * s, 1 * s);
    p.turn();
    p.finish(slot);
    EXPECT_EQ(p.scheduler.running(), 0U);
    p.run_for(5 * s);
    EXPECT_EQ(p.timeouts, 0U);
}

TEST(Scheduler, ARemovedTargetIsNotHeardOfAgainWhateverItDid) {
    Player p;
    p.answers = [](Slot) { return false; };
    const Slot ready = p.add(1, 1 * s);
    p.scheduler.remove(ready);
    p.turn();
    EXPECT_TRUE(p.starts.empty());

    const Slot running = p.add(2, 1 * s, 1 * s);
    p.turn();
    p.scheduler.remove(running);
    EXPECT_EQ(p.scheduler.running(), 0U);

    const Slot waiting = p.add(3, 1 * s);
    p.turn();
    p.finish(waiting);
    p.scheduler.remove(waiting);

    const Slot overdue = p.add(4, 100 * s, 1 * s);
    p.turn();
    p.clock.advance(2 * s);
    std::vector<Slot> late;
    p.scheduler.advance(p.clock.now(), late);
    ASSERT_EQ(late, std::vector<Slot>{overdue});
    p.scheduler.remove(overdue);
    EXPECT_EQ(p.scheduler.running(), 0U);

    p.starts.clear();
    p.run_for(300 * s);
    EXPECT_TRUE(p.starts.empty());
    EXPECT_EQ(p.timeouts, 0U);
    EXPECT_EQ(p.scheduler.size(), 0U);
    EXPECT_EQ(p.scheduler.wake(), Scheduler::never);
}

TEST(Scheduler, AHundredThousandTargetsAreStartedInTimeAndWithinTheLimit) {
    Player p;
    constexpr size_t n = 100'000;
    for (uint64_t id = 1; id <= n; ++id) p.add(id, 10 * s);
    p.run_for(10 * s + Scheduler::tick);
    EXPECT_EQ(p.starts.size(), n);
    p.starts.clear();
    p.run_for(10 * s);
    EXPECT_EQ(p.starts.size(), n);
    for (const auto& [slot, times] : p.starts) ASSERT_EQ(times.size(), 1U);
    EXPECT_EQ(p.most_in_a_turn, 64U);
}

TEST(Scheduler, TimesBeyondTheWheelsRoundAreKept) {
    Player p;
    const Slot slot = p.add(11, 3600 * s);
    p.run_for(24 * 3600 * s);
    const auto& times = p.starts[slot];
    ASSERT_GE(times.size(), 24U);
    ASSERT_LE(times.size(), 26U);
    for (size_t i = 2; i < times.size(); ++i) EXPECT_EQ(times[i] - times[i - 1], 3600 * s);
}

TEST(Scheduler, IdleForLongerThanTheWheelsRoundIsNoTrouble) {
    Player p;
    p.clock.advance(10'000 * s);
    const Slot slot = p.add(11, 100 * s);
    p.run_for(1000 * s);
    EXPECT_NEAR(static_cast<double>(p.starts[slot].size()), 10.5, 1.5);
}

// Whatever is done in whatever order: one check at a time, none before its time, none forgotten.
TEST(Scheduler, KeepsItsPromisesThroughRandomLives) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        std::mt19937_64 random(seed);
        base::ManualClock clock(1 + random() % (1000 * s));
        Scheduler::Caps caps;
        if (seed % 2 == 0) caps = {40, 4};
        Scheduler scheduler(clock.now(), caps);
        std::map<uint64_t, size_t> on_host;
        struct Life {
            uint64_t interval = 0, timeout = 0, last_start = 0, added = 0, host = 0;
            bool running = false;
        };
        std::map<Slot, Life> lives;
        Slot next = 0;
        for (int turn = 0; turn < 2000; ++turn) {
            std::vector<Slot> slots;
            scheduler.advance(clock.now(), slots);
            for (const Slot slot : slots) {
                Life& life = lives.at(slot);
                ASSERT_TRUE(life.running);
                ASSERT_GE(clock.now(), life.last_start + life.timeout);
                life.running = false;
                --on_host[life.host];
                if (random() % 8 == 0) {
                    scheduler.remove(slot);
                    lives.erase(slot);
                } else {
                    scheduler.finish(slot, clock.now() + life.interval, clock.now());
                }
            }
            std::vector<Scheduler::Start> begun;
            scheduler.take(clock.now(), begun);
            ASSERT_LE(begun.size(), 64U);
            ASSERT_LE(scheduler.running(), caps.running);
            for (const auto& [slot, late] : begun) {
                Life& life = lives.at(slot);
                scheduler.limit(slot, clock.now() + life.timeout);
                ASSERT_LE(++on_host[life.host], caps.per_host);
                ASSERT_FALSE(life.running);
                life.running = true;
                life.last_start = clock.now();
            }
            for (auto it = lives.begin(); it != lives.end();) {
                Life& life = it->second;
                if (life.running) {
                    ASSERT_LT(clock.now(), life.last_start + life.timeout + 2 * Scheduler::tick + s);
                    if (random() % 3 == 0) {
                        scheduler.finish(it->first, clock.now() + life.interval, clock.now());
                        life.running = false;
                        --on_host[life.host];
                    }
                } else if (begun.size() < 64 && seed % 2) {  // nothing was left ready, and no cap
                    ASSERT_LT(clock.now(), std::max(life.last_start + life.timeout, life.added) +
                                               life.interval + 2 * Scheduler::tick + s);
                }
                if (random() % 200 == 0) {
                    if (life.running) --on_host[life.host];
                    scheduler.remove(it->first);
                    it = lives.erase(it);
                } else {
                    ++it;
                }
            }
            for (uint64_t n = random() % 5; n && lives.size() < 200; --n) {
                Life life;
                life.interval = 100 * ms + random() % (200 * s);
                life.timeout = 10 * ms + random() % (10 * s);
                life.added = clock.now();
                life.host = 1 + random() % 20;
                scheduler.add(next, static_cast<uint32_t>(life.host), life.interval,
                              clock.now() + life.interval, clock.now());
                ASSERT_TRUE(lives.emplace(next++, life).second);
            }
            ASSERT_EQ(scheduler.size(), lives.size());
            ASSERT_EQ(scheduler.running(),
                      static_cast<size_t>(std::count_if(lives.begin(), lives.end(),
                                                        [](auto& l) { return l.second.running; })));
            // Mostly to the wake-up, sometimes a little late or early, sometimes a stall of up to a second.
            const uint64_t wake = std::min(std::max(scheduler.wake(), clock.now()), clock.now() + s);
            switch (random() % 4) {
                case 0:
                    clock.advance(random() % s);
                    break;
                case 1:
                    clock.advance((wake - clock.now()) / 2);
                    break;
                default:
                    clock.advance(wake - clock.now());
                    break;
            }
        }
    }
}

}  // namespace
}  // namespace gorb::health::scheduler_test
