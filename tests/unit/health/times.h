// Times of these tests, in ns as a Clock counts.
#pragma once
#include <cstdint>

namespace gorb::health {

constexpr uint64_t ms = 1'000'000;
constexpr uint64_t s = 1000 * ms;

}  // namespace gorb::health
