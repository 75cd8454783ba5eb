#include "health/scheduler.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace gorb::health {

Scheduler::Scheduler(uint64_t now, Caps caps) : caps_(caps), wheel_(wheel_size), now_tick_(now / tick) {}

void Scheduler::add(Slot slot, uint32_t host, uint64_t patience, uint64_t otherwise, uint64_t now) {
    records_.reach(slot);
    Record& r = records_[slot];
    GORB_CHECK(r.doing == Doing::nothing);
    r = Record{};
    r.host = host;
    ++size_;
    // Few start at once, as many as one turn may start anyway.
    const uint64_t paced = std::max(first_free_, now);
    if (paced - now > patience) {
        wait(slot, otherwise, now);
        return;
    }
    first_free_ = paced + pace;
    wait(slot, paced - now < starts_per_turn * pace ? now : paced, now);
}

void Scheduler::remove(Slot slot) {
    leave(slot);
    records_[slot] = Record{};
    --size_;
}

void Scheduler::advance(uint64_t now, std::vector<Slot>& overdue) {
    const uint64_t to = now / tick;
    if (to <= now_tick_) return;
    const uint64_t places = std::min<uint64_t>(to - now_tick_, wheel_size);
    for (uint64_t i = 1; i <= places; ++i) {
        const size_t place = (now_tick_ + i) % wheel_size;
        if (!(used_[place / 64] >> (place % 64) & 1)) continue;
        for (Slot slot = wheel_[place].first; slot != none;) {
            Record& r = records_[slot];
            const Slot following = r.next;
            if (tick_of(r.when) <= to) {
                unlink(wheel_[place], slot);
                if (r.doing == Doing::running) {
                    r.doing = Doing::overdue;
                    overdue.push_back(slot);
                } else {
                    r.doing = Doing::ready;
                    append(ready_, slot);
                }
            }
            slot = following;
        }
        if (wheel_[place].first == none) used_[place / 64] &= ~(uint64_t{1} << (place % 64));
    }
    now_tick_ = to;
    find_next();
}

void Scheduler::take(uint64_t now, std::vector<Start>& starts) {
    // What only moves to its host's queue costs little, but not nothing.
    size_t moves = 16 * starts_per_turn;
    for (size_t n = 0; n < starts_per_turn && moves && running_ < caps_.running;) {
        List& next = freed_.first != none ? freed_ : ready_;
        const Slot slot = next.first;
        if (slot == none) break;
        Record& r = records_[slot];
        unlink(next, slot);
        Busy& host = busy_[busy_of(r.host)];
        if (host.running >= caps_.per_host) {
            r.doing = Doing::held;
            append(host.held, slot);
            ++held_;
            --moves;
            continue;
        }
        ++host.running;
        ++running_;
        r.doing = Doing::started;
        r.started = now;
        starts.push_back({slot, now > r.when ? now - r.when : 0});
        ++n;
    }
}

void Scheduler::limit(Slot slot, uint64_t deadline) {
    Record& r = records_[slot];
    GORB_CHECK(r.doing == Doing::started);
    r.doing = Doing::running;
    r.when = deadline;
    into_wheel(slot);
}

void Scheduler::finish(Slot slot, uint64_t due, uint64_t now) {
    GORB_CHECK(runs(slot));
    leave(slot);
    wait(slot, due, now);
}

void Scheduler::hasten(Slot slot, uint64_t due, uint64_t now) {
    Record& r = records_[slot];
    if (r.doing != Doing::waiting || r.when <= due) return;
    leave(slot);
    wait(slot, due, now);
}

bool Scheduler::runs(Slot slot) const {
    const Doing doing = records_[slot].doing;
    return doing == Doing::started || doing == Doing::running || doing == Doing::overdue;
}

uint64_t Scheduler::wake() const {
    // At the cap it is the end of a check that brings the next turn.
    const bool due = ready_.first != none || freed_.first != none;
    return due && running_ < caps_.running ? 0 : next_;
}

void Scheduler::wait(Slot slot, uint64_t due, uint64_t now) {
    Record& r = records_[slot];
    r.when = due;
    if (due <= now) {
        r.doing = Doing::ready;
        append(ready_, slot);
    } else {
        // Planned for a place of the grid; how late it is counts from there.
        r.when = tick_of(due) * tick;
        r.doing = Doing::waiting;
        into_wheel(slot);
    }
}

