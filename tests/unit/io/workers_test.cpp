#include "io/workers.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace gorb::io::workers_test {
namespace {

TEST(Workers, TakeThreadsPlusQueueJobsAndRefuseTheNext) {
    std::promise<void> gate;
    auto opened = gate.get_future().share();
    std::atomic<int> done{0};
    {
        Workers workers(2, 3);
        for (int i = 0; i < 5; ++i) {
            EXPECT_TRUE(workers.submit([&] {
                opened.wait();
                ++done;
            })) << i;
        }
        EXPECT_FALSE(workers.submit([&] { ++done; }));
        gate.set_value();
    }
    EXPECT_EQ(done, 5);
}

TEST(Workers, FinishWhatWasAcceptedBeforeTheyGo) {
    std::atomic<int> done{0};
    {
        Workers workers(1, 100);
        for (int i = 0; i < 100; ++i) EXPECT_TRUE(workers.submit([&] { ++done; }));
    }
    EXPECT_EQ(done, 100);
}

TEST(Workers, RunJobsAtTheSameTime) {
    Workers workers(2, 0);
    std::promise<void> first, second;
    auto first_started = first.get_future(), second_started = second.get_future();
    std::promise<bool> met_one, met_two;
    const auto limit = std::chrono::seconds(60);
    EXPECT_TRUE(workers.submit([&] {
        first.set_value();
        met_one.set_value(second_started.wait_for(limit) == std::future_status::ready);
    }));
    EXPECT_TRUE(workers.submit([&] {
        second.set_value();
        met_two.set_value(first_started.wait_for(limit) == std::future_status::ready);
    }));
    EXPECT_TRUE(met_one.get_future().get());
    EXPECT_TRUE(met_two.get_future().get());
}

// Checks that block are as urgent as those that do not; answers that are long are not.
TEST(Workers, AreCalledAsTheyAreToldAndGiveWayWhereTheyAreTold) {
    struct Seen {
        std::string name;
        int niceness = 0;
        bool operator==(const Seen&) const = default;
    };
    const auto seen = [](Workers& workers) {
        std::promise<Seen> answer;
        EXPECT_TRUE(workers.submit([&] {
            char name[16] = "";
            pthread_getname_np(pthread_self(), name, sizeof name);
            answer.set_value({name, getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()))});
        }));
        return answer.get_future().get();
    };
    const int usual = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));
    Workers checks(1, 0), answers(1, 0, "rest-worker", Workers::Priority::gives_way);
    EXPECT_EQ(seen(checks), (Seen{"worker", usual}));
    EXPECT_EQ(seen(answers), (Seen{"rest-worker", std::min(usual + 10, 19)}));
}

TEST(Workers, WithoutThreadsRefuseEverything) {
    Workers workers(0, 0);
    EXPECT_FALSE(workers.submit([] {}));
}

TEST(Workers, AJobMayHoldTheLastReferenceToTheirOwner) {
    struct Owner {
        Workers workers{1, 8};
    };
    auto owner = std::make_shared<Owner>();
    std::promise<void> let_go, done;
    ASSERT_TRUE(owner->workers.submit([owner, gone = let_go.get_future().share()] { gone.wait(); }));
    ASSERT_TRUE(owner->workers.submit([&] { done.set_value(); }));
    owner.reset();
    let_go.set_value();
    EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready)
        << "what was accepted is finished all the same";
}

TEST(Workers, TakeJobsFromManyThreads) {
    std::atomic<int> done{0}, taken{0};
    {
        Workers workers(3, 10'000);
        std::vector<std::thread> threads;
        threads.reserve(4);
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 1000; ++i) taken += workers.submit([&] { ++done; }) ? 1 : 0;
            });
        }
        for (auto& thread : threads) thread.join();
    }
    EXPECT_EQ(taken, 4000);
    EXPECT_EQ(done, 4000);
}

}  // namespace
}  // namespace gorb::io::workers_test
