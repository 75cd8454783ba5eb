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

// MiB, and nothing of it given back yet.
SpareMemory::Memory memory_of(size_t in_use, size_t idle) {
    return {in_use * mib, idle * mib, (in_use + idle) * mib};
}

TEST(SpareMemoryTest, WhatLiesIdleForTwoLooksIsGivenBack) {
    SpareMemory memory;
    EXPECT_FALSE(memory.look(memory_of(50, 200))) << "it may be in use again in a moment";
    EXPECT_TRUE(memory.look(memory_of(50, 200)));
}

TEST(SpareMemoryTest, WhatIsUsedInBetweenIsNot) {
    SpareMemory memory;
    EXPECT_FALSE(memory.look(memory_of(50, 200)));
    EXPECT_FALSE(memory.look(memory_of(250, 1)));
    EXPECT_FALSE(memory.look(memory_of(50, 200)));
    EXPECT_TRUE(memory.look(memory_of(50, 200)));
}

TEST(SpareMemoryTest, LittleIsKept) {
    SpareMemory memory;
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(memory.look(memory_of(1, SpareMemory::enough / mib)));
        EXPECT_FALSE(memory.look(memory_of(1000, 250))) << "a quarter of what is in use";
    }
}

TEST(SpareMemoryTest, WhatTheKernelHasBackIsNotGivenBackAgain) {
    SpareMemory memory;
    EXPECT_FALSE(memory.look(memory_of(50, 200)));
    EXPECT_TRUE(memory.look(memory_of(50, 200)));
    // malloc() calls it idle all the same; 40 MiB are the program and what is in pages in use.
    memory.given_back({50 * mib, 200 * mib, 90 * mib});
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(memory.look({50 * mib, 200 * mib, 90 * mib}));
    // As much was taken and left between two looks.
    EXPECT_FALSE(memory.look({50 * mib, 200 * mib, 250 * mib}));
    EXPECT_TRUE(memory.look({50 * mib, 200 * mib, 250 * mib}));
    memory.given_back({50 * mib, 200 * mib, 90 * mib});
    // Some of what was in use lies idle now.
    EXPECT_FALSE(memory.look({10 * mib, 240 * mib, 90 * mib}));
    EXPECT_TRUE(memory.look({10 * mib, 240 * mib, 90 * mib}));
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
