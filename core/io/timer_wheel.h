// Timers on a hashed wheel: slots of 10 ms, one revolution of 41 s, nodes in a slab.
//
// Threads: one. Cost: insert and cancel are O(1) and allocate only while the slab grows; finding the next
// occupied slot looks at a bitmap of two levels. A timer further away than a revolution stays in its slot and
// is passed by once every revolution.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace gorb::io {

class TimerWheel {
  public:
    static constexpr uint64_t slot_ns = 10'000'000;
    static constexpr uint32_t slots = 4096;

    // `now` is where the wheel begins to turn.
    explicit TimerWheel(uint64_t now);

    // `due`: its time has come already, so it waits for the next collect() and not for a slot. Never 0.
    uint64_t insert(uint64_t when, bool due, std::function<void()> fn);
    // Gives back what would have been called (empty if the timer is not there any more), so that the caller
    // decides when its captures die.
    std::function<void()> cancel(uint64_t id);

    // Moves all that is due at `now` to the list that fire() takes from, in the order of their slots.
    void collect(uint64_t now);
    // Takes the next function of that list; empty when there is none. What it calls may insert and cancel.
    std::function<void()> fire();

    // When collect() would find something, in ns; nullopt: never. May be early by whole revolutions, never
    // late.
    std::optional<uint64_t> next() const;
    size_t size() const { return size_; }
    // Empties the wheel; what was in it.
    std::vector<std::function<void()>> clear();

  private:
    static constexpr uint32_t none = UINT32_MAX;
    static constexpr uint32_t due_list = slots, firing_list = slots + 1, lists = slots + 2;
    struct Node {
        std::function<void()> fn;
        uint64_t tick = 0;
        uint32_t generation = 1;
        uint32_t list = none;
        uint32_t previous = none, next = none;
    };

    void link(uint32_t index, uint32_t list);
    void unlink(uint32_t index);
    std::function<void()> release(uint32_t index);
    void collect_slot(uint32_t slot, uint64_t until, std::vector<uint32_t>* found);
    // The first occupied slot at or after `from`, going round; none if all are empty.
    uint32_t occupied(uint32_t from) const;

    std::vector<Node> nodes_;
    uint32_t free_ = none;
    size_t size_ = 0;
    uint64_t tick_;  // the last tick collected
    std::array<uint32_t, lists> heads_, tails_;
    std::array<uint64_t, slots / 64> used_{};  // a bit for each slot with nodes
    uint64_t used_words_ = 0;                  // a bit for each word of used_ that is not 0
};

}  // namespace gorb::io
