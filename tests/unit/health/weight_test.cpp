#include "health/weight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace gorb::health {
namespace {

TEST(Weight, UpHasTheConfiguredWeight) {
    EXPECT_EQ(weight(100, State::up, 100, "connected", 0), (Weight{100, ""}));
    EXPECT_EQ(weight(0, State::up, 100, "connected", 50), (Weight{0, ""}));
}

TEST(Weight, UpWithAShareHasThatShareOfIt) {
    EXPECT_EQ(weight(100, State::up, 50, "", 0), (Weight{50, "its pulse asks for 50 % of the weight"}));
    EXPECT_EQ(weight(100, State::up, 0, "", 0), (Weight{0, "its pulse asks for 0 % of the weight"}));
}

TEST(Weight, AShareNeverRoundsDownToNoTraffic) {
    EXPECT_EQ(weight(10, State::up, 1, "", 0), (Weight{1, "its pulse asks for 1 % of the weight"}));
    EXPECT_EQ(weight(1, State::up, 1, "", 0), (Weight{1, ""}));
}

TEST(Weight, AShareOverAHundredStopsAtTheLargestWeight) {
    EXPECT_EQ(weight(65535, State::up, 400, "", 0), (Weight{65535, ""}));
    EXPECT_EQ(weight(100, State::up, 200, "", 0), (Weight{200, "its pulse asks for 200 % of the weight"}));
    EXPECT_EQ(weight(65535, State::up, ~uint32_t{0}, "", 0).effective, 65535U);
}

TEST(Weight, DownHasNoneAndSaysWhy) {
    EXPECT_EQ(weight(100, State::down, 100, "connection refused (3 failures in a row)", 80),
              (Weight{0, "down: connection refused (3 failures in a row)"}));
    EXPECT_EQ(weight(100, State::down, 100, "", 0), (Weight{0, "down"}));
}

TEST(Weight, DrainedNeedsNoReasonToHaveNone) {
    for (const State state : {State::unknown, State::up, State::down}) {
        EXPECT_EQ(weight(0, state, 50, "x", 10), (Weight{0, ""}));
    }
}

TEST(Weight, UnknownHasNoneUntilACheckHasFinished) {
    EXPECT_EQ(weight(100, State::unknown, 100, "", 0), (Weight{0, "no check has finished yet"}));
    EXPECT_EQ(weight(100, State::unknown, 100, "too many open files", 0),
              (Weight{0, "no check has counted yet: too many open files"}));
}

TEST(Weight, UnknownKeepsWhatTheKernelHadButNotMoreThanIsConfigured) {
    EXPECT_EQ(weight(100, State::unknown, 100, "", 100), (Weight{100, ""}));
    EXPECT_EQ(weight(100, State::unknown, 100, "", 500), (Weight{100, ""}));
    EXPECT_EQ(weight(100, State::unknown, 100, "", 30),
              (Weight{30, "no check has finished yet; until then it keeps the weight it had in the kernel"}));
}

TEST(Weight, HoldsItsPromisesForAllValues) {
    std::mt19937_64 random(7);
    const auto some = [&](uint32_t most) {
        return static_cast<uint32_t>(random() % 4 ? random() % (uint64_t{most} + 1) : random() % 3);
    };
    for (int i = 0; i < 100'000; ++i) {
        const uint32_t configured = some(model::max_weight);
        const auto state = static_cast<State>(random() % 3);
        const uint32_t share = some(300);
        const uint32_t before = some(model::max_weight);
        const Weight w = weight(configured, state, share, "reason", before);
        ASSERT_LE(w.effective, model::max_weight);
        ASSERT_EQ(w.why.empty(), w.effective == configured);
        switch (state) {
            case State::up:
                ASSERT_EQ(w.effective == 0, configured == 0 || share == 0);
                if (share <= 100) {
                    ASSERT_LE(w.effective, configured);
                }
                ASSERT_LE(w.effective, weight(configured, state, share + 1, "", before).effective);
                break;
            case State::down:
                ASSERT_EQ(w.effective, 0U);
                break;
            case State::unknown:
                ASSERT_EQ(w.effective, std::min(configured, before));
                break;
        }
    }
}

}  // namespace
}  // namespace gorb::health
