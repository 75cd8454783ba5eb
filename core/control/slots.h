// What the control knows of each backend beside the desired state: its health as last told, the weight
// it should have, and what the kernel has for it; and what of that other threads may read.
//
// Threads: published() by any thread, everything else in the control's turns. Readers wait for no batch: the
// lock is held while a slot is published, put or erased.
// Cost: 136 bytes for each backend and up to 11 to find it; what few have is kept apart.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/dense_set.h"
#include "health/pool.h"
#include "ipvs/driver.h"
#include "model/snapshot.h"
#include "reconcile/table.h"

namespace gorb::control {

// A value that few slots have: nothing but a pointer where it is as it was made.
template <class T>
class Seldom {
  public:
    Seldom() = default;
    Seldom(const Seldom& other) : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
    Seldom(Seldom&&) noexcept = default;
    Seldom& operator=(const Seldom& other) { return *this = Seldom(other); }
    Seldom& operator=(Seldom&&) noexcept = default;
    ~Seldom() = default;

    explicit operator bool() const { return value_ != nullptr; }
    const T& get() const {
        static const T none;
        return value_ ? *value_ : none;
    }
    T& change() {
        if (!value_) value_ = std::make_unique<T>();
        return *value_;
    }
    void clear() { value_.reset(); }

  private:
    std::unique_ptr<T> value_;
};

// What the kernel said to failed attempts to change a destination.
struct Trouble {
    std::string not_applied;  // to the last one
    uint32_t attempts = 0;    // failed ones in a row
    uint64_t retry_at = 0;    // monotonic ns, 0: nothing to retry
};

struct Slot {
    // As it was last committed; null until then.
    model::BackendPtr backend;
    const std::string* service = nullptr;  // Slots::name_of()
    health::Member member;
    // What the state was before the last change, for as long as weights are frozen.
    uint64_t since_before = 0;
    Seldom<Trouble> trouble;
    health::Decision decision;
    uint32_t weight = 0;  // in the kernel, or as it would be there
    health::State state_before = health::State::unknown;
    bool present : 1 = false;  // is it in the kernel
    bool held : 1 = false;     // it is down, but a freeze keeps that from its weight, as last looked at
    uint8_t counted : 6 = 0;   // as what it is in its service's tally

    // The destination as the kernel has it, or would have it.
    ipvs::DestRecord record() const;
};

// What the kernel has of its service is known. One of which nothing else is known keeps the weight that it
// has there until it has been checked; and whether it is there nothing else says after a start or under
// another name (Member::out): who is not out must not be taken away.
void as_found(Slot& slot, const reconcile::Dests& found);

// A new state of health, as told by the engine or set by an operation.
void set_state(Slot& slot, health::State state, uint64_t since);

class Slots {
  public:
    // Valid until the next put() or erase().
    Slot* find(model::BackendId id);
    // Creates or replaces, and publishes. Its member says whose it is.
    Slot& put(Slot slot);
    void erase(model::BackendId id);
    // Makes the present content of slots what other threads read. They are the ones in here, not copies.
    void publish(Slot& slot);
    void publish(std::span<Slot* const> slots);
    size_t size() const { return slots_.size(); }

    // The one copy of a service's name that all its slots point to; until it is forgotten.
    const std::string* name_of(const std::string& service) { return &*names_.insert(service).first; }
    void forget_name(const std::string& service) { names_.erase(service); }

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
    static constexpr uint32_t absent = UINT32_MAX;
    // What was published of it lies beside the slot; it is written and read under the lock.
    struct Shown {
        health::Decision decision;
        uint32_t weight = absent;
    };
    // What find() gives is a part of one.
    struct Record : Slot {
        explicit Record(Slot slot) : Slot(std::move(slot)) {}
        Shown shown;
    };
    struct IdOf {
        model::BackendId operator()(const Record& record) const { return record.member.id; }
    };

    void show(Record& record);  // under the lock
    // What few slots have anything of.
    void remember(const Slot& slot) {
        if (slot.trouble || !retries_.empty()) note_retry(slot);
    }
    void note_retry(const Slot& slot);
    void note_refusal(const Slot& slot);  // under the lock

    // Of the table and of what is shown, for all but reading in the control's turns.
    mutable std::mutex lock_;
    base::DenseSet<Record, IdOf, std::hash<model::BackendId>> slots_;
    std::unordered_map<model::BackendId, std::string> refusals_;  // not_applied, as shown
    std::unordered_map<model::BackendId, uint64_t> retries_;
    std::unordered_set<std::string> names_;
};

}  // namespace gorb::control
