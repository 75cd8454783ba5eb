#include "base/give_back.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gorb::base::give_back_test {
namespace {

TEST(GiveBack, LeavesNoMemoryBehind) {
    std::string text(100'000, 'x');
    give_back(text);
    EXPECT_EQ(text, "");
    EXPECT_EQ(text.capacity(), std::string().capacity());
    std::vector<int> numbers(100'000);
    give_back(numbers);
    EXPECT_TRUE(numbers.empty());
    EXPECT_EQ(numbers.capacity(), 0U);
}

}  // namespace
}  // namespace gorb::base::give_back_test
