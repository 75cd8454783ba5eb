#include "health/self_watch.h"

#include <utility>

#include "base/log.h"
#include "health/hash.h"

namespace gorb::health {

void SelfWatch::turned(const base::Ip& host, Detector::Sign before, Detector::Sign after, uint64_t gap,
                       uint64_t now) {
    if (!on_) return;
    std::unique_lock lock(mutex_);
    if (detector_.turned(hash_of(host), before, after, gap, in_order(now))) tell(std::move(lock));
}

void SelfWatch::began(const base::Ip& host, Detector::Sign sign, uint64_t gap, uint64_t now) {
    if (!on_) return;
    const std::lock_guard lock(mutex_);
    detector_.began(hash_of(host), sign, gap, in_order(now));
}

void SelfWatch::tick(uint64_t now) {
    std::unique_lock lock(mutex_);
    if (detector_.tick(in_order(now))) tell(std::move(lock));
}

Suspicion SelfWatch::now() const {
    std::lock_guard lock(mutex_);
    return detector_.now();
}

void SelfWatch::tell(std::unique_lock<std::mutex> lock) {
    const Suspicion suspicion = detector_.now();
    frozen_.store(suspicion.frozen, std::memory_order_relaxed);
    const std::lock_guard order(telling_);
    lock.unlock();
    if (suspicion.frozen) {
        base::log_warning("this machine is suspected of being ill, weights stay as they are",
                          {{"reason", suspicion.why}});
    } else {
        base::log_info("this machine is suspected no longer", {{"reason", suspicion.why}});
    }
    if (on_suspicion_) on_suspicion_(suspicion);
}

}  // namespace gorb::health
