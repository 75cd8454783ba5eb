// What the control thread knows of each backend beside the desired state: its health as last told, the weight
// it should have, and the record the kernel has for it; and what of that other threads may read.
//
// Threads: published() by any thread, everything else by the control thread.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "control/pulse_pool.h"
#include "health/pool.h"
#include "ipvs/driver.h"
#include "model/snapshot.h"

namespace gorb::control {

struct Slot {
    std::string service, backend;
    health::Member member;
    // What the state was before the last change, for as long as weights are frozen.
    health::State state_before = health::State::unknown;
    uint64_t since_before = 0;
    health::Decision decision;
    std::shared_ptr<const Pulses> pulses;  // with their arguments, as the plugins checked them
    ipvs::DestRecord record;               // as the kernel has it
    bool present = false;                  // is it in the kernel
    std::string not_applied;               // what the kernel said to the last attempt to change it
    uint32_t attempts = 0;                 // failed ones in a row
    uint64_t retry_at = 0;                 // monotonic ns, 0: nothing to retry
};

// A new state of health, as told by the engine or set by an operation.
void set_state(Slot& slot, health::State state, uint64_t since);

class Slots {
  public:
    Slot* find(model::BackendId id);
    // Creates or replaces, and publishes.
    Slot& put(model::BackendId id, Slot slot);
    void erase(model::BackendId id);
    // Makes a slot's present content what other threads read.
    void publish(model::BackendId id);

    // The earliest retry_at of all, 0 for none; and whose are due.
    uint64_t next_retry() const;
    std::vector<model::BackendId> due(uint64_t now) const;

    struct Published {
        health::Decision decision;
        uint32_t weight = 0;   // in the kernel
        bool present = false;  // is it there
        std::string not_applied;
    };
    Published published(model::BackendId id) const;

  private:
    std::unordered_map<model::BackendId, Slot> slots_;
    std::unordered_map<model::BackendId, uint64_t> retries_;
    base::Guarded<std::unordered_map<model::BackendId, Published>> published_;
};

}  // namespace gorb::control
