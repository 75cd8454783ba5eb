#include "io/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace gorb::io {

TimerWheel::TimerWheel(uint64_t now) : tick_(now / slot_ns) {
    static_assert(slots == 64 * 64, "the two levels of the bitmap");
    heads_.fill(none);
    tails_.fill(none);
}

void TimerWheel::link(uint32_t index, uint32_t list) {
    Node& node = nodes_[index];
    node.list = list;
    node.next = none;
    node.previous = tails_[list];
    if (node.previous == none) {
        heads_[list] = index;
    } else {
        nodes_[node.previous].next = index;
    }
    tails_[list] = index;
    if (list < slots) {
        used_[list / 64] |= uint64_t{1} << (list % 64);
        used_words_ |= uint64_t{1} << (list / 64);
    }
}

void TimerWheel::unlink(uint32_t index) {
    Node& node = nodes_[index];
    const uint32_t list = node.list;
    (node.previous == none ? heads_[list] : nodes_[node.previous].next) = node.next;
    (node.next == none ? tails_[list] : nodes_[node.next].previous) = node.previous;
    node.list = none;
    if (list < slots && heads_[list] == none) {
        used_[list / 64] &= ~(uint64_t{1} << (list % 64));
        if (used_[list / 64] == 0) used_words_ &= ~(uint64_t{1} << (list / 64));
    }
}

std::function<void()> TimerWheel::release(uint32_t index) {
    unlink(index);
    Node& node = nodes_[index];
    auto fn = std::exchange(node.fn, nullptr);
    ++node.generation;
    node.next = free_;
    free_ = index;
    --size_;
    return fn;
}

uint64_t TimerWheel::insert(uint64_t when, bool due, std::function<void()> fn) {
    uint32_t index = free_;
    if (index == none) {
        index = static_cast<uint32_t>(nodes_.size());
        nodes_.emplace_back();
    } else {
        free_ = nodes_[index].next;
    }
    Node& node = nodes_[index];
    node.fn = std::move(fn);
    node.tick = when / slot_ns + (when % slot_ns != 0 ? 1 : 0);
    link(index, due || node.tick <= tick_ ? due_list : static_cast<uint32_t>(node.tick % slots));
    ++size_;
    return uint64_t{node.generation} << 32 | (index + 1);
}

std::function<void()> TimerWheel::cancel(uint64_t id) {
    const auto index = static_cast<uint32_t>(id) - 1;  // id 0 becomes an index that no slab reaches
    if (index >= nodes_.size()) return nullptr;
    const Node& node = nodes_[index];
    if (node.list == none || node.generation != id >> 32) return nullptr;
    return release(index);
}

uint32_t TimerWheel::occupied(uint32_t from) const {
    if (used_words_ == 0) return none;
    const uint32_t word = from / 64;
    if (const uint64_t here = used_[word] >> (from % 64)) return from + std::countr_zero(here);
    const uint64_t after = word == 63 ? 0 : used_words_ >> (word + 1);
    // Going round may end in the word it began with, at a slot before `from`.
    const uint32_t found = after ? word + 1 + std::countr_zero(after) : std::countr_zero(used_words_);
    return found * 64 + std::countr_zero(used_[found]);
}

void TimerWheel::collect_slot(uint32_t slot, uint64_t until, std::vector<uint32_t>* found) {
    for (uint32_t index = heads_[slot]; index != none;) {
        const uint32_t next = nodes_[index].next;
        if (nodes_[index].tick <= until) {
            unlink(index);
            if (found) {
                found->push_back(index);
            } else {
                link(index, firing_list);
            }
        }
        index = next;
    }
}

void TimerWheel::collect(uint64_t now) {
    for (uint32_t index = heads_[due_list]; index != none; index = heads_[due_list]) {
        unlink(index);
        link(index, firing_list);
    }
    const uint64_t until = now / slot_ns;
    if (until <= tick_) return;
    const uint64_t ticks = until - tick_;
    if (ticks < slots) {
        uint64_t tick = tick_ + 1;
        while (tick <= until) {
            const uint32_t slot = occupied(static_cast<uint32_t>(tick % slots));
            if (slot == none) break;
            tick += (slot + slots - tick % slots) % slots;
            if (tick > until) break;
            collect_slot(slot, until, nullptr);
            ++tick;
        }
    } else {
        // More than a revolution at once (a stopped process, a stepped clock): slots no longer tell the
        // order.
        std::vector<uint32_t> found;
        for (uint32_t slot = 0; slot < slots; ++slot) collect_slot(slot, until, &found);
        std::stable_sort(found.begin(), found.end(),
                         [&](uint32_t a, uint32_t b) { return nodes_[a].tick < nodes_[b].tick; });
        for (const uint32_t index : found) link(index, firing_list);
    }
    tick_ = until;
}

std::function<void()> TimerWheel::fire() {
    const uint32_t index = heads_[firing_list];
    return index == none ? nullptr : release(index);
}

std::optional<uint64_t> TimerWheel::next() const {
    if (heads_[due_list] != none || heads_[firing_list] != none) return 0;
    const uint32_t slot = occupied(static_cast<uint32_t>((tick_ + 1) % slots));
    if (slot == none) return std::nullopt;
    const uint64_t tick = tick_ + 1;
    return (tick + (slot + slots - tick % slots) % slots) * slot_ns;
}

std::vector<std::function<void()>> TimerWheel::clear() {
    std::vector<std::function<void()>> all;
    for (uint32_t index = 0; index < nodes_.size(); ++index) {
        if (nodes_[index].list != none) all.push_back(release(index));
    }
    return all;
}

}  // namespace gorb::io
