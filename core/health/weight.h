// The weight a backend has in the kernel: a pure function of the configured weight and its health.
#pragma once
#include <cstdint>
#include <string>

#include "health/health.h"

namespace gorb::health {

struct Weight {
    uint32_t effective = 0;
    std::string why;  // why it differs from the configured one, "" when it does not
    bool operator==(const Weight&) const = default;
};

// up: configured x share / 100 (at least 1 if neither is 0); down: 0; unknown: 0, no traffic before the first
// result, unless `before` (the weight found in the kernel when the destination was taken over) says it served
// already: then that, at most the configured one.
Weight weight(uint32_t configured, State state, uint32_t share, const std::string& reason, uint32_t before);

}  // namespace gorb::health
