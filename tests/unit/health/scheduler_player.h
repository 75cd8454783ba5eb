// Plays the engine to a Scheduler.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "base/clock.h"
#include "health/hash.h"
#include "health/policy.h"
#include "health/scheduler.h"
#include "unit/health/times.h"

namespace gorb::health {

using Slot = Scheduler::Slot;

// Plays the engine: one turn at each wake-up, as a loop would; every target comes at its regular places.
struct Player {
    explicit Player(Scheduler::Caps caps = {}) : scheduler(clock.now(), caps) {}

    struct Target {
        uint64_t id = 0, interval = 0, timeout = 0;
    };
    base::ManualClock clock{100 * s};
    Scheduler scheduler;
    std::vector<Target> targets;  // by slot
    std::map<Slot, std::vector<uint64_t>> starts;
    std::vector<Slot> order;  // of starts
    size_t timeouts = 0, most_in_a_turn = 0, most_running = 0;
    uint64_t latest = 0;
    // Whether a check that was just started answers at once; nothing: it does.
    std::function<bool(Slot)> answers;
    std::function<void(Slot)> on_timeout;

    uint64_t deadline(Slot slot) const { return scheduler.started(slot) + targets[slot].timeout; }
    void finish(Slot slot) {
        const Target& t = targets[slot];
        scheduler.finish(slot,
                         next_regular(spread(t.id), 0, std::max(t.interval, Scheduler::tick), 0, clock.now()),
                         clock.now());
    }
    void turn() {
        std::vector<Slot> slots;
        scheduler.advance(clock.now(), slots);
        for (const Slot slot : slots) {
            ++timeouts;
            EXPECT_GE(clock.now(), deadline(slot));
            if (on_timeout) on_timeout(slot);
            finish(slot);
        }
        std::vector<Scheduler::Start> begun;
        scheduler.take(clock.now(), begun);
        most_in_a_turn = std::max(most_in_a_turn, begun.size());
        most_running = std::max(most_running, scheduler.running());
        for (const auto& [slot, late] : begun) {
            scheduler.limit(slot, deadline(slot));
            latest = std::max(latest, late);
            starts[slot].push_back(clock.now());
            order.push_back(slot);
            if (!answers || answers(slot)) finish(slot);
        }
    }
    // Sleeps as a loop does: until the wake-up, or not at all.
    void run_until(uint64_t end) {
        while (scheduler.wake() <= end) {
            if (scheduler.wake() > clock.now()) clock.advance(scheduler.wake() - clock.now());
            turn();
        }
        clock.advance(end - clock.now());
    }
    void run_for(uint64_t time) { run_until(clock.now() + time); }
    Slot add(uint64_t id, uint64_t interval, uint64_t timeout = 5 * s, uint32_t host = 0) {
        const auto slot = static_cast<Slot>(targets.size());
        targets.push_back({id, interval, timeout});
        interval = std::max(interval, Scheduler::tick);
        scheduler.add(slot, host ? host : slot + 1, interval,
                      next_regular(spread(id), 0, interval, 0, clock.now()), clock.now());
        return slot;
    }
};

}  // namespace gorb::health
