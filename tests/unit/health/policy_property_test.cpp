// The policy against the plainest way to say the same: look back over everything that ever happened.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "health/policy.h"
#include "unit/health/times.h"

namespace gorb::health::policy_property_test {
namespace {

using plugin::Verdict;

struct Naive {
    model::PulseSpec pulse;
    State state = State::unknown;
    std::vector<bool> counted;
    std::vector<uint64_t> falls;
    uint64_t until = 0;
    uint32_t failed_while_down = 0;

    uint32_t row(bool pass) const {
        uint32_t n = 0;
        for (auto it = counted.rbegin(); it != counted.rend() && *it == pass; ++it) ++n;
        return n;
    }
    uint32_t failures(size_t of) const {
        uint32_t n = 0;
        for (size_t i = 0; i < of && i < counted.size(); ++i) n += counted[counted.size() - 1 - i] ? 0 : 1;
        return n;
    }
    bool window() const { return pulse.window.of && failures(pulse.window.of) >= pulse.window.failures; }

    void result(Verdict v, uint64_t now) {
        if (v == Verdict::unknown) return;
        const bool pass = v == Verdict::pass;
        counted.push_back(pass);
        if (state == State::down && !pass) ++failed_while_down;
        if (pass) failed_while_down = 0;
        if (state == State::unknown) {
            state = pass ? State::up : State::down;
        } else if (state == State::down && pass && row(true) >= pulse.rise && !window() && now >= until) {
            state = State::up;
        } else if (state == State::up && !pass && (row(false) >= pulse.fall || window())) {
            state = State::down;
            failed_while_down = 0;
            falls.push_back(now);
            if (pulse.damping.hold.count() > 0) {
                double recent = 0;
                for (const uint64_t fell : falls) {
                    recent += std::exp2(-static_cast<double>(now - fell) /
                                        static_cast<double>(pulse.damping.forget.count()));
                }
                double hold = static_cast<double>(pulse.damping.hold.count());
                hold = std::min(hold * std::exp2(recent - 1), static_cast<double>(pulse.damping.max.count()));
                until = now + static_cast<uint64_t>(hold);
            }
        }
    }
};

model::PulseSpec any_pulse(std::mt19937_64& random) {
    model::PulseSpec p;
    p.interval = std::chrono::seconds(1 + random() % 100);
    p.rise = 1 + static_cast<uint32_t>(random() % 5);
    p.fall = 1 + static_cast<uint32_t>(random() % 5);
    p.initial = static_cast<model::Initial>(random() % 3);
    if (random() % 2) {
        p.window.of = 1 + static_cast<uint32_t>(random() % model::max_window);
        p.window.failures = 1 + static_cast<uint32_t>(random() % p.window.of);
    }
    if (random() % 2) {
        p.damping.hold = std::chrono::seconds(1 + random() % 100);
        p.damping.max = p.damping.hold * (1 + random() % 20);
        p.damping.forget = std::chrono::seconds(1 + random() % 1000);
    }
    if (random() % 2) p.backoff = {1 + static_cast<double>(random() % 30) / 10, std::chrono::seconds(200)};
    if (random() % 2) p.fast_interval = std::chrono::seconds(1);
    if (random() % 2) p.down_interval = std::chrono::seconds(1 + random() % 50);
    p.jitter = static_cast<uint32_t>(random() % 51);
    return p;
}

TEST(PolicyProperty, AgreesWithALookAtTheWholeHistory) {
    std::mt19937_64 random(20240501);
    size_t steps = 0, falls = 0, holds = 0;
    for (int round = 0; round < 600; ++round) {
        Naive naive;
        naive.pulse = any_pulse(random);
        const bool damping = naive.pulse.damping.hold.count() > 0;
        Standing standing = beginning(naive.pulse);
        naive.state = standing.state;
        Damped damped;
        uint64_t now = 1000 * s;
        // Phases in which most passes, most fails, or all is mixed.
        uint64_t bias = 50;
        for (int i = 0; i < 250; ++i, ++steps) {
            if (random() % 20 == 0) bias = random() % 101;
            const Verdict v = random() % 10 == 0      ? Verdict::unknown
                              : random() % 100 < bias ? Verdict::pass
                                                      : Verdict::fail;
            const State before = standing.state;
            const Standing was = standing;
            const Why why = count(standing, damping ? &damped : nullptr, naive.pulse, v, now);
            naive.result(v, now);
            ASSERT_EQ(standing.state, naive.state) << "round " << round << " step " << i;
            ASSERT_EQ(why != Why::nothing, before != standing.state);
            if (v == Verdict::unknown) {
                ASSERT_EQ(standing, was);
            }
            const bool pass = !naive.counted.empty() && naive.counted.back();
            ASSERT_EQ(standing.passes, pass ? naive.row(true) : 0);
            ASSERT_EQ(standing.failures, pass ? 0 : naive.row(false));
            ASSERT_EQ(standing.backoff, naive.state == State::down ? naive.failed_while_down : 0);
            const size_t last = std::min<size_t>(100, naive.counted.size());
            ASSERT_DOUBLE_EQ(
                standing.ratio(),
                last ? static_cast<double>(last - naive.failures(100)) / static_cast<double>(last) : 1.0);
            if (damping) {
                ASSERT_NEAR(static_cast<double>(damped.until), static_cast<double>(naive.until), 1e6);
                naive.until = damped.until;  // a rounded power of two more or less decides nothing
            }
            // A target that just fell stays down at least hold, at most max.
            if (damping && before == State::up && standing.state == State::down) {
                ASSERT_GE(damped.until - now, static_cast<uint64_t>(naive.pulse.damping.hold.count()) - 1);
                ASSERT_LE(damped.until - now, static_cast<uint64_t>(naive.pulse.damping.max.count()) + 1);
            }
            falls += before == State::up && standing.state == State::down ? 1 : 0;
            holds += damping && standing.state == State::down && now < damped.until ? 1 : 0;

            const uint64_t took = random() % (2 * s);
            const uint64_t due = next_due(standing, damping ? &damped : nullptr, naive.pulse, round, 3,
                                          10'000'000, now, now + took);
            ASSERT_GE(due, now + took);
            const auto longest = static_cast<uint64_t>(
                std::max({naive.pulse.interval, naive.pulse.down_interval, naive.pulse.backoff.max}).count());
            ASSERT_LE(due, now + took + 3 * longest);
            now = due;
        }
    }
    EXPECT_GE(steps, 100'000U);
    EXPECT_GT(falls, 1000U);
    EXPECT_GT(holds, 1000U);
}

}  // namespace
}  // namespace gorb::health::policy_property_test
