// What one loop counts of its checks.
//
// Threads: written by the loop's, read by any.
#pragma once
#include <atomic>
#include <cstdint>

#include "health/engine.h"

namespace gorb::health {

class Tally {
  public:
    using Number = std::atomic<uint64_t>;

    Number started{0}, passed{0}, failed{0}, unknown{0}, timed_out{0}, rechecks{0}, in_flight{0},
        held_back{0};

    // One writer: no need for a locked instruction.
    static void add(Number& number, uint64_t n = 1) {
        number.store(number.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void begun(uint64_t late_ns) {
        add(started);
        size_t bucket = 0;
        while (bucket < Counters::late_ms.size() &&
               late_ns > uint64_t{Counters::late_ms[bucket]} * 1'000'000) {
            ++bucket;
        }
        add(late_[bucket]);
        add(late_ns_, late_ns);
        if (late_ns > latest_ns_.load(std::memory_order_relaxed)) {
            latest_ns_.store(late_ns, std::memory_order_relaxed);
        }
    }
    void ended(plugin::Verdict verdict) {
        add(verdict == plugin::Verdict::pass ? passed : verdict == plugin::Verdict::fail ? failed : unknown);
    }
    void add_to(Counters& sum) const {
        sum.started += started;
        sum.passed += passed;
        sum.failed += failed;
        sum.unknown += unknown;
        sum.timed_out += timed_out;
        sum.rechecks += rechecks;
        sum.in_flight += in_flight;
        sum.held_back += held_back;
        for (size_t i = 0; i < late_.size(); ++i) sum.late[i] += late_[i];
        sum.late_ns += late_ns_;
        sum.latest_ns = std::max<uint64_t>(sum.latest_ns, latest_ns_);
    }

  private:
    std::array<Number, 9> late_{};
    Number late_ns_{0}, latest_ns_{0};
};

}  // namespace gorb::health
