#include "io/loop.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace gorb::io::loop_test {
namespace {

using testing::ElementsAre;

constexpr uint64_t ms = 1'000'000;

// Two ends of a stream; what is written to `b` can be read from `a`.
struct Pair {
    Pair() {
        std::array<int, 2> fds{};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
        a = fds[0];
        b = fds[1];
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        if (a >= 0) close(a);
        if (b >= 0) close(b);
    }
    void feed() const { EXPECT_EQ(write(b, "x", 1), 1); }
    void drain() const {
        std::array<char, 16> buffer{};
        EXPECT_GT(read(a, buffer.data(), buffer.size()), 0);
    }
    int a = -1, b = -1;
};

struct LoopTest : testing::Test {
    base::ManualClock clock;
    Loop loop{"loop-test", &clock};
};

TEST_F(LoopTest, PostedWorkRunsInTheOrderPosted) {
    std::vector<int> order;
    for (int i = 0; i < 3; ++i) loop.post([&order, i] { order.push_back(i); });
    EXPECT_TRUE(loop.step());
    EXPECT_THAT(order, ElementsAre(0, 1, 2));
    EXPECT_FALSE(loop.step());
}

TEST_F(LoopTest, WorkPostedByPostedWorkWaitsForTheNextTurn) {
    int runs = 0;
    loop.post([&] {
        ++runs;
        loop.post([&] { ++runs; });
    });
    loop.step();
    EXPECT_EQ(runs, 1);
    loop.step();
    EXPECT_EQ(runs, 2);
}

TEST_F(LoopTest, ATimerFiresNotBeforeItsTimeAndAtMostOneSlotLater) {
    for (const uint64_t delay :
         {1 * ms, 9 * ms, 10 * ms, 11 * ms, 999 * ms, 40'950 * ms, 40'960 * ms, 100'000 * ms}) {
        const uint64_t when = clock.now() + delay;
        bool fired = false;
        loop.at(when, [&] { fired = true; });
        clock.advance(delay - 1);
        loop.step();
        EXPECT_FALSE(fired) << delay;
        clock.advance(10 * ms + 1);
        loop.step();
        EXPECT_TRUE(fired) << delay;
    }
}

TEST_F(LoopTest, ATimeThatHasPassedMeansTheNextTurn) {
    int runs = 0;
    loop.at(clock.now(), [&] { ++runs; });
    loop.at(1, [&] {
        ++runs;
        loop.at(0, [&] { ++runs; });
        loop.at(loop.now(), [&] { ++runs; });
    });
    EXPECT_EQ(runs, 0);
    loop.step();
    EXPECT_EQ(runs, 2);
    loop.step();
    EXPECT_EQ(runs, 4);
}

TEST_F(LoopTest, TimersFireInTheOrderOfTheirTimesAlsoAfterALongStop) {
    std::vector<int> order;
    for (const int seconds : {50, 10, 41, 300, 1}) {
        loop.at(clock.now() + static_cast<uint64_t>(seconds) * 1000 * ms,
                [&, seconds] { order.push_back(seconds); });
    }
    clock.advance(3600 * 1000 * ms);
    loop.step();
    EXPECT_THAT(order, ElementsAre(1, 10, 41, 50, 300));
}

TEST_F(LoopTest, ACancelledTimerDoesNotFire) {
    bool fired = false;
    const TimerId id = loop.at(clock.now() + 5 * ms, [&] { fired = true; });
    EXPECT_NE(id, 0U);
    loop.cancel(id);
    loop.cancel(id);
    loop.cancel(0);
    loop.cancel(UINT64_MAX);
    clock.advance(100 * ms);
    EXPECT_FALSE(loop.step());
    EXPECT_FALSE(fired);
}

TEST_F(LoopTest, ATimerCanCancelOneThatIsDueInTheSameTurn) {
    bool second = false;
    TimerId id = 0;
    loop.at(clock.now() + ms, [&] { loop.cancel(id); });
    id = loop.at(clock.now() + ms, [&] { second = true; });
    clock.advance(20 * ms);
    loop.step();
    EXPECT_FALSE(second);
}

TEST_F(LoopTest, AnOldTimerIdDoesNotCancelTheTimerThatTookItsPlace) {
    const TimerId old = loop.at(clock.now(), [] {});
    loop.step();
    bool fired = false;
    const TimerId fresh = loop.at(clock.now(), [&] { fired = true; });
    EXPECT_NE(old, fresh);
    loop.cancel(old);
    loop.step();
    EXPECT_TRUE(fired);
}

// Against a model: whatever is inserted, cancelled and stepped, every timer fires once, never early, never
// more than a slot late.
TEST_F(LoopTest, AnyMixOfTimersKeepsItsPromises) {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
        std::mt19937_64 random(seed);
        struct Expected {
            uint64_t when;
            TimerId id;
        };
        std::map<int, Expected> waiting;
        int next = 0;
        for (int turn = 0; turn < 400; ++turn) {
            for (uint64_t n = random() % 4; n > 0; --n) {
                const uint64_t span = random() % 10 == 0 ? 200'000 * ms : 3'000 * ms;
                const uint64_t when = clock.now() + random() % span;
                const int name = next++;
                const TimerId id = loop.at(when, [&, name] {
                    ASSERT_EQ(waiting.count(name), 1U) << "seed " << seed;
                    EXPECT_LE(waiting[name].when, clock.now()) << "seed " << seed;
                    waiting.erase(name);
                });
                waiting[name] = {when, id};
            }
            if (!waiting.empty() && random() % 3 == 0) {
                const auto it = std::next(waiting.begin(), static_cast<long>(random() % waiting.size()));
                loop.cancel(it->second.id);
                waiting.erase(it);
            }
            clock.advance(random() % (random() % 50 == 0 ? 90'000 * ms : 300 * ms));
            loop.step();
            for (const auto& [name, expected] : waiting) {
                ASSERT_GT(expected.when + 10 * ms, clock.now()) << "seed " << seed << " timer " << name;
            }
        }
        clock.advance(300'000 * ms);
        loop.step();
        EXPECT_TRUE(waiting.empty()) << "seed " << seed;
    }
}

TEST_F(LoopTest, ADescriptorIsReportedAsLongAsItIsReady) {
    Pair pair;
    int calls = 0;
    ASSERT_TRUE(loop.watch(pair.a, readable, [&](uint32_t events) {
        EXPECT_EQ(events, uint32_t{readable});
        ++calls;
    }));
    EXPECT_FALSE(loop.step());
    pair.feed();
    loop.step();
    loop.step();
    EXPECT_EQ(calls, 2);
    pair.drain();
    EXPECT_FALSE(loop.step());
    EXPECT_EQ(calls, 2);
}

TEST_F(LoopTest, AnErrorOrHangUpComesAsBothEvents) {
    Pair pair;
    uint32_t got = 0;
    ASSERT_TRUE(loop.watch(pair.a, readable, [&](uint32_t events) { got = events; }));
    close(std::exchange(pair.b, -1));
    loop.step();
    EXPECT_EQ(got, uint32_t{readable | writable});
}

TEST_F(LoopTest, ASecondWatchReplacesTheFirstAndZeroForgets) {
    Pair pair;
    pair.feed();
    int first = 0, second = 0;
    ASSERT_TRUE(loop.watch(pair.a, readable, [&](uint32_t) { ++first; }));
    ASSERT_TRUE(loop.watch(pair.a, readable, [&](uint32_t) { ++second; }));
    loop.step();
    EXPECT_EQ(first, 0);
    EXPECT_EQ(second, 1);
    ASSERT_TRUE(loop.watch(pair.a, 0, nullptr));
    ASSERT_TRUE(loop.watch(pair.a, 0, nullptr));
    loop.step();
    EXPECT_EQ(second, 1);
}

TEST_F(LoopTest, WhatCanNotBeWatchedIsAnError) {
    EXPECT_EQ(loop.watch(-1, readable, [](uint32_t) {}).error().os_error, EBADF);
    EXPECT_EQ(loop.watch(1'000'000, readable, [](uint32_t) {}).error().os_error, EBADF);
    EXPECT_TRUE(loop.watch(1'000'000, 0, nullptr));
    FILE* file = std::tmpfile();
    EXPECT_EQ(loop.watch(fileno(file), readable, [](uint32_t) {}).error().os_error, EPERM);
    std::fclose(file);
}

// Both descriptors are ready in one turn. The first to be called closes both; a new descriptor that gets the
// second one's number must not be given the event meant for its predecessor.
TEST_F(LoopTest, AnEventOfAClosedDescriptorDoesNotReachTheNewOwnerOfItsNumber) {
    Pair one, two, fresh;
    one.feed();
    two.feed();
    int first_calls = 0, stale = 0;
    const auto handler = [&](Pair& self, Pair& other) {
        return [&](uint32_t) {
            ++first_calls;
            ASSERT_TRUE(loop.watch(self.a, 0, nullptr));
            ASSERT_TRUE(loop.watch(other.a, 0, nullptr));
            ASSERT_EQ(dup2(fresh.a, other.a), other.a);  // the same number, another file, nothing to read
            ASSERT_TRUE(loop.watch(other.a, readable, [&](uint32_t) { ++stale; }));
        };
    };
    ASSERT_TRUE(loop.watch(one.a, readable, handler(one, two)));
    ASSERT_TRUE(loop.watch(two.a, readable, handler(two, one)));
    loop.step();
    EXPECT_EQ(first_calls, 1);
    EXPECT_EQ(stale, 0);
    fresh.feed();
    loop.step();
    EXPECT_EQ(stale, 1);
}

TEST_F(LoopTest, CloseForgetsADescriptorAndItsNumberIsFree) {
    std::array<int, 2> first{}, second{};
    ASSERT_EQ(pipe(first.data()), 0);
    int events = 0;
    const auto count = [](void* arg, uint32_t) { ++*static_cast<int*>(arg); };
    ASSERT_TRUE(loop.watch_edges(first[0], EPOLLIN, count, &events));
    ASSERT_EQ(write(first[1], "x", 1), 1);
    loop.close(first[0]);
    loop.step();
    EXPECT_EQ(events, 0);
    EXPECT_EQ(fcntl(first[0], F_GETFD), -1) << "it is closed";
    ASSERT_EQ(pipe(second.data()), 0);
    ASSERT_EQ(second[0], first[0]) << "the number is taken again";
    ASSERT_TRUE(loop.watch_edges(second[0], EPOLLIN, count, &events));
    ASSERT_EQ(write(second[1], "x", 1), 1);
    loop.step();
    EXPECT_EQ(events, 1);
    loop.close(second[0]);
    close(second[1]);
    close(first[1]);
    loop.close(-1);
}

TEST_F(LoopTest, AHandlerMayForgetItselfAndCloseItsDescriptor) {
    auto pair = std::make_unique<Pair>();
    pair->feed();
    int calls = 0;
    auto kept = std::make_shared<int>(7);
    ASSERT_TRUE(loop.watch(pair->a, readable, [&, kept](uint32_t) {
        ASSERT_TRUE(loop.watch(pair->a, 0, nullptr));
        pair.reset();
        calls += *kept;  // the captures are still there
    }));
    loop.step();
    loop.step();
    EXPECT_EQ(calls, 7);
    EXPECT_EQ(kept.use_count(), 1);
}

TEST_F(LoopTest, ADescriptorClosedWithoutAWordDoesNotLockItsNumber) {
    auto pair = std::make_unique<Pair>();
    const int number = pair->a;
    ASSERT_TRUE(loop.watch(number, readable, [](uint32_t) {}));
    pair.reset();
    Pair other;
    ASSERT_EQ(dup2(other.a, number), number);
    int calls = 0;
    ASSERT_TRUE(loop.watch(number, readable, [&](uint32_t) { ++calls; }));
    other.feed();
    loop.step();
    EXPECT_EQ(calls, 1);
    ASSERT_TRUE(loop.watch(number, 0, nullptr));
    if (number != other.a && number != other.b) close(number);
}

// So an answer that came in time is seen before its deadline is, however late the turn.
TEST_F(LoopTest, ATurnTakesDescriptorsBeforeTimersAndPostsBeforeBoth) {
    Pair pair;
    pair.feed();
    std::vector<int> order;
    ASSERT_TRUE(loop.watch(pair.a, readable, [&](uint32_t) {
        order.push_back(2);
        loop.at(0, [&] { order.push_back(4); });  // begun in this turn, told in the next
        EXPECT_TRUE(loop.watch(pair.a, 0, nullptr));
    }));
    loop.at(clock.now(), [&] { order.push_back(3); });
    loop.post([&] { order.push_back(1); });
    loop.step();
    EXPECT_THAT(order, ElementsAre(1, 2, 3));
    loop.step();
    EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
}

// A process that was stopped finds more answers than one fetch brings, and every deadline passed.
TEST_F(LoopTest, AfterALongHoldUpAllThatHasComeGoesBeforeWhatIsDue) {
    std::vector<Pair> pairs(400);
    size_t answered = 0, before = 0;
    for (const Pair& pair : pairs) {
        const auto take = [&answered, &pair](uint32_t) {
            pair.drain();
            ++answered;
        };
        ASSERT_TRUE(loop.watch(pair.a, readable, take));
    }
    const auto turn_after = [&](uint64_t time) {
        answered = 0;
        loop.at(clock.now() + 100 * ms, [&] { before = answered; });
        for (const Pair& pair : pairs) pair.feed();
        clock.advance(time);
        loop.step();
    };
    turn_after(900 * ms);
    EXPECT_EQ(before, 400U);
    turn_after(110 * ms);
    EXPECT_EQ(before, 128U) << "in time: a burst makes nothing late";
    for (const Pair& pair : pairs) ASSERT_TRUE(loop.watch(pair.a, 0, nullptr));
}

TEST_F(LoopTest, CapturesMayCallTheLoopWhileItDies) {
    base::ManualClock own;
    auto other = std::make_unique<Loop>("dies", &own);
    Pair pair;
    struct Caller {
        Loop* loop;
        int fd;
        ~Caller() {
            loop->cancel(1);
            (void)loop->watch(fd, 0, nullptr);
            loop->post([] {});
        }
    };
    auto caller = std::make_shared<Caller>(Caller{other.get(), pair.a});
    other->at(own.now() + ms, [caller] {});
    other->post([caller] {});
    ASSERT_TRUE(other->watch(pair.a, readable, [caller](uint32_t) {}));
    caller.reset();
    other.reset();
}

TEST(Loop, RunsUntilItIsStoppedAndDropsWhatIsPostedAfterwards) {
    Loop loop("loop-run");
    std::thread thread([&] { loop.run(); });
    std::promise<bool> inside;
    loop.post([&] { inside.set_value(loop.on_loop_thread() && loop.busy_since() != 0); });
    EXPECT_TRUE(inside.get_future().get());
    EXPECT_FALSE(loop.on_loop_thread());
    loop.stop();
    thread.join();
    bool late = false;
    loop.post([&] { late = true; });
    loop.step();
    EXPECT_FALSE(late);
    EXPECT_EQ(loop.busy_since(), 0U);
}

TEST(Loop, StopBeforeRunEndsItAtOnceButRunsWhatWasPostedBefore) {
    Loop loop("loop-stop");
    bool ran = false;
    loop.post([&] { ran = true; });
    loop.stop();
    loop.run();
    EXPECT_TRUE(ran);
}

TEST(Loop, PostsOfManyThreadsAllArrive) {
    Loop loop("loop-many");
    std::thread runner([&] { loop.run(); });
    constexpr int threads = 4, each = 5000;
    int count = 0;  // the loop's
    std::promise<void> all;
    std::vector<std::thread> posters;
    posters.reserve(threads);
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                loop.post([&] {
                    if (++count == threads * each) all.set_value();
                });
            }
        });
    }
    for (auto& thread : posters) thread.join();
    EXPECT_EQ(all.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
    loop.stop();
    runner.join();
}

TEST(Loop, ATimerWakesALoopThatSleeps) {
    Loop loop("loop-timer");
    const uint64_t when = loop.now() + 30 * ms;
    uint64_t fired = 0;
    loop.at(when, [&] {
        fired = loop.now();
        loop.stop();
    });
    loop.run();
    EXPECT_GE(fired, when);
}

// With a distant timer and nothing else to do, a loop must sleep and not spin.
TEST(Loop, AnIdleLoopUsesNoProcessorTime) {
    Loop loop("loop-idle");
    loop.at(loop.now() + 3600'000 * ms, [] { FAIL(); });
    uint64_t used = 0;
    std::thread thread([&] {
        const auto cpu = [] {
            timespec t{};
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
            return static_cast<uint64_t>(t.tv_sec) * 1'000 * ms + static_cast<uint64_t>(t.tv_nsec);
        };
        const uint64_t before = cpu();
        loop.run();
        used = cpu() - before;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // what is measured, not what is waited for
    loop.stop();
    thread.join();
    EXPECT_LT(used, 50 * ms);
}

}  // namespace
}  // namespace gorb::io::loop_test
