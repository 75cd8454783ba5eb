// Who runs a loop while its own thread is at work between two turns.
#include "io/relief.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

namespace gorb::io::relief_test {
namespace {

// Work between turns that lasts as long as the test wants.
struct Work {
    std::atomic<bool> wanted{false};
    std::promise<void> begun, over;

    Loop::Between between() {
        return {[this] { return size_t{wanted}; },
                [this] {
                    wanted = false;
                    begun.set_value();
                    over.get_future().wait();
                }};
    }
    // What the loop is told first, and what then keeps its thread.
    void begin(Loop& loop) {
        loop.post([this] { wanted = true; });
        begun.get_future().wait();
    }
};

std::thread::id thread_of(Loop& loop) {
    std::promise<std::thread::id> ran;
    loop.post([&] {
        EXPECT_TRUE(loop.on_loop_thread());
        ran.set_value(std::this_thread::get_id());
    });
    return ran.get_future().get();
}

TEST(Loop, IsNobodysWhileItsThreadIsAtWorkBetweenTurns) {
    Loop loop("loop-test");
    Work work;
    loop.between_turns(work.between());
    std::thread runner([&] { loop.run(); });
    EXPECT_EQ(thread_of(loop), runner.get_id());
    work.begin(loop);
    std::promise<void> ran;
    std::future<void> done = ran.get_future();
    loop.post([&] { ran.set_value(); });
    EXPECT_EQ(done.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
    work.over.set_value();
    done.wait();
    EXPECT_EQ(thread_of(loop), runner.get_id());
    loop.stop();
    runner.join();
}

TEST(Loop, IsRunByWhoStandsInUntilItsThreadIsBack) {
    Loop loop("loop-test");
    Work work;
    loop.between_turns(work.between());
    std::thread runner([&] { loop.run(); });
    work.begin(loop);
    std::thread other([&] { loop.stand_in(); });
    const std::thread::id other_id = other.get_id();
    EXPECT_EQ(thread_of(loop), other_id);
    // Descriptors and timers as well.
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    std::promise<std::thread::id> read, timed;
    loop.post([&] {
        ASSERT_TRUE(loop.watch(ends[0], readable, [&](uint32_t) {
            ASSERT_TRUE(loop.watch(ends[0], 0, nullptr));
            read.set_value(std::this_thread::get_id());
        }));
        loop.at(loop.now(), [&] { timed.set_value(std::this_thread::get_id()); });
    });
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_EQ(read.get_future().get(), other_id);
    EXPECT_EQ(timed.get_future().get(), other_id);
    work.over.set_value();
    other.join();  // it sleeps, and is woken for that
    EXPECT_EQ(thread_of(loop), runner.get_id());
    loop.stop();
    runner.join();
    close(ends[0]);
    close(ends[1]);
}

TEST(Loop, NeedsNobodyToStandInWhileItsThreadRunsIt) {
    Loop loop("loop-test");
    std::thread runner([&] { loop.run(); });
    EXPECT_EQ(thread_of(loop), runner.get_id());
    std::thread other([&] { loop.stand_in(); });
    // It gets its turn when the loop is over, and then has nothing to do.
    EXPECT_EQ(thread_of(loop), runner.get_id());
    loop.stop();
    runner.join();
    other.join();
}

TEST(Loop, StopsWhileItsThreadIsAtWorkBetweenTurns) {
    Loop loop("loop-test");
    Work work;
    loop.between_turns(work.between());
    std::thread runner([&] { loop.run(); });
    work.begin(loop);
    loop.stop();
    loop.wait_over();
    std::thread late([&] { loop.stand_in(); });
    late.join();
    work.over.set_value();
    runner.join();
}

TEST(Loop, DoesWhatItsLastTurnHasLeftToBeDoneBetweenTurns) {
    Loop loop("loop-test");
    bool left = false, done = false;
    loop.between_turns({[&] { return size_t{left}; },
                        [&] {
                            left = false;
                            done = true;
                        }});
    std::thread runner([&] { loop.run(); });
    loop.post([&] {
        left = true;
        loop.stop();
    });
    runner.join();
    EXPECT_TRUE(done);
}

TEST(Loop, TakesWhatHasComeMeanwhileBeforeItWorksBetweenTurns) {
    Loop loop("loop-test");
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    bool wanted = false, taken = false, taken_before = false;
    loop.between_turns({[&] { return size_t{wanted}; },
                        [&] {
                            wanted = false;
                            taken_before = taken;
                            loop.stop();
                        }});
    ASSERT_TRUE(loop.watch(ends[0], readable, [&](uint32_t) {
        ASSERT_TRUE(loop.watch(ends[0], 0, nullptr));
        taken = true;
    }));
    loop.at(loop.now(), [&] {  // timers come after events
        wanted = true;
        ASSERT_EQ(write(ends[1], "x", 1), 1);
    });
    loop.run();
    EXPECT_TRUE(taken_before);
    close(ends[0]);
    close(ends[1]);
}

TEST(Relief, RunsTheLoopOfAThreadThatIsHeldUp) {
    Loop loop("loop-test");
    Work work;
    Relief relief(loop, work.between());
    std::promise<std::thread::id> prepared;
    relief.start([&] { prepared.set_value(std::this_thread::get_id()); });
    std::thread runner([&] { loop.run(); });
    const std::thread::id other = prepared.get_future().get();
    EXPECT_EQ(thread_of(loop), runner.get_id());
    work.begin(loop);
    EXPECT_EQ(thread_of(loop), other);
    EXPECT_EQ(thread_of(loop), other);
    work.over.set_value();
    std::thread::id now = thread_of(loop);
    while (now == other) now = thread_of(loop);  // until its thread is back
    EXPECT_EQ(now, runner.get_id());
    loop.stop();
    runner.join();
}

}  // namespace
}  // namespace gorb::io::relief_test
