// The engine under real threads: what ThreadSanitizer is to look at.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "base/log.h"
#include "health/engine.h"
#include "unit/health/fake_checker.h"

namespace gorb::health::engine_threads_test {
namespace {

Target target(model::BackendId id, uint16_t port) {
    Target t;
    t.id = id;
    t.service = "web";
    t.backend = "b" + std::to_string(id);
    t.address = address_of(id, port);
    edit_pulse(t, [](model::PulseSpec& p) {
        p.interval = std::chrono::milliseconds(20);
        p.timeout = std::chrono::milliseconds(30);
        p.rise = p.fall = 1;
    });
    return t;
}

template <class Condition>
bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

class EngineThreads : public testing::Test {
  protected:
    EngineThreads() { base::set_log_level(base::LogLevel::error); }
    ~EngineThreads() override {
        stop();
        engine.reset();
        EXPECT_EQ(world.checkers, 0);
        EXPECT_EQ(world.probes, 0);
        EXPECT_EQ(world.running, 0);
        base::set_log_level(base::LogLevel::info);
    }
    void start() {
        for (io::Loop* loop : {&one, &two}) threads.emplace_back([loop] { loop->run(); });
    }
    void stop() {
        one.stop();
        two.stop();
        for (std::thread& t : threads) t.join();
        threads.clear();
    }

