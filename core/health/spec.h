// How something is checked, once for all that is checked that way: equal pulses become one object.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "health/health.h"

namespace gorb::health {

struct Spec {
    model::PulseList list;  // what keeps `pulse`
    const model::PulseSpec& pulse;
    std::shared_ptr<const plugin::Config> args;  // nullptr: the defaults
    uint64_t hash = 0;
};
using SpecPtr = std::shared_ptr<const Spec>;

// Threads: any.
class Specs {
  public:
    // The spec of the list's pulse `index`: equal pulses give the same object as long as anybody has it, with
    // the arguments it came with first.
    SpecPtr of(const model::PulseList& list, size_t index, const std::shared_ptr<const plugin::Config>& args);

  private:
    std::mutex mutex_;
    std::unordered_multimap<uint64_t, std::weak_ptr<const Spec>> known_;
    size_t sweep_at_ = 64;            // at this size, forget those that nobody has any more
    std::weak_ptr<const Spec> last_;  // most come in a row
};

uint64_t hash_of(const model::PulseSpec& pulse);

}  // namespace gorb::health
