#include "io/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>

namespace gorb::io::watchdog_test {
namespace {

using Change = Blockage::Change;
constexpr uint64_t limit = 1000;

TEST(Blockage, IsToldOnceAndOnceMoreWhenItIsOver) {
    Blockage b;
    EXPECT_EQ(b.look(0, 100, limit).change, Change::none);
    EXPECT_EQ(b.look(100, 1099, limit).change, Change::none);
    const auto blocked = b.look(100, 1100, limit);
    EXPECT_EQ(blocked.change, Change::blocked);
    EXPECT_EQ(blocked.for_ns, 1000U);
    EXPECT_TRUE(b.blocked());
    EXPECT_EQ(b.look(100, 2000, limit).change, Change::none);
    EXPECT_EQ(b.look(100, 5000, limit).change, Change::none);
    const auto over = b.look(0, 6000, limit);
    EXPECT_EQ(over.change, Change::goes_on);
    EXPECT_EQ(over.for_ns, 4900U);
    EXPECT_FALSE(b.blocked());
    EXPECT_EQ(b.look(0, 9000, limit).change, Change::none);
}

TEST(Blockage, ALoopBusyWithManyShortTurnsIsNotBlocked) {
    Blockage b;
    for (uint64_t now = 1000; now < 100'000; now += 500)
        EXPECT_EQ(b.look(now - 400, now, limit).change, Change::none);
}

TEST(Blockage, ASecondBlockageRightAfterTheFirstIsToldAsWell) {
    Blockage b;
    EXPECT_EQ(b.look(100, 2000, limit).change, Change::blocked);
    EXPECT_EQ(b.look(2100, 4000, limit).change, Change::goes_on);
    EXPECT_EQ(b.look(2100, 4100, limit).change, Change::blocked);
}

TEST(Blockage, AClockReadBeforeTheTurnBeganIsNoBlockage) {
    Blockage b;
    EXPECT_EQ(b.look(5000, 4000, limit).change, Change::none);
}

// The log goes to stderr; the watchdog's words are what an operator reads.
TEST(Watchdog, NamesTheLoopAndWhatItIsDoing) {
    base::ManualClock clock;
    Loop loop("loop-7", &clock);
    Watchdog dog({&loop}, 1'000'000'000, false);
    loop.post([&] {
        loop.set_activity("pulse-slow: start");
        dog.step();
        EXPECT_FALSE(dog.blocked());
        clock.advance(1'500'000'000);
        dog.step();
        EXPECT_TRUE(dog.blocked());
        dog.step();
        loop.set_activity(nullptr);
    });
    testing::internal::CaptureStderr();
    loop.step();
    dog.step();
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_FALSE(dog.blocked());
    EXPECT_THAT(log, testing::HasSubstr("loop is blocked loop=loop-7 in=\"pulse-slow: start\" for=1.5s"));
    EXPECT_EQ(log.find("loop is blocked"), log.rfind("loop is blocked"));
    EXPECT_THAT(log, testing::HasSubstr("loop goes on loop=loop-7"));
}

TEST(Watchdog, SeesARunningLoopBlockAndGoOn) {
    testing::internal::CaptureStderr();
    Loop loop("loop-8");
    std::thread runner([&] { loop.run(); });
    bool seen = false, over = false;
    {
        Watchdog dog({&loop}, 20'000'000);
        std::promise<void> release;
        loop.post([&] { release.get_future().wait(); });
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        const auto wait_for = [&](bool blocked) {
            while (dog.blocked() != blocked && std::chrono::steady_clock::now() < until) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
            return dog.blocked() == blocked;
        };
        seen = wait_for(true);
        release.set_value();
        over = wait_for(false);
    }
    loop.stop();
    runner.join();
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("in=\"gorbd itself\""));
    EXPECT_TRUE(seen);
    EXPECT_TRUE(over);
}

TEST(Watchdog, StopsPromptly) {
    Loop loop("loop-9");
    const auto before = std::chrono::steady_clock::now();
    { Watchdog dog({&loop}, uint64_t{3600} * 1'000'000'000); }
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(30));
}

}  // namespace
}  // namespace gorb::io::watchdog_test
