// Memory that malloc() keeps goes back to the kernel, and only when that is worth it.
#include "app/spare_memory.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace gorb::app {
namespace {

constexpr size_t mib = size_t{1} << 20;

TEST(SpareMemoryTest, WhatLiesIdleForTwoLooksIsGivenBack) {
    SpareMemory memory;
    EXPECT_FALSE(memory.look(50 * mib, 200 * mib)) << "it may be in use again in a moment";
    EXPECT_TRUE(memory.look(50 * mib, 200 * mib));
}

TEST(SpareMemoryTest, WhatIsUsedInBetweenIsNot) {
    SpareMemory memory;
    EXPECT_FALSE(memory.look(50 * mib, 200 * mib));
    EXPECT_FALSE(memory.look(250 * mib, 1 * mib));
    EXPECT_FALSE(memory.look(50 * mib, 200 * mib));
    EXPECT_TRUE(memory.look(50 * mib, 200 * mib));
}

TEST(SpareMemoryTest, LittleIsKept) {
    SpareMemory memory;
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(memory.look(1 * mib, SpareMemory::enough));
        EXPECT_FALSE(memory.look(1000 * mib, 250 * mib)) << "a quarter of what is in use";
    }
}

// A sanitizer's malloc() is another one.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
size_t resident() {
    std::ifstream statm("/proc/self/statm");
    size_t all = 0, pages = 0;
    statm >> all >> pages;
    return pages * 4096;
}

TEST(SpareMemoryTest, OfThisProcessItComesBackThoughSomethingInBetweenStays) {
    std::vector<std::unique_ptr<char[]>> stays;
    {
        std::vector<std::unique_ptr<char[]>> goes;
        for (size_t i = 0; i < 200'000; ++i) {
            ((i % 200) ? goes : stays).push_back(std::make_unique<char[]>(1000));
        }
    }
    const size_t before = resident();
    ASSERT_GT(mallinfo2().fordblks, 150 * mib) << "malloc() gave it back by itself";
    SpareMemory memory;
    memory.look();
    memory.look();
    EXPECT_LT(resident() + 100 * mib, before);
}
#endif

}  // namespace
}  // namespace gorb::app
