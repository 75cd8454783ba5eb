#include "health/policy.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace gorb::health {
namespace {

using plugin::Verdict;
constexpr auto P = Verdict::pass;
constexpr auto F = Verdict::fail;
constexpr auto U = Verdict::unknown;

Streak run(Streak s, const std::vector<Verdict>& verdicts, uint32_t rise = 2, uint32_t fall = 3) {
    for (const Verdict v : verdicts) s = next(s, v, rise, fall);
    return s;
}

TEST(Policy, TheFirstCountedResultDecidesAtOnce) {
    EXPECT_EQ(run({}, {P}), (Streak{State::up, 1, 0}));
    EXPECT_EQ(run({}, {F}), (Streak{State::down, 0, 1}));
    EXPECT_EQ(run({}, {U, U, F}), (Streak{State::down, 0, 1}));
}

TEST(Policy, UnknownCountsForNeitherSide) {
    for (const State state : {State::unknown, State::up, State::down}) {
        const Streak s{state, 1, 0};
        EXPECT_EQ(next(s, U, 1, 1), s);
    }
    // It does not break a row either.
    EXPECT_EQ(run({}, {P, F, U, F, U, U, F}).state, State::down);
    EXPECT_EQ(run({}, {F, P, U, P}).state, State::up);
}

TEST(Policy, ItTakesFallFailuresInARowToGoDown) {
    EXPECT_EQ(run({}, {P, F, F}).state, State::up);
    EXPECT_EQ(run({}, {P, F, F, F}).state, State::down);
    EXPECT_EQ(run({}, {P, F, F, P, F, F}).state, State::up);
}

TEST(Policy, ItTakesRisePassesInARowToComeUp) {
    EXPECT_EQ(run({}, {F, P}).state, State::down);
    EXPECT_EQ(run({}, {F, P, P}).state, State::up);
    EXPECT_EQ(run({}, {F, P, F, P}).state, State::down);
}

TEST(Policy, ThresholdsOfOneFollowEveryResult) {
    EXPECT_EQ(run({}, {P, F}, 1, 1).state, State::down);
    EXPECT_EQ(run({}, {P, F, P}, 1, 1).state, State::up);
}

TEST(Policy, RowsStopAtTheirEnd) {
    const uint32_t most = ~uint32_t{0};
    EXPECT_EQ(next({State::up, most, 0}, P, 2, 3), (Streak{State::up, most, 0}));
    EXPECT_EQ(next({State::down, 0, most}, F, 2, 3), (Streak{State::down, 0, most}));
}

// Against the plainest way to say the same: look back over all counted results.
TEST(Policy, AgreesWithALookAtTheWholeHistory) {
    std::mt19937_64 random(20240501);
    for (int round = 0; round < 500; ++round) {
        const uint32_t rise = 1 + random() % 5;
        const uint32_t fall = 1 + random() % 5;
        Streak s;
        State expected = State::unknown;
        std::vector<bool> counted;
        for (int i = 0; i < 100; ++i) {
            const auto v = static_cast<Verdict>(random() % 3);
            const Streak before = s;
            s = next(s, v, rise, fall);
            if (v == U) {
                ASSERT_EQ(s, before);
                continue;
            }
            counted.push_back(v == P);
            uint32_t row = 0;
            for (auto it = counted.rbegin(); it != counted.rend() && *it == counted.back(); ++it) ++row;
            if (counted.size() == 1 || (v == P && row >= rise) || (v == F && row >= fall)) {
                expected = v == P ? State::up : State::down;
            }
            ASSERT_EQ(s.state, expected);
            ASSERT_EQ(s.passes, v == P ? row : 0);
            ASSERT_EQ(s.failures, v == F ? row : 0);
        }
    }
}

TEST(Policy, SaysHowManyInARowWhenThereWereSeveral) {
    EXPECT_EQ(because({State::down, 0, 1}, "connection refused"), "connection refused");
    EXPECT_EQ(because({State::down, 0, 3}, "connection refused"), "connection refused (3 failures in a row)");
    EXPECT_EQ(because({State::up, 2, 0}, "connected"), "connected (2 passes in a row)");
}

TEST(Policy, StatesHaveNames) {
    EXPECT_EQ(state_text(State::unknown), "unknown");
    EXPECT_EQ(state_text(State::up), "up");
    EXPECT_EQ(state_text(State::down), "down");
}

}  // namespace
}  // namespace gorb::health