    io::Loop one{"loop-0"}, two{"loop-1"};
    FakeWorld world;
    std::atomic<size_t> changes{0};
    std::unique_ptr<Engine> engine =
        std::make_unique<Engine>(world.maker(), std::vector<io::Loop*>{&one, &two},
                                 [this](std::span<const Changed> c) { changes += c.size(); });
    std::vector<std::thread> threads;
};

TEST_F(EngineThreads, AtTheEndEachLoopDestroysWhatPulsesHaveOnIt) {
    world.answer("b1", std::nullopt);  // its check runs to the end
    for (model::BackendId id = 1; id <= 40; ++id) engine->put(target(id, 80));
    start();
    ASSERT_TRUE(eventually([&] { return world.adds == 40 && world.checkers == 2; }));
    engine->close();
    stop();
    EXPECT_EQ(world.removes, 40);
    EXPECT_EQ(world.checkers, 0);
    EXPECT_EQ(world.elsewhere, 0);
}

TEST_F(EngineThreads, AfterTheEndNothingIsChecked) {
    engine->put(target(1, 80));
    start();
    ASSERT_TRUE(eventually([&] { return world.adds == 1; }));
    engine->close();
    ASSERT_TRUE(eventually([&] { return world.checkers == 0; }));
    engine->put(target(2, 80));
    std::atomic<bool> answered{false};
    engine->push(1, {}, [&](const base::Status& status) {
        EXPECT_FALSE(status);
        answered = true;
    });
    EXPECT_TRUE(eventually([&] { return answered.load(); }));
    stop();
    EXPECT_EQ(world.makes, 1);
    EXPECT_EQ(world.adds, 1);
}

TEST_F(EngineThreads, PutsRemovalsAndReadsFromManyThreadsEndInTheLastState) {
    constexpr size_t writers = 3;
    constexpr model::BackendId each = 40;
    for (model::BackendId id = 0; id < writers * each; ++id) {
        if (id % 3 == 1) world.answer("b" + std::to_string(id), failing());
        if (id % 3 == 2) world.answer("b" + std::to_string(id), std::nullopt);
    }
    start();
    std::atomic<bool> done{false};
    std::thread reader([&] {
        std::mt19937_64 random(99);
        while (!done) {
            const auto v = engine->read(random() % (writers * each));
            EXPECT_TRUE(!v || v->state != State::unknown || v->because.empty());
            EXPECT_LE(engine->size(), writers * each);
        }
    });
    std::vector<std::thread> writing;
    std::vector<std::vector<bool>> here(writers, std::vector<bool>(each, false));
    for (size_t w = 0; w < writers; ++w) {
        writing.emplace_back([&, w] {
            std::mt19937_64 random(w);
            for (int i = 0; i < 3000; ++i) {
                const model::BackendId nth = random() % each;
                const model::BackendId id = w * each + nth;
                if (random() % 3 == 0) {
                    engine->remove(id);
                    EXPECT_FALSE(engine->read(id));
                    here[w][nth] = false;
                } else {
                    engine->put(target(id, static_cast<uint16_t>(80 + random() % 3)));
                    EXPECT_TRUE(engine->read(id));
                    here[w][nth] = true;
                }
            }
        });
    }
    for (std::thread& t : writing) t.join();
    size_t expected = 0;
    for (size_t w = 0; w < writers; ++w) {
        for (model::BackendId nth = 0; nth < each; ++nth) {
            const model::BackendId id = w * each + nth;
            if (!here[w][nth]) {
                EXPECT_FALSE(engine->read(id));
                continue;
            }
            ++expected;
            const State state = id % 3 ? State::down : State::up;
            EXPECT_TRUE(eventually([&] { return engine->read(id)->state == state; })) << id;
        }
    }
    EXPECT_EQ(engine->size(), expected);
    // Nothing of those that are gone is left on the loops.
    EXPECT_TRUE(eventually([&] { return world.probes == static_cast<int>(expected); }));
    EXPECT_GT(changes, 0U);
    done = true;
    reader.join();
}

// One id from two threads: whoever was last, board and loop agree.
TEST_F(EngineThreads, TwoThreadsAtOneTargetLeaveNoStranger) {
    start();
    std::vector<std::thread> writing;
    for (size_t w = 0; w < 2; ++w) {
        writing.emplace_back([&, w] {
            std::mt19937_64 random(w);
            for (int i = 0; i < 5000; ++i) {
                if (random() % 2) {
                    engine->put(target(7, static_cast<uint16_t>(80 + random() % 3)));
                } else {
                    engine->remove(7);
                }
            }
        });
    }
    for (std::thread& t : writing) t.join();
    if (engine->read(7)) {
        EXPECT_TRUE(eventually([&] { return engine->read(7)->checks[0].passes > 0; }));
        engine->remove(7);
    }
    // Commands are obeyed in order: where one of these is checked, id 7 has been dropped before.
    const auto checked = [&](uint64_t times) {
        return eventually([&] {
            for (model::BackendId id = 100; id < 120; ++id) {
                if (engine->read(id)->checks[0].passes < times) return false;
            }
            return true;
        });
    };
    for (model::BackendId id = 100; id < 120; ++id) engine->put(target(id, 80));
    EXPECT_TRUE(checked(1));
    world.forget_starts();
    EXPECT_TRUE(checked(5));
    EXPECT_EQ(world.probes, 20);
    EXPECT_EQ(world.starts_of("b7"), 0U);
}

// Pulses on both loops, probes shared by several backends, pushes and reads from outside: what was told last
// of each is what it is.
TEST_F(EngineThreads, WhatIsToldLastOfABackendIsItsState) {
    std::mutex mutex;
    std::map<model::BackendId, State> last;
    engine = std::make_unique<Engine>(world.maker(), std::vector<io::Loop*>{&one, &two},
                                      [&](std::span<const Changed> changed) {
                                          std::lock_guard lock(mutex);
                                          for (const Changed& c : changed) last[c.id] = c.state;
                                      });
    world.answer_push(base::Status());
    start();
    constexpr model::BackendId n = 60;
    const auto made = [](model::BackendId id) {
        Target t = target(id / 3, 80);  // three share their probes
        t.id = id;
        t.backend = "b" + std::to_string(id / 3);
        std::vector<model::PulseSpec> pulses(3, t.pulses[0]);
        pulses[1].type = "http";
        pulses[2].type = "deaf";
        t.pulses = model::PulseList(pulses);
        return t;
    };
    for (model::BackendId id = 0; id < n; ++id) engine->put(made(id));
    std::atomic<size_t> pushed{0};
    std::mt19937_64 random(5);
    for (int round = 0; round < 300; ++round) {
        const std::string backend = "b" + std::to_string(random() % (n / 3));
        world.answer(backend + (random() % 2 ? "/http" : "/tcp"), random() % 2 ? failing() : passing());
        engine->push(random() % n, {}, [&](const base::Status&) { ++pushed; });
        const auto view = engine->read(random() % n);
        EXPECT_TRUE(!view || view->checks.size() == 3);
        if (round % 10 == 0) {
            const model::BackendId id = random() % n;
            engine->remove(id);
            engine->put(made(id));
        }
        EXPECT_LE(engine->counters().backends, n);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (model::BackendId b = 0; b < n / 3; ++b) {
        const std::string backend = "b" + std::to_string(b);
        world.answer(backend + "/http", b % 2 ? passing() : failing());
        world.answer(backend + "/tcp", passing());
    }
    EXPECT_TRUE(eventually([&] {
        std::lock_guard lock(mutex);
        for (model::BackendId id = 0; id < n; ++id) {
            const State state = id / 3 % 2 ? State::up : State::down;
            if (engine->read(id)->state != state || last[id] != state) return false;
        }
        return true;
    }));
    EXPECT_TRUE(eventually([&] { return pushed == 300; }));
    EXPECT_EQ(engine->counters().probes, n);
    stop();
    engine.reset();
}

}  // namespace
}  // namespace gorb::health::engine_threads_test
