// Spreads ids evenly: neighbours land far apart, and the same id always in the same place.
#pragma once
#include <cstdint>
#include <cstring>

#include "base/address.h"

namespace gorb::health {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): one to one on 64 bits.
constexpr uint64_t spread(uint64_t id) {
    uint64_t x = id + 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

inline uint64_t hash_of(const base::Ip& ip) {
    uint64_t halves[2];
    std::memcpy(halves, ip.bytes.data(), sizeof halves);
    return spread(spread(halves[0]) ^ halves[1] ^ static_cast<uint64_t>(ip.family));
}

inline uint64_t hash_of(const base::Endpoint& endpoint) {
    return spread(hash_of(endpoint.ip) + endpoint.port);
}

}  // namespace gorb::health
