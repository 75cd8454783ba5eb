// When each target of one loop is checked: due times, their spread, one check in flight for each, and
// deadlines.
//
// Starts nothing itself. Every turn its owner asks what is overdue (advance) and what to start (take), and
// says when a check has ended (finish). It is told the time, so a test steps through days in no time.
//
// A target is due at hash(id) mod interval, in every interval of the clock: later checks neither drift nor
// bunch, and what a slow check or a busy loop has missed is skipped. Only the first check comes as soon as it
// may.
//
// Threads: one. Cost: every call is O(1) a target that it hands out or takes; a target is one record of 64
// bytes, with one timer: its due time while it waits, its deadline while its check runs. Times are kept on a
// grid of 10 ms, rounded up.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace gorb::health {

class Scheduler {
  public:
    using Slot = uint32_t;  // names a target until it is removed, then used again

    static constexpr uint64_t tick = 10'000'000;   // ns
    static constexpr size_t starts_per_turn = 64;  // then the loop must look at its sockets again
    static constexpr uint64_t pace = 50'000;       // ns between first checks of targets that came together
    static constexpr uint64_t never = std::numeric_limits<uint64_t>::max();

    explicit Scheduler(uint64_t now);

    // The first check is due at once; of many added together the k-th comes after k times `pace`, and where
    // that would be later than one interval, at its place in the interval. An interval shorter than a tick
    // counts as one tick.
    Slot add(uint64_t id, uint64_t interval, uint64_t timeout, uint64_t now);
    // Whatever it is doing; ending a check that runs is up to the caller.
    void remove(Slot slot);

    // Goes on to `now`. Appends the targets whose checks have passed their deadline: each must be ended with
    // finish() or removed before the next advance().
    void advance(uint64_t now, std::vector<Slot>& overdue);
    // Appends the targets to start now, at most starts_per_turn. From here their checks run, until finish().
    void take(uint64_t now, std::vector<Slot>& starts);
    // The check has ended, one way or another; the next one is due.
    void finish(Slot slot, uint64_t now);

    // Of a check that runs.
    uint64_t started(Slot slot) const { return records_[slot].started; }
    uint64_t deadline(Slot slot) const { return records_[slot].started + records_[slot].timeout; }

    // When the next turn is wanted: 0 for at once, `never` if nothing waits.
    uint64_t wake() const { return ready_.first != none ? 0 : next_; }
    size_t size() const { return records_.size() - free_.size(); }
    size_t running() const { return running_; }

  private:
    enum class Doing : uint8_t { nothing, waiting, ready, running, overdue };
    struct Record {
        uint64_t when = 0;  // due, or the deadline
        uint64_t interval = 0, phase = 0, timeout = 0, started = 0;
        Slot prev = 0, next = 0;
        Doing doing = Doing::nothing;
    };
    static_assert(sizeof(Record) <= 64);
    static constexpr Slot none = std::numeric_limits<Slot>::max();
    struct List {
        Slot first = none, last = none;
    };
    // 82 s of ticks: longer times stay in their place for some rounds.
    static constexpr size_t wheel_size = 8192;

    static uint64_t tick_of(uint64_t when) { return when / tick + (when % tick ? 1 : 0); }
    static uint64_t next_regular(const Record& r, uint64_t after);

    void wait(Slot slot, uint64_t due, uint64_t now);
    void into_wheel(Slot slot);
    void append(List& list, Slot slot);
    void unlink(List& list, Slot slot);
    void leave(Slot slot);
    void find_next();

    std::vector<Record> records_;
    std::vector<Slot> free_;
    std::vector<List> wheel_;
    std::array<uint64_t, wheel_size / 64> used_{};  // one bit a place of the wheel that is not empty
    List ready_;
    uint64_t now_tick_;        // up to here the wheel has been emptied
    uint64_t next_ = never;    // no timer is earlier
    uint64_t first_free_ = 0;  // when the next first check may start
    size_t running_ = 0;
};

}  // namespace gorb::health
