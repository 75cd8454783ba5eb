#include "health/policy.h"

#include <limits>

namespace gorb::health {

namespace {

uint32_t one_more(uint32_t n) {
    return n == std::numeric_limits<uint32_t>::max() ? n : n + 1;
}

}  // namespace

std::string_view state_text(State s) {
    switch (s) {
        case State::up:
            return "up";
        case State::down:
            return "down";
        case State::unknown:
            break;
    }
    return "unknown";
}

Streak next(const Streak& now, plugin::Verdict verdict, uint32_t rise, uint32_t fall) {
    Streak then = now;
    if (verdict == plugin::Verdict::pass) {
        then.passes = one_more(now.passes);
        then.failures = 0;
        if (now.state == State::unknown || (now.state == State::down && then.passes >= rise))
            then.state = State::up;
    } else if (verdict == plugin::Verdict::fail) {
        then.failures = one_more(now.failures);
        then.passes = 0;
        if (now.state == State::unknown || (now.state == State::up && then.failures >= fall)) {
            then.state = State::down;
        }
    }
    return then;
}

std::string because(const Streak& streak, const std::string& reason) {
    const uint32_t row = streak.failures ? streak.failures : streak.passes;
    if (row < 2) return reason;
    return reason + " (" + std::to_string(row) + (streak.failures ? " failures" : " passes") + " in a row)";
}

}  // namespace gorb::health
