#include "base/line_limit.h"

#include <gtest/gtest.h>

namespace gorb::base::line_limit_test {
namespace {

using Line = LineLimit::Line;

TEST(LineLimit, WritesSoManyASecondAndSaysOnceThatThereAreMore) {
    LineLimit limit(3);
    for (const uint64_t begin : {5 * second, 6 * second, 60 * second}) {
        for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.next(begin), Line::write);
        EXPECT_EQ(limit.next(begin + second / 2), Line::last);
        for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.next(begin + second - 1), Line::none);
    }
}

TEST(LineLimit, ExactlySoManyAreAll) {
    LineLimit limit(2);
    for (uint64_t now = second; now < 10 * second; now += second) {
        EXPECT_EQ(limit.next(now), Line::write);
        EXPECT_EQ(limit.next(now), Line::write);
    }
}

}  // namespace
}  // namespace gorb::base::line_limit_test
