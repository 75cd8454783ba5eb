#include "health/self_watch.h"

#include "base/log.h"
#include "health/hash.h"

namespace gorb::health {

void SelfWatch::turned(const base::Ip& host, Detector::Sign before, Detector::Sign after, uint64_t interval,
                       uint64_t now) {
    if (!on_) return;
    Suspicion changed;
    {
        std::lock_guard lock(mutex_);
        if (!detector_.turned(hash_of(host), before, after, interval, now)) return;
        changed = detector_.now();
        frozen_.store(changed.frozen, std::memory_order_relaxed);
    }
    tell(changed);
}

void SelfWatch::tick(uint64_t now) {
    Suspicion changed;
    {
        std::lock_guard lock(mutex_);
        if (!detector_.tick(now)) return;
        changed = detector_.now();
        frozen_.store(changed.frozen, std::memory_order_relaxed);
    }
    tell(changed);
}

Suspicion SelfWatch::now() const {
    std::lock_guard lock(mutex_);
    return detector_.now();
}

void SelfWatch::tell(const Suspicion& suspicion) {
    if (suspicion.frozen) {
        base::log_warning("this machine is suspected of being ill, weights stay as they are",
                          {{"reason", suspicion.why}});
    } else {
        base::log_info("this machine is suspected no longer", {{"reason", suspicion.why}});
    }
    if (on_suspicion_) on_suspicion_(suspicion);
}

}  // namespace gorb::health
