// Which check of one loop is started when: due times, one check in flight for each, deadlines, and caps.
//
// Starts nothing itself, and does not know how often something is checked: its owner gives the slots and says
// when each is due. Every turn the owner asks what is overdue (advance) and what to start (take), and says
// when a check has ended and when it is due again (finish). It is told the time, so a test steps through days
// in no time.
//
// Threads: one. Cost: every call is O(1) a target that it hands out or takes; a target is one record of 32
// bytes, with one timer: its due time while it waits, its deadline while its check runs. Times are kept on a
// grid of 10 ms, rounded up.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "health/chunks.h"
#include "health/slot_table.h"

namespace gorb::health {

class Scheduler {
  public:
    using Slot = uint32_t;

    static constexpr uint64_t tick = 10'000'000;   // ns
    static constexpr size_t starts_per_turn = 64;  // then the loop must look at its sockets again
    static constexpr uint64_t pace = 20'000;       // ns between first checks of targets that came together
    static constexpr size_t least_firsts = 8;      // in a turn, however much else is due
    static constexpr uint64_t never = std::numeric_limits<uint64_t>::max();

    // What is due and above a cap waits its turn. Hosts take turns, so that one of which much is due, or
    // which is slow to answer, holds up none of the others; what is due to one host goes in its order.
    struct Caps {
        size_t running = std::numeric_limits<size_t>::max();   // checks in flight
        size_t per_host = std::numeric_limits<size_t>::max();  // to one host
    };
    struct Start {
        Slot slot = 0;
        uint64_t late = 0;  // ns after its place on the grid
    };

    explicit Scheduler(uint64_t now) : Scheduler(now, Caps()) {}
    Scheduler(uint64_t now, Caps caps);

    // The first check is due at once; of many added together the k-th comes after k times `pace`, and where
    // that would be later than `patience` from now, at `otherwise`. They give way to what is due of targets
    // that were there before. `host`: a hash of the target's address.
    void add(Slot slot, uint32_t host, uint64_t patience, uint64_t otherwise, uint64_t now);
    // Whatever it is doing; ending a check that runs is up to the caller.
    void remove(Slot slot);

    // Goes on to `now`. Appends the targets whose checks have passed their deadline: each must be ended with
    // finish() or removed before the next advance().
    void advance(uint64_t now, std::vector<Slot>& overdue);
    // Appends the targets to start now, at most starts_per_turn. From here their checks run, until finish().
    void take(uint64_t now, std::vector<Start>& starts);
    // Once for each check that runs: when it is overdue.
    void limit(Slot slot, uint64_t deadline);
    // The check has ended, one way or another; the next one is due then.
    void finish(Slot slot, uint64_t due, uint64_t now);
    // It is due at `due` if it would wait longer otherwise. Nothing for a check that runs.
    void hasten(Slot slot, uint64_t due, uint64_t now);

    bool runs(Slot slot) const;
    // Of the newest check: when it was started.
    uint64_t started(Slot slot) const { return records_[slot].started; }

    // When the next turn is wanted: 0 for at once, `never` if nothing waits.
    uint64_t wake() const;
    size_t size() const { return size_; }
    size_t running() const { return running_; }
    // What is due and a cap is in the way of.
    size_t held_back() const { return running_ < caps_.running ? held_ : due_ + firsts_due_; }

  private:
    // `first`: its first check is due, and not yet among those of its host; `started`: runs without a
    // deadline yet
    enum class Doing : uint8_t { nothing, waiting, first, due, started, running, overdue };
    struct Record {
        uint64_t when = 0;  // due, or the deadline
        uint64_t started = 0;
        Slot prev = 0, next = 0;
        uint32_t host = 0;
        uint16_t place = 0;  // in the wheel
        Doing doing = Doing::nothing;
    };
    static_assert(sizeof(Record) <= 32);
    static constexpr Slot none = std::numeric_limits<Slot>::max();
    struct List {
        Slot first = none, last = none;
    };
    // A host to which checks run or are due.
    struct Host {
        uint32_t hash = 0;
        bool in_turn = false;             // stands in turns_: may start one
        uint32_t prev = 0, next = 0;      // there
        uint32_t running = 0, waits = 0;  // waits: the length of `due`
        uint32_t held = 0;                // of them, by its cap
        List due;
    };
    // 82 s of ticks: longer times stay in their place for some rounds.
    static constexpr size_t wheel_size = 8192;

    static uint64_t tick_of(uint64_t when) { return when / tick + (when % tick ? 1 : 0); }

    void wait(Slot slot, uint64_t due, uint64_t now);
    void into_wheel(Slot slot);
    void out_of_wheel(Slot slot);
    void append(List& list, Slot slot);
    void unlink(List& list, Slot slot);
    uint32_t find_host(uint32_t hash) const;  // SlotTable::none if there is none
    uint32_t host_of(uint32_t hash);
    void be_due(Slot slot);
    void let_firsts_in();
    void into_turns(Slot slot);
    void not_due(Host& host, Slot slot);
    void take_its_turn(uint32_t index);
    void give_up_its_turn(uint32_t index);
    void changed(uint32_t index);
    void leave(Slot slot);
    void find_next();

    Caps caps_;
    Chunks<Record> records_;
    std::vector<List> wheel_;
    std::array<uint64_t, wheel_size / 64> used_{};  // one bit a place of the wheel that is not empty
    std::vector<Host> hosts_;
    std::vector<uint32_t> free_hosts_;
    SlotTable host_by_hash_;
    List turns_;               // of hosts
    List firsts_;              // of slots
    uint64_t now_tick_;        // up to here the wheel has been emptied
    uint64_t next_ = never;    // no timer is earlier
    uint64_t first_free_ = 0;  // when the next first check may start
    size_t size_ = 0, running_ = 0;
    size_t due_ = 0;         // of hosts
    size_t held_ = 0;        // of these, by the caps of hosts
    size_t firsts_due_ = 0;  // the length of firsts_
};

}  // namespace gorb::health
