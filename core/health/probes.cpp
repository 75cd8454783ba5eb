#include "health/probes.h"

#include <algorithm>
#include <utility>

#include "base/give_back.h"
#include "health/hash.h"

namespace gorb::health {

// How much longer damping holds it down.
uint64_t Probes::Record::held(uint64_t now) const {
    const Damped* d = damped();
    return d && standing.state == State::down && d->until > now ? d->until - now : 0;
}

uint64_t Probes::hash_of(const base::Endpoint& address, const Spec& spec) {
    return spread(health::hash_of(address) ^ spec.hash);
}

Probes::Slot Probes::subscribe(const base::Endpoint& address, const SpecPtr& spec, model::BackendId id,
                               const Past* past, int64_t wall) {
    const auto hash = static_cast<uint32_t>(hash_of(address, *spec));
    std::unique_lock lock(mutex_);
    // Address and spec do not change while a record stands in the table.
    Slot slot =
        table_.find(hash, [&](Slot s) { return records_[s].spec == spec && records_[s].address == address; });
    if (slot != SlotTable::none) {
        std::lock_guard record_lock(lock_of(slot));
        Record& r = records_[slot];
        r.seldom().more.push_back(id);
        return slot;
    }
    if (free_.empty()) {
        slot = used_++;
        records_.reach(slot);
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    table_.insert(hash, slot);
    {
        std::lock_guard record_lock(lock_of(slot));
        Record& r = records_[slot];
        r.standing = beginning(spec->pulse);
        r.since_wall = wall;
        static const Text begins("it begins so (initial), until its checks say otherwise");
        r.taken_over = r.standing.state != State::unknown;
        if (r.taken_over) r.because = begins;
        if (past) {
            if (past->standing.counted || past->standing.state != State::unknown) {
                r.standing = past->standing;
                r.because = past->because;
                r.taken_over = past->taken_over;
            }
            r.passes = static_cast<uint32_t>(past->passes);
            r.failures = static_cast<uint32_t>(past->failures);
            r.unknowns = static_cast<uint32_t>(past->unknowns);
            r.since_wall = past->since_wall;
            r.last_wall = past->last_wall;
            r.latency_ns = past->latency_ns;
            r.reason = past->reason;
            if (!past->warning.view().empty()) r.seldom().warning = past->warning;
            r.code = past->code;
            r.changes = past->changes;
            r.share = past->share;
            r.verdict = past->verdict;
            r.checked = past->checked;
            r.told = past->told;
        }
        if (spec->pulse.damping.hold.count() > 0) {
            Damped& damped = r.seldom().damped.emplace();
            if (past && past->damped) damped = past->damped->under(spec->pulse.damping);
        }
        r.spec = spec;
        r.address = address;
        r.subscriber = id;
        r.alive = true;
        if (r.told != Sign::none) takes_over_(address, *spec, r.told);
    }
    commands_.push_back({slot, true});
    const bool first = commands_.size() == 1;
    lock.unlock();
    if (first) wake_();
    return slot;
}

void Probes::unsubscribe(Slot slot, model::BackendId id) {
    std::unique_lock lock(mutex_);
    {
        std::lock_guard record_lock(lock_of(slot));
        Record& r = records_[slot];
        if (r.others() > 0) {
            std::vector<model::BackendId>& more = r.rare->more;
            if (r.subscriber == id) {
                r.subscriber = more.back();
            } else {
                const auto it = std::find(more.begin(), more.end(), id);
                if (it == more.end()) return;
                *it = more.back();
            }
            more.pop_back();
            return;
        }
        if (!r.alive || r.subscriber != id) return;
        r.alive = false;
        table_.erase(static_cast<uint32_t>(hash_of(r.address, *r.spec)), slot);
    }
    commands_.push_back({slot, false});
    const bool first = commands_.size() == 1;
    lock.unlock();
    if (first) wake_();
}

Probes::Brief Probes::brief(Slot slot) const {
    std::lock_guard lock(lock_of(slot));
    const Record& r = records_[slot];
    return {r.standing.state, r.share, r.standing.ratio(), r.since_wall, r.taken_over, r.trouble()};
}

CheckView Probes::view(Slot slot, uint64_t now) const {
    CheckView v;
    std::lock_guard lock(lock_of(slot));
    const Record& r = records_[slot];
    const model::PulseSpec& pulse = r.spec->pulse;
    v.type = pulse.type;
    v.state = r.standing.state;
    v.checked = r.checked;
    v.verdict = r.verdict;
    v.reason = r.reason.view();
    v.because = r.because.view();
    v.taken_over = r.taken_over;
    v.trouble = r.trouble();
    v.warning = v.trouble ? "can not be checked now: " + v.reason : std::string(r.warning().view());
    v.code = r.code;
    v.latency_ns = r.latency_ns;
    v.last_wall = r.last_wall;
    v.since_wall = r.since_wall;
    v.passes = r.passes;
    v.failures = r.failures;
    v.unknowns = r.unknowns;
    v.changes = r.changes;
    v.passes_in_row = r.standing.passes;
    v.failures_in_row = r.standing.failures;
    v.share = r.share;
    v.ratio = r.standing.ratio();
    v.shared = 1 + static_cast<uint32_t>(r.others());
    if (const Damped* d = r.damped()) v.recent_falls = d->falls_at(pulse.damping, now);
    v.held_ns = r.held(now);
    v.because += window_words(r.standing, pulse);
    if (v.held_ns) v.because += held_words(v.held_ns);
    v.interval_ns = interval_of(r.standing, pulse, v.held_ns && r.standing.passes >= pulse.rise).ns;
    return v;
}

std::string Probes::words(Slot slot, uint64_t now, bool last) const {
    std::lock_guard lock(lock_of(slot));
    const Record& r = records_[slot];
    if (last) return std::string(r.reason.view());
    std::string words(r.because.view());
    words += window_words(r.standing, r.spec->pulse);
    if (const uint64_t held = r.held(now)) words += held_words(held);
    return words;
}

Probes::Past Probes::past(Slot slot) const {
    std::lock_guard lock(lock_of(slot));
    const Record& r = records_[slot];
    const Damped* damped = r.damped();
    return {r.standing,   damped ? std::optional(*damped) : std::nullopt,
            r.passes,     r.failures,
            r.unknowns,   r.since_wall,
            r.last_wall,  r.latency_ns,
            r.reason,     r.because,
            r.warning(),  r.code,
            r.changes,    r.share,
            r.verdict,    r.checked,
            r.taken_over, r.told};
}

SpecPtr Probes::spec(Slot slot) const {
    std::lock_guard lock(lock_of(slot));
    return records_[slot].spec;
}

base::Endpoint Probes::address(Slot slot) const {
    std::lock_guard lock(lock_of(slot));
    return records_[slot].address;
}

void Probes::take_commands(std::vector<Command>& commands) {
    std::lock_guard lock(mutex_);
    commands.insert(commands.end(), commands_.begin(), commands_.end());
    // What a rush left behind is not kept for the quiet times.
    if (commands_.capacity() > 4096) {
        base::give_back(commands_);
    } else {
        commands_.clear();
    }
}

// Written before the loop was told of the slot, and not again before it releases it: no lock is needed.
Probes::Aim Probes::aim(Slot slot) const {
    const Record& r = records_[slot];
    return {r.address, *r.spec};
}

uint64_t Probes::hash(Slot slot) const {
    const Record& r = records_[slot];
    return hash_of(r.address, *r.spec);
}

std::optional<model::BackendId> Probes::first_subscriber(Slot slot) const {
    std::lock_guard lock(lock_of(slot));
    const Record& r = records_[slot];
    return r.alive ? std::optional(r.subscriber) : std::nullopt;
}

Probes::Sign Probes::sign_of(const Result& result, Sign before) {
    switch (result.verdict) {
        case plugin::Verdict::pass:
            return Sign::good;
        case plugin::Verdict::fail:
            // A report that has arrived is no evidence against this machine, whatever it says: only silence
            // is.
            return result.reported ? Sign::none : Sign::bad;
        case plugin::Verdict::unknown:
            break;
    }
    return plugin::in_trouble(result.verdict, result.code) ? Sign::bad : before;
}

Probes::Effect Probes::record(Slot slot, const Result& result, uint64_t tick, uint64_t started, uint64_t now,
                              int64_t wall) {
    std::lock_guard lock(lock_of(slot));
    Record& r = records_[slot];
    Effect effect;
    if (!r.alive) {
        effect.gone = true;
        effect.due = now + tick;
        return effect;
    }
    const model::PulseSpec& pulse = r.spec->pulse;
    effect.before = r.standing.state;
    effect.sign_before = r.told;
    effect.sign = r.told = sign_of(result, r.told);
    effect.trouble_before = r.trouble();
    effect.trouble = plugin::in_trouble(result.verdict, result.code);

    const Why why = count(r.standing, r.damped(), pulse, result.verdict, now);
    switch (result.verdict) {
        case plugin::Verdict::pass:
            ++r.passes;
            effect.share_changed = r.share != result.share;
            r.share = static_cast<uint8_t>(result.share);  // a target that fails asks for nothing
            break;
        case plugin::Verdict::fail:
            ++r.failures;
            break;
        case plugin::Verdict::unknown:
            ++r.unknowns;
            break;
    }
    if (r.reason.view() != result.reason) r.reason = texts_.of(result.reason);
    if (r.warning().view() != result.warning) r.seldom().warning = texts_.of(result.warning);
    r.checked = true;
    r.verdict = result.verdict;
    r.code = result.code;
    r.latency_ns = result.latency_ns;
    r.last_wall = wall;
    effect.after = r.standing.state;
    if (why != Why::nothing) {
        ++r.changes;
        r.since_wall = wall;
        r.because = texts_.of(because(why, r.standing, pulse, result.reason));
        r.taken_over = false;
    } else if (r.taken_over && result.verdict != plugin::Verdict::unknown && confirmed(r.standing, pulse)) {
        r.because = texts_.of(because(Why::row, r.standing, pulse, result.reason));
        r.taken_over = false;
    }
    effect.due =
        next_due(r.standing, r.damped(), pulse, hash_of(r.address, *r.spec), seed_, tick, started, now);
    return effect;
}

Probes::Sign Probes::sign(Slot slot) const {
    std::lock_guard lock(lock_of(slot));
    return records_[slot].told;
}

void Probes::subscribers(Slot slot, std::vector<model::BackendId>& ids) const {
    std::lock_guard lock(lock_of(slot));
    const Record& r = records_[slot];
    if (!r.alive) return;
    ids.push_back(r.subscriber);
    if (r.rare) ids.insert(ids.end(), r.rare->more.begin(), r.rare->more.end());
}

void Probes::release(Slot slot) {
    std::lock_guard lock(mutex_);
    {
        std::lock_guard record_lock(lock_of(slot));
        records_[slot] = Record{};
    }
    free_.push_back(slot);
}

size_t Probes::size() const {
    std::lock_guard lock(mutex_);
    return table_.size();
}

}  // namespace gorb::health
