#include "base/clock.h"

#include <gtest/gtest.h>

namespace gorb::base::clock_test {
namespace {

TEST(Clock, TheSystemsNeverGoesBackAndIsNeverZero) {
    const SystemClock clock;
    uint64_t last = 0;
    for (int i = 0; i < 10'000; ++i) {
        const uint64_t now = clock.now();
        ASSERT_GT(now, 0U);
        ASSERT_GE(now, last);
        last = now;
    }
    EXPECT_GT(clock.wall(), 1'700'000'000'000'000'000);
}

TEST(Clock, TheManualOneGoesOnWhenTold) {
    ManualClock clock(5);
    const int64_t wall = clock.wall();
    EXPECT_EQ(clock.now(), 5U);
    clock.advance(7);
    EXPECT_EQ(clock.now(), 12U);
    EXPECT_EQ(clock.wall(), wall + 7);
}

TEST(Clock, WallTimeIsWrittenAsUtc) {
    EXPECT_EQ(wall_text(0), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(wall_text(1'714'564'800'123'999'999), "2024-05-01T12:00:00.123Z");
    EXPECT_EQ(wall_text(951'782'399'999'000'000), "2000-02-28T23:59:59.999Z");
    EXPECT_EQ(wall_text(951'782'400'000'000'000), "2000-02-29T00:00:00.000Z");
    EXPECT_EQ(wall_text(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace gorb::base::clock_test
