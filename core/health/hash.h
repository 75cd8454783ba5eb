// Spreads ids evenly: neighbours land far apart, and the same id always in the same place.
#pragma once
#include <cstdint>

namespace gorb::health {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): one to one on 64 bits.
constexpr uint64_t spread(uint64_t id) {
    uint64_t x = id + 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

}  // namespace gorb::health
