// How the kernel's schedulers read a destination's weight, so far as it decides what is sensible for health
// to do with it. From net/netfilter/ipvs/ip_vs_*.c; measured on Linux 6.1 (tests/kernel/test_schedulers.py).
#pragma once
#include <cstdint>
#include <string_view>

#include "model/service.h"

namespace gorb::model {

enum class WeightUse : uint8_t {
    proportion,  // traffic in proportion: wrr, wlc, sed, nq, lblc, lblcr, twos, and any we do not know
    hash_share,  // a share of the hash table, whose every change moves clients: sh, mh
    capacity,    // how many connections fit: ovf
    rank,        // the highest serves: fo
    zero_only,   // only whether it is 0: rr, lc, dh
};

struct SchedulerTraits {
    WeightUse use = WeightUse::proportion;
    // What is given a weight of 0 goes on swallowing the clients that are hashed to it...
    bool zero_swallows = false;
    // ... unless this flag is set; 0: there is none for it.
    uint32_t fallback_flag = 0;
    // Slots of its table, filled destination by destination with as many as the weight says; 0: not so.
    uint32_t slots = 0;  // IP_VS_SH_TAB_SIZE

    // May a returning backend's weight rise step by step?
    bool ramps() const { return use == WeightUse::proportion || use == WeightUse::capacity; }
    // Does a part of the weight mean a part of the traffic?
    bool scales() const { return ramps() || use == WeightUse::hash_share; }
};
SchedulerTraits scheduler_traits(std::string_view scheduler);

// What really becomes of a backend that is down: its weight, or where weight 0 would swallow clients and no
// flag helps (dh), the destination.
OnDown effective_on_down(const Service& service);
OnDown effective_on_down(const Service& service, const SchedulerTraits& traits);  // of its scheduler

// The scheduler flags the kernel gets: the service's own, and fallback where weight 0 would swallow clients,
// unless it is refused.
uint32_t effective_flags(const Service& service);

// Is a destination that would have a weight of 0 better not there, whatever the reason? With weight 0 it
// would swallow clients, and no flag helps (dh), or it is refused.
bool absent_at_zero(const Service& service);
bool absent_at_zero(const Service& service, const SchedulerTraits& traits);  // of its scheduler

}  // namespace gorb::model
