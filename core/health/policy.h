// When a backend counts as up or down: a pure function of what it was and what the check said.
#pragma once
#include <cstdint>
#include <string>

#include "health/health.h"

namespace gorb::health {

struct Streak {
    State state = State::unknown;
    uint32_t passes = 0, failures = 0;  // in a row
    bool operator==(const Streak&) const = default;
};

// UNKNOWN (the checker's own trouble) changes nothing. The first counted result decides at once; after that
// it takes `rise` passes in a row to come up and `fall` failures in a row to go down.
Streak next(const Streak& now, plugin::Verdict verdict, uint32_t rise, uint32_t fall);

// Why it is so, in words: "connection refused (3 failures in a row)"; a single result is its own reason.
std::string because(const Streak& streak, const std::string& reason);

}  // namespace gorb::health
