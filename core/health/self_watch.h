// The engine's suspicion of its own machine, for all its loops together.
//
// Threads: any. A lock is taken only for results of another sign than the one before.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

#include "health/detector.h"
#include "health/engine.h"

namespace gorb::health {

class SelfWatch {
  public:
    SelfWatch(const SelfSuspicion& settings, Engine::OnSuspicion on_suspicion)
        : on_(settings.on), on_suspicion_(std::move(on_suspicion)), detector_(settings) {}

    // As those of the detector. What comes of it is told and logged.
    void began(const base::Ip& host, Detector::Sign sign, uint64_t gap, uint64_t now);
    void turned(const base::Ip& host, Detector::Sign before, Detector::Sign after, uint64_t gap,
                uint64_t now);
    void tick(uint64_t now);
    bool frozen() const { return frozen_.load(std::memory_order_relaxed); }
    Suspicion now() const;

  private:
    void tell(std::unique_lock<std::mutex> lock);
    // A loop's time is that of its turn: one that has much to do comes with an earlier one than another had.
    uint64_t in_order(uint64_t now) { return latest_ = std::max(latest_, now); }

    const bool on_;
    const Engine::OnSuspicion on_suspicion_;
    std::atomic<bool> frozen_{false};
    mutable std::mutex mutex_;
    uint64_t latest_ = 0;
    Detector detector_;
    std::mutex telling_;  // taken before mutex_ is let go: what comes later is told later
};

}  // namespace gorb::health
