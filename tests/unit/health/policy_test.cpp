#include "health/policy.h"

#include <gtest/gtest.h>

#include <vector>

#include "health/hash.h"
#include "unit/health/times.h"

namespace gorb::health::policy_test {
namespace {

using plugin::Verdict;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
constexpr auto P = Verdict::pass;
constexpr auto F = Verdict::fail;
constexpr auto U = Verdict::unknown;

model::PulseSpec pulse(uint32_t rise = 2, uint32_t fall = 3) {
    model::PulseSpec p;
    p.interval = seconds(10);
    p.jitter = 0;
    p.rise = rise;
    p.fall = fall;
    return p;
}

Standing run(Standing standing, const std::vector<Verdict>& verdicts, const model::PulseSpec& p = pulse()) {
    for (const Verdict v : verdicts) count(standing, nullptr, p, v, 0);
    return standing;
}
State after(const std::vector<Verdict>& verdicts, const model::PulseSpec& p = pulse()) {
    return run(beginning(p), verdicts, p).state;
}

TEST(Policy, TheFirstCountedResultDecidesAtOnce) {
    EXPECT_EQ(after({P}), State::up);
    EXPECT_EQ(after({F}), State::down);
    EXPECT_EQ(after({U, U, F}), State::down);
    EXPECT_EQ(after({U, U}), State::unknown);
}

TEST(Policy, InitialUpOrDownWantsFallOrRiseFromTheStart) {
    model::PulseSpec p = pulse();
    p.initial = model::Initial::up;
    EXPECT_EQ(after({}, p), State::up);
    EXPECT_EQ(after({F, F}, p), State::up);
    EXPECT_EQ(after({F, F, F}, p), State::down);
    p.initial = model::Initial::down;
    EXPECT_EQ(after({}, p), State::down);
    EXPECT_EQ(after({P}, p), State::down);
    EXPECT_EQ(after({P, P}, p), State::up);
}

TEST(Policy, UnknownCountsForNeitherSide) {
    for (const State state : {State::unknown, State::up, State::down}) {
        Standing standing;
        standing.state = state;
        standing.passes = 1;
        Standing then = standing;
        EXPECT_EQ(count(then, nullptr, pulse(1, 1), U, 0), Why::nothing);
        EXPECT_EQ(then, standing);
    }
    // It does not break a row either.
    EXPECT_EQ(after({P, F, U, F, U, U, F}), State::down);
    EXPECT_EQ(after({F, P, U, P}), State::up);
}

TEST(Policy, ItTakesFallFailuresInARowToGoDown) {
    EXPECT_EQ(after({P, F, F}), State::up);
    EXPECT_EQ(after({P, F, F, F}), State::down);
    EXPECT_EQ(after({P, F, F, P, F, F}), State::up);
}

TEST(Policy, ItTakesRisePassesInARowToComeUp) {
    EXPECT_EQ(after({F, P}), State::down);
    EXPECT_EQ(after({F, P, P}), State::up);
    EXPECT_EQ(after({F, P, F, P}), State::down);
}

TEST(Policy, AWindowBringsDownWhatFailsOftenThoughNotInARow) {
    model::PulseSpec p = pulse(2, 3);
    p.window = {3, 6};
    EXPECT_EQ(after({P, F, P, F, P}, p), State::up);
    EXPECT_EQ(after({P, F, P, F, P, F}, p), State::down);
    // Failures older than the window do not count.
    EXPECT_EQ(after({P, F, P, P, F, P, P, F}, p), State::up);
    EXPECT_EQ(after({P, F, P, U, F, U, P, F}, p), State::down) << "UNKNOWN takes no place in it";
}

TEST(Policy, WhatAWindowKeepsDownComesUpWhenItIsNoLongerFullAndRiseHavePassed) {
    model::PulseSpec p = pulse(2, 3);
    p.window = {3, 6};
    const std::vector<Verdict> down = {P, F, P, F, P, F};
    auto with = [&](std::vector<Verdict> more) {
        more.insert(more.begin(), down.begin(), down.end());
        return after(more, p);
    };
    EXPECT_EQ(with({P}), State::down) << "one pass is not rise";
    EXPECT_EQ(with({P, P}), State::up) << "two of the last six failed";
    p.window = {3, 10};
    EXPECT_EQ(with({P, P, P, P, P}), State::down);
    EXPECT_EQ(with({P, P, P, P, P, P}), State::up);
}

TEST(Policy, BecauseSaysWhatDecided) {
    model::PulseSpec p = pulse(2, 3);
    p.window = {3, 6};
    Standing x = run(beginning(p), {P, F, P, F, P}, p);
    const Why why = count(x, nullptr, p, F, 0);
    EXPECT_EQ(why, Why::window);
    EXPECT_EQ(because(why, x, p, "status 503"), "status 503 (3 of the last 6 checks failed)");
    x = run(beginning(p), {P, P, P, P, F, F}, p);
    EXPECT_EQ(because(count(x, nullptr, p, F, 0), x, p, "connection refused"),
              "connection refused (3 failures in a row)");
    x = run(beginning(p), {}, p);
    EXPECT_EQ(because(count(x, nullptr, p, F, 0), x, p, "connection refused"), "connection refused");
    x = run(beginning(pulse()), {F, P});
    EXPECT_EQ(because(count(x, nullptr, pulse(), P, 0), x, pulse(), "connected"),
              "connected (2 passes in a row)");
    // It would be up for its passes.
    p.window = {3, 10};
    x = run(beginning(p), {P, F, P, F, P, F, P}, p);
    EXPECT_EQ(window_words(x, p), "") << "it wants another pass as well";
    count(x, nullptr, p, P, 0);
    EXPECT_EQ(x.state, State::down);
    EXPECT_EQ(window_words(x, p), "; 3 of the last 8 checks failed (window)");
    EXPECT_EQ(held_words(42 * s + 1), "; held down by damping for another 43s");
    EXPECT_EQ(held_words(1500 * ms), "; held down by damping for another 1.5s");
}

TEST(Policy, RowsAndBackoffStopAtTheirEnd) {
    Standing standing;
    standing.state = State::down;
    standing.failures = ~uint32_t{0};
    standing.backoff = 65535;
    count(standing, nullptr, pulse(), F, 0);
    EXPECT_EQ(standing.failures, ~uint32_t{0});
    EXPECT_EQ(standing.backoff, 65535);
    standing.passes = ~uint32_t{0};
    standing.state = State::up;
    count(standing, nullptr, pulse(), P, 0);
    EXPECT_EQ(standing.passes, ~uint32_t{0});
}

TEST(Policy, EachFallOfLateDoublesTheHoldUpToItsMost) {
    model::PulseSpec p = pulse(1, 1);
    p.damping = {seconds(10), seconds(60), minutes(600)};
    Standing x = beginning(p);
    Damped damped;
    uint64_t now = 1000 * s;
    count(x, &damped, p, P, now);
    for (const uint64_t hold : {10, 20, 40, 60, 60}) {
        count(x, &damped, p, F, now);
        EXPECT_EQ(x.state, State::down);
        EXPECT_NEAR(static_cast<double>(damped.until - now) / 1e9, static_cast<double>(hold), 0.5);
        count(x, &damped, p, P, damped.until - 1);
        EXPECT_EQ(x.state, State::down) << "the rise is delayed";
        now = damped.until;
        count(x, &damped, p, P, now);
        EXPECT_EQ(x.state, State::up) << "and no more than that";
    }
}

TEST(Policy, FallsAreForgottenByHalves) {
    model::Damping damping{seconds(10), minutes(10), minutes(10)};
    Damped damped;
    damped.falls = 4;
    damped.at = 5 * s;
    EXPECT_DOUBLE_EQ(damped.falls_at(damping, 5 * s), 4);
    EXPECT_DOUBLE_EQ(damped.falls_at(damping, 605 * s), 2);
    EXPECT_DOUBLE_EQ(damped.falls_at(damping, 1205 * s), 1);
    damping.forget = seconds(0);
    EXPECT_EQ(damped.falls_at(damping, 6 * s), 0);
}

TEST(Policy, TheFirstResultIsNoFall) {
    model::PulseSpec p = pulse(1, 1);
    p.damping = {seconds(10), seconds(60), minutes(10)};
    Standing x = beginning(p);
    Damped damped;
    count(x, &damped, p, F, 1 * s);
    EXPECT_EQ(damped.falls, 0);
    count(x, &damped, p, P, 2 * s);
    EXPECT_EQ(x.state, State::up);
}

struct Pacing {
    const char* what;
    std::vector<Verdict> verdicts;
    Interval expected;
};

TEST(Policy, TheIntervalFollowsTheState) {
    model::PulseSpec p = pulse();
    p.fast_interval = seconds(2);
    p.down_interval = seconds(4);
    p.backoff = {3, seconds(100)};
    const Pacing table[] = {
        {"nothing has counted", {}, {true, 10 * s}},
        {"up", {P, P}, {true, 10 * s}},
        {"up, failing", {P, F}, {false, 2 * s}},
        {"up, failing, our own trouble", {P, F, U}, {false, 2 * s}},
        {"up, it passed again", {P, F, P}, {true, 10 * s}},
        {"just down", {P, F, F, F}, {false, 4 * s}},
        {"down, one more failure", {P, F, F, F, F}, {false, 12 * s}},
        {"down, two more", {P, F, F, F, F, F}, {false, 36 * s}},
        {"down, four more: at the most", {P, F, F, F, F, F, F, F}, {false, 100 * s}},
        {"down, coming up", {F, F, F, P}, {false, 2 * s}},
        {"a pass resets the back-off", {F, F, F, P, F}, {false, 12 * s}},
    };
    for (const Pacing& row : table) {
        EXPECT_EQ(interval_of(run(beginning(p), row.verdicts, p), p, false), row.expected) << row.what;
    }
    EXPECT_EQ(interval_of(run(beginning(p), {F, P, P}, p), p, true).regular, true) << "up";
    const model::PulseSpec plain = pulse();
    for (const Pacing& row : table) {
        EXPECT_EQ(interval_of(run(beginning(plain), row.verdicts, plain), plain, false),
                  (Interval{true, 10 * s}))
            << row.what;
    }
    // A hold that damping alone keeps is no reason to look more often.
    Standing held;
    held.state = State::down;
    held.passes = 5;
    EXPECT_EQ(interval_of(held, p, true), (Interval{false, 4 * s}));
}

TEST(Policy, RegularPlacesAreOneInEachIntervalWithoutDrift) {
    for (const uint32_t jitter : {0U, 10U, 50U}) {
        for (const uint64_t interval : {10 * ms, 333'333'333UL, 5 * s}) {
            for (uint64_t n = 0; n < 50; ++n) {
                const uint64_t hash = spread(n);
                uint64_t at = 1000 * s + n;
                for (int i = 0; i < 40; ++i) {
                    const uint64_t next = next_regular(hash, 7, interval, jitter, at);
                    ASSERT_GT(next, at);
                    if (i > 0) {
                        ASSERT_LE(next - at, 2 * interval);
                    }
                    const uint64_t moved = (next + interval + interval / 2 - hash % interval) % interval;
                    const uint64_t off = moved > interval / 2 ? moved - interval / 2 : interval / 2 - moved;
                    ASSERT_LE(off, interval * std::min(jitter, 49U) / 100 + 1);
                    at = next;
                }
                // No interval is left out, and none has two.
                EXPECT_NEAR(static_cast<double>(at - 1000 * s) / static_cast<double>(interval), 40, 2.1);
            }
        }
    }
}

TEST(Policy, JitterDiffersBetweenTargetsAndSeeds) {
    const auto place = [](uint64_t hash, uint64_t seed) {
        return next_regular(hash, seed, s, 50, 1000 * s) - hash % s;
    };
    EXPECT_NE(place(5, 1), place(5, 2));
    EXPECT_NE(place(5, 1), place(6, 1));
    EXPECT_EQ(place(5, 1), place(5, 1));
}

TEST(Policy, OtherIntervalsCountFromTheLastCheck) {
    model::PulseSpec p = pulse();
    p.fast_interval = milliseconds(20);
    const Standing failing = run(beginning(p), {P, F}, p);
    const uint64_t tick = 10 * ms;
    // Started a little after its tick: the next tick but one.
    EXPECT_EQ(next_due(failing, nullptr, p, 1, 1, tick, 1000 * ms + 300, 1001 * ms), 1020 * ms);
    // It took longer than that: at once.
    EXPECT_EQ(next_due(failing, nullptr, p, 1, 1, tick, 1000 * ms, 1500 * ms), 1500 * ms);
    p.jitter = 50;
    for (uint64_t t = 0; t < 1000; ++t) {
        const uint64_t due = next_due(failing, nullptr, p, 1, 1, tick, t * tick, t * tick);
        EXPECT_GE(due, t * tick + 10 * ms);
        EXPECT_LE(due, t * tick + 30 * ms);
    }
}

TEST(Policy, JitterDoesNotDelayAChangeThatIsPending) {
    const uint64_t tick = 10 * ms;
    for (const uint32_t jitter : {0U, 10U, 49U}) {
        model::PulseSpec p = pulse(2, 5);
        p.interval = seconds(1);
        p.jitter = jitter;
        uint64_t gaps = 0, shorter = 0;
        for (uint64_t n = 0; n < 500; ++n) {
            const uint64_t hash = spread(n);
            Standing x = beginning(p);
            // Where it stands among its places does not matter.
            uint64_t at = (1000 * s + n * 7 * ms) / tick * tick;
            count(x, nullptr, p, P, at);
            for (int i = 0; i < 4; ++i) {
                count(x, nullptr, p, F, at);
                ASSERT_EQ(x.state, State::up);
                const uint64_t due = next_due(x, nullptr, p, hash, 3, tick, at, at + 3 * ms);
                ASSERT_LE(due, at + s);
                ASSERT_GT(due, at + s / 2);
                ++gaps;
                shorter += due < at + s ? 1 : 0;
                at = (due + tick - 1) / tick * tick;
            }
        }
        EXPECT_GT(shorter, gaps / 10) << "checks keep to their own places where those are sooner";
    }
}

// A fast interval may be as long as the regular one.
TEST(Policy, JitterDoesNotDelayAChangeThatIsPendingBeyondTheFastInterval) {
    const uint64_t tick = 10 * ms;
    model::PulseSpec p = pulse(2, 5);
    p.interval = p.fast_interval = seconds(1);
    p.jitter = 30;
    const Standing failing = run(beginning(p), {P, F}, p), passing = run(beginning(p), {F, P}, p);
    uint64_t shorter = 0;
    for (uint64_t at = 0; at < 10 * s; at += tick) {
        for (const Standing& pending : {failing, passing}) {
            const uint64_t due = next_due(pending, nullptr, p, 1, 1, tick, at, at + 3 * ms);
            ASSERT_LE(due, at + s);
            ASSERT_GE(due, at + 700 * ms);
            shorter += due < at + s ? 1 : 0;
        }
    }
    EXPECT_GT(shorter, 800U) << "it makes about half of them sooner";
}

TEST(Policy, ACheckComesAtTheEndOfAHold) {
    model::PulseSpec p = pulse(1, 1);
    p.interval = minutes(10);
    p.damping = {seconds(30), seconds(60), minutes(10)};
    Standing x = beginning(p);
    Damped damped;
    count(x, &damped, p, P, 1000 * s);
    count(x, &damped, p, F, 1000 * s);
    count(x, &damped, p, P, 1001 * s);
    EXPECT_EQ(next_due(x, &damped, p, 1, 1, 10 * ms, 1001 * s, 1001 * s), 1030 * s);
}

TEST(Policy, StatesHaveNames) {
    EXPECT_EQ(state_text(State::unknown), "unknown");
    EXPECT_EQ(state_text(State::up), "up");
    EXPECT_EQ(state_text(State::down), "down");
}

}  // namespace
}  // namespace gorb::health::policy_test
