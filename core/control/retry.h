// How long is waited before what the kernel refused is asked for again.
#pragma once
#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace gorb::control {

// ns after so many failures in a row: 1 s, then twice as long each time, at most a minute.
inline uint64_t retry_after(uint32_t failures) {
    return std::min(60 * base::second, base::second << std::min<uint32_t>(failures, 6));
}

}  // namespace gorb::control