void Scheduler::into_wheel(Slot slot) {
    // Places up to now_tick_ have been emptied: what is due this very moment comes with the next one.
    const uint64_t at = std::max(tick_of(records_[slot].when), now_tick_ + 1);
    const size_t place = at % wheel_size;
    records_[slot].place = static_cast<uint16_t>(place);
    append(wheel_[place], slot);
    used_[place / 64] |= uint64_t{1} << (place % 64);
    next_ = std::min(next_, at * tick);
}

void Scheduler::out_of_wheel(Slot slot) {
    const size_t place = records_[slot].place;
    unlink(wheel_[place], slot);
    if (wheel_[place].first == none) used_[place / 64] &= ~(uint64_t{1} << (place % 64));
}

void Scheduler::append(List& list, Slot slot) {
    Record& r = records_[slot];
    r.prev = list.last;
    r.next = none;
    (list.last == none ? list.first : records_[list.last].next) = slot;
    list.last = slot;
}

void Scheduler::unlink(List& list, Slot slot) {
    const Record& r = records_[slot];
    (r.prev == none ? list.first : records_[r.prev].next) = r.next;
    (r.next == none ? list.last : records_[r.next].prev) = r.prev;
}

uint32_t Scheduler::find_busy(uint32_t host) const {
    return busy_by_host_.find(host, [&](uint32_t i) { return busy_[i].host == host; });
}

// The entry of a host, made where there is none.
uint32_t Scheduler::busy_of(uint32_t host) {
    const uint32_t known = find_busy(host);
    if (known != SlotTable::none) return known;
    if (free_busy_.empty()) {
        free_busy_.push_back(static_cast<uint32_t>(busy_.size()));
        busy_.emplace_back();
    }
    const uint32_t made = free_busy_.back();
    free_busy_.pop_back();
    busy_[made] = Busy{host, 0, {}};
    busy_by_host_.insert(host, made);
    return made;
}

// A host has one check less: the first that it holds back is next.
void Scheduler::let_go(uint32_t busy) {
    Busy& host = busy_[busy];
    if (host.held.first != none && host.running < caps_.per_host) {
        const Slot slot = host.held.first;
        unlink(host.held, slot);
        --held_;
        records_[slot].doing = Doing::freed;
        append(freed_, slot);
    }
    if (host.running || host.held.first != none) return;
    busy_by_host_.erase(host.host, busy);
    free_busy_.push_back(busy);
}

// Takes it out of whatever it is in.
void Scheduler::leave(Slot slot) {
    Record& r = records_[slot];
    switch (r.doing) {
        case Doing::nothing:
            GORB_CHECK(false);
            break;
        case Doing::waiting:
        case Doing::running:
            out_of_wheel(slot);
            break;
        case Doing::ready:
            unlink(ready_, slot);
            break;
        case Doing::freed:
            unlink(freed_, slot);
            // The next one that its host holds back takes its place.
            if (const uint32_t host = find_busy(r.host); host != SlotTable::none) let_go(host);
            break;
        case Doing::held: {
            const uint32_t host = find_busy(r.host);
            unlink(busy_[host].held, slot);
            --held_;
            let_go(host);
            break;
        }
        case Doing::started:
        case Doing::overdue:
            break;
    }
    if (runs(slot)) {
        --running_;
        const uint32_t host = find_busy(r.host);
        --busy_[host].running;
        let_go(host);
    }
    r.doing = Doing::nothing;
}

// The first place of the wheel that is not empty, seen from now on.
void Scheduler::find_next() {
    next_ = never;
    const uint64_t from = now_tick_ + 1;
    for (uint64_t ahead = 0; ahead < wheel_size;) {
        const size_t place = (from + ahead) % wheel_size;
        const uint64_t word = used_[place / 64] >> (place % 64);
        if (word) {
            next_ = (from + ahead + static_cast<uint64_t>(std::countr_zero(word))) * tick;
            return;
        }
        ahead += 64 - place % 64;
    }
}

}  // namespace gorb::health
