#include "base/check.h"

#include <gtest/gtest.h>

namespace gorb::base::check_test {
namespace {

TEST(CheckDeathTest, AFailedCheckNamesItsPlaceAndAborts) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(GORB_CHECK(1 + 1 == 3), testing::KilledBySignal(SIGABRT),
                "check failed: 1 \\+ 1 == 3 \\(.*check_test.cpp:[0-9]+\\)");
}

TEST(Check, AKeptOneIsEvaluatedOnce) {
    int n = 0;
    GORB_CHECK(++n == 1);
    EXPECT_EQ(n, 1);
}

}  // namespace
}  // namespace gorb::base::check_test
