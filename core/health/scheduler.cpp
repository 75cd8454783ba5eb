#include "health/scheduler.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "health/hash.h"

namespace gorb::health {

Scheduler::Scheduler(uint64_t now) : wheel_(wheel_size), now_tick_(now / tick) {}

// The first of its regular due times that is later than `after`.
uint64_t Scheduler::next_regular(const Record& r, uint64_t after) {
    const uint64_t due = after - after % r.interval + r.phase;
    return due > after ? due : due + r.interval;
}

Scheduler::Slot Scheduler::add(uint64_t id, uint64_t interval, uint64_t timeout, uint64_t now) {
    Slot slot = none;
    if (free_.empty()) {
        slot = static_cast<Slot>(records_.size());
        GORB_CHECK(slot != none);
        records_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    Record& r = records_[slot];
    r = Record{};
    r.interval = std::max(interval, tick);
    r.phase = spread(id) % r.interval;
    r.timeout = timeout;

    // Few start at once, as many as one turn may start anyway.
    const uint64_t paced = std::max(first_free_, now);
    if (paced - now > r.interval) {
        wait(slot, next_regular(r, now), now);
        return slot;
    }
    first_free_ = paced + pace;
    wait(slot, paced - now < starts_per_turn * pace ? now : paced, now);
    return slot;
}

void Scheduler::remove(Slot slot) {
    leave(slot);
    records_[slot] = Record{};
    free_.push_back(slot);
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

void Scheduler::take(uint64_t now, std::vector<Slot>& starts) {
    for (size_t n = 0; n < starts_per_turn && ready_.first != none; ++n) {
        const Slot slot = ready_.first;
        Record& r = records_[slot];
        unlink(ready_, slot);
        r.doing = Doing::running;
        r.started = now;
        r.when = now + r.timeout;
        into_wheel(slot);
        ++running_;
        starts.push_back(slot);
    }
}

void Scheduler::finish(Slot slot, uint64_t now) {
    Record& r = records_[slot];
    GORB_CHECK(r.doing == Doing::running || r.doing == Doing::overdue);
    leave(slot);
    wait(slot, next_regular(r, now), now);
}

void Scheduler::wait(Slot slot, uint64_t due, uint64_t now) {
    Record& r = records_[slot];
    r.when = due;
    if (due <= now) {
        r.doing = Doing::ready;
        append(ready_, slot);
    } else {
        r.doing = Doing::waiting;
        into_wheel(slot);
    }
}

void Scheduler::into_wheel(Slot slot) {
    // Places up to now_tick_ have been emptied: what is due this very moment comes with the next one.
    const uint64_t at = std::max(tick_of(records_[slot].when), now_tick_ + 1);
    records_[slot].when = at * tick;
    const size_t place = at % wheel_size;
    append(wheel_[place], slot);
    used_[place / 64] |= uint64_t{1} << (place % 64);
    next_ = std::min(next_, at * tick);
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

// Takes it out of the list that it is in.
void Scheduler::leave(Slot slot) {
    Record& r = records_[slot];
    GORB_CHECK(r.doing != Doing::nothing);
    if (r.doing == Doing::ready) {
        unlink(ready_, slot);
    } else if (r.doing != Doing::overdue) {
        const size_t place = r.when / tick % wheel_size;
        unlink(wheel_[place], slot);
        if (wheel_[place].first == none) used_[place / 64] &= ~(uint64_t{1} << (place % 64));
    }
    if (r.doing == Doing::running || r.doing == Doing::overdue) --running_;
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
