// What the control thread knows of each backend beside the desired state: its health as last told, and the
// record the kernel has for it; and what of that other threads may read.
//
// Threads: published() by any thread, everything else by the control thread.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "control/control.h"
#include "health/weight.h"
#include "ipvs/driver.h"
#include "model/snapshot.h"

namespace gorb::control {

struct Slot {
    std::string service, backend;
    uint32_t configured = 0;
    health::State state = health::State::unknown;
    uint32_t share = 100;
    std::string reason;
    uint32_t before = 0;      // weight it may keep until its first result
    ipvs::DestRecord record;  // as the kernel has it
    std::string not_applied;  // what the kernel said to the last attempt to change it
    uint32_t attempts = 0;    // failed ones in a row
    uint64_t retry_at = 0;    // monotonic ns, 0: nothing to retry
};

class Slots {
  public:
    Slot* find(model::BackendId id);
    // Creates or replaces, and publishes.
    void put(model::BackendId id, Slot slot);
    void erase(model::BackendId id);
    // Makes a slot's present content what other threads read.
    void publish(model::BackendId id);

    // The earliest retry_at of all, 0 for none; and whose are due.
    uint64_t next_retry() const;
    std::vector<model::BackendId> due(uint64_t now) const;

    EffectiveWeight published(model::BackendId id) const;

  private:
    std::unordered_map<model::BackendId, Slot> slots_;
    std::unordered_map<model::BackendId, uint64_t> retries_;
    base::Guarded<std::unordered_map<model::BackendId, EffectiveWeight>> published_;
};

// The weight a slot's backend should have now, and why.
health::Weight wanted_weight(const Slot& slot);

}  // namespace gorb::control
