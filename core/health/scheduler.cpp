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
                    be_due(slot);
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
    let_firsts_in();
    for (size_t n = 0; n < starts_per_turn && turns_.first != none && running_ < caps_.running; ++n) {
        const uint32_t index = turns_.first;
        Host& host = hosts_[index];
        const Slot slot = host.due.first;
        Record& r = records_[slot];
        not_due(host, slot);
        ++host.running;
        ++running_;
        r.doing = Doing::started;
        r.started = now;
        starts.push_back({slot, now > r.when ? now - r.when : 0});
        give_up_its_turn(index);
        changed(index);
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
    return (turns_.first != none || firsts_.first != none) && running_ < caps_.running ? 0 : next_;
}

void Scheduler::wait(Slot slot, uint64_t due, uint64_t now) {
    Record& r = records_[slot];
    r.when = due;
    if (due <= now) {
        be_due(slot);
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

uint32_t Scheduler::find_host(uint32_t hash) const {
    return host_by_hash_.find(hash, [&](uint32_t i) { return hosts_[i].hash == hash; });
}

// The entry of a host, made where there is none.
uint32_t Scheduler::host_of(uint32_t hash) {
    const uint32_t known = find_host(hash);
    if (known != SlotTable::none) return known;
    if (free_hosts_.empty()) {
        free_hosts_.push_back(static_cast<uint32_t>(hosts_.size()));
        hosts_.emplace_back();
    }
    const uint32_t made = free_hosts_.back();
    free_hosts_.pop_back();
    hosts_[made] = Host{};
    hosts_[made].hash = hash;
    host_by_hash_.insert(hash, made);
    return made;
}

void Scheduler::be_due(Slot slot) {
    if (records_[slot].started != 0) {
        into_turns(slot);
        return;
    }
    records_[slot].doing = Doing::first;
    append(firsts_, slot);
    ++firsts_due_;
}

// As many as one turn starts beside what is due anyway: of a hundred thousand targets that came together the
// rest stands behind what becomes due meanwhile.
void Scheduler::let_firsts_in() {
    if (running_ >= caps_.running) return;
    for (size_t n = 0; firsts_.first != none && (n < least_firsts || due_ - held_ < starts_per_turn); ++n) {
        const Slot slot = firsts_.first;
        unlink(firsts_, slot);
        --firsts_due_;
        into_turns(slot);
    }
}

void Scheduler::into_turns(Slot slot) {
    const uint32_t index = host_of(records_[slot].host);
    records_[slot].doing = Doing::due;
    append(hosts_[index].due, slot);
    ++hosts_[index].waits;
    ++due_;
    changed(index);
}

void Scheduler::not_due(Host& host, Slot slot) {
    unlink(host.due, slot);
    --host.waits;
    --due_;
}

// Behind all that may start one now.
void Scheduler::take_its_turn(uint32_t index) {
    Host& host = hosts_[index];
    host.in_turn = true;
    host.prev = turns_.last;
    host.next = none;
    (turns_.last == none ? turns_.first : hosts_[turns_.last].next) = index;
    turns_.last = index;
}

void Scheduler::give_up_its_turn(uint32_t index) {
    Host& host = hosts_[index];
    host.in_turn = false;
    (host.prev == none ? turns_.first : hosts_[host.prev].next) = host.next;
    (host.next == none ? turns_.last : hosts_[host.next].prev) = host.prev;
}

// What is due to a host, or runs, is another number: it takes its turn or gives it up, or is forgotten.
void Scheduler::changed(uint32_t index) {
    Host& host = hosts_[index];
    const bool room = host.running < caps_.per_host;
    held_ -= host.held;
    host.held = room ? 0 : host.waits;
    held_ += host.held;
    const bool wants = room && host.waits != 0;
    if (wants && !host.in_turn) take_its_turn(index);
    if (!wants && host.in_turn) give_up_its_turn(index);
    if (host.running || host.waits) return;
    host_by_hash_.erase(host.hash, index);
    free_hosts_.push_back(index);
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
        case Doing::first:
            unlink(firsts_, slot);
            --firsts_due_;
            break;
        case Doing::due: {
            const uint32_t host = find_host(r.host);
            not_due(hosts_[host], slot);
            changed(host);
            break;
        }
        case Doing::started:
        case Doing::overdue:
            break;
    }
    if (runs(slot)) {
        --running_;
        const uint32_t host = find_host(r.host);
        --hosts_[host].running;
        changed(host);
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
