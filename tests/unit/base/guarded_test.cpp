#include "base/guarded.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace gorb::base::guarded_test {
namespace {

TEST(Guarded, NoStepOfSeveralThreadsIsLost) {
    Guarded<int> counter(0);
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int j = 0; j < 10'000; ++j) counter.with([](int& n) { ++n; });
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(std::as_const(counter).with([](const int& n) { return n; }), 40'000);
}

TEST(Guarded, AReferenceGivenBackIsTheValueItself) {
    Guarded<std::vector<int>> list(3, 7);
    std::vector<int>& inside = list.with([](std::vector<int>& l) -> std::vector<int>& { return l; });
    EXPECT_EQ(inside, (std::vector<int>{7, 7, 7}));
}

}  // namespace
}  // namespace gorb::base::guarded_test
