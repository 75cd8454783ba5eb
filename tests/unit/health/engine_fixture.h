// An engine with fake checkers, on a loop that the test steps.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "health/engine.h"
#include "unit/health/fake_checker.h"
#include "unit/health/times.h"

namespace gorb::health {

inline Target target(model::BackendId id, base::Nanos interval = std::chrono::seconds(1)) {
    Target t;
    t.id = id;
    t.service = "web";
    t.backend = "b" + std::to_string(id);
    t.address = address_of(id + 1);
    edit_pulse(t, [&](model::PulseSpec& p) {
        p.interval = interval;
        p.jitter = 0;
    });
    return t;
}

// An engine on one loop that the test steps; a millisecond of its time is a turn.
class EngineTest : public testing::Test {
  protected:
    EngineTest() { base::set_log_level(base::LogLevel::error); }
    ~EngineTest() override {
        engine.reset();
        EXPECT_EQ(world.checkers, 0);
        EXPECT_EQ(world.probes, 0);
        EXPECT_EQ(world.running, 0);
        base::set_log_level(base::LogLevel::info);
    }

    // All that happens without time passing.
    void settle() {
        for (int i = 0; i < 10'000 && loop.step(); ++i) {
        }
    }
    void pass_time(uint64_t time, uint64_t step = 10 * ms) {
        settle();
        for (uint64_t gone = 0; gone < time; gone += step) {
            clock.advance(step);
            settle();
        }
    }
    // The answer comes in the next turn.
    void step_until_started() {
        for (int i = 0; i < 10 && world.starts().empty(); ++i) loop.step();
        ASSERT_EQ(world.starts().size(), 1U);
    }
    View view(model::BackendId id) {
        const auto v = engine->read(id);
        EXPECT_TRUE(v);
        return v.value_or(View{});
    }

    CheckView check(model::BackendId id) {
        return view(id).checks.empty() ? CheckView{} : view(id).checks[0];
    }

    base::ManualClock clock{1000 * s};
    io::Loop loop{"loop-0", &clock};
    FakeWorld world;
    static EngineOptions options() {
        EngineOptions o;
        o.seed = 1;
        o.max_in_flight = 1'000'000;
        return o;
    }

    std::vector<std::vector<Changed>> told;
    std::vector<Suspicion> suspicions;
    std::unique_ptr<Engine> engine = std::make_unique<Engine>(
        world.maker(), std::vector<io::Loop*>{&loop},
        [this](std::span<const Changed> changes) { told.emplace_back(changes.begin(), changes.end()); },
        [this](const Suspicion& suspicion) { suspicions.push_back(suspicion); }, options());
};

}  // namespace gorb::health
