#include "health/spec.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "health/hash.h"

namespace gorb::health {

namespace {

class Mix {
  public:
    void add(uint64_t value) { state_ = spread(state_ ^ value); }
    void add(base::Nanos value) { add(static_cast<uint64_t>(value.count())); }
    void add(double value) { add(std::bit_cast<uint64_t>(value)); }
    void add(const std::string& value) { add(static_cast<uint64_t>(std::hash<std::string>()(value))); }
    uint64_t value() const { return state_; }

  private:
    uint64_t state_ = 0;
};

}  // namespace

// Equal pulses have equal hashes; what is left out here only costs a comparison.
uint64_t hash_of(const model::PulseSpec& pulse) {
    Mix mix;
    mix.add(pulse.type);
    for (const base::Nanos t : {pulse.interval, pulse.timeout, pulse.fast_interval, pulse.down_interval,
                                pulse.damping.hold, pulse.backoff.max}) {
        mix.add(t);
    }
    mix.add(pulse.backoff.factor);
    for (const uint32_t n :
         {pulse.jitter, pulse.rise, pulse.fall, pulse.window.failures, pulse.window.of, pulse.fwmark}) {
        mix.add(uint64_t{n});
    }
    mix.add(hash_of(pulse.address));
    mix.add(hash_of(pulse.source));
    mix.add(pulse.interface);
    for (const auto& [name, value] : pulse.args) {
        mix.add(name);
        mix.add(value);
    }
    return mix.value();
}

SpecPtr Specs::of(const model::PulseList& list, size_t index,
                  const std::shared_ptr<const plugin::Config>& args) {
    const model::PulseSpec& pulse = list[index];
    std::lock_guard lock(mutex_);
    if (SpecPtr last = last_.lock(); last && (&last->pulse == &pulse || last->pulse == pulse)) return last;
    const uint64_t hash = hash_of(pulse);
    const auto [begin, end] = known_.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
        if (SpecPtr known = it->second.lock(); known && known->pulse == pulse) {
            last_ = known;
            return known;
        }
    }
    if (known_.size() >= sweep_at_) {
        std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
        sweep_at_ = std::max<size_t>(64, known_.size() * 2);
    }
    auto made = std::make_shared<const Spec>(Spec{list, pulse, args, hash});
    known_.emplace(hash, made);
    last_ = made;
    return made;
}

}  // namespace gorb::health
