#include "health/board.h"

#include <algorithm>
#include <bit>

namespace gorb::health {

namespace {

constexpr uint8_t remembered = 100;  // counted results that make the ratio

// Is it the same thing that is checked, so that what is known about it still holds?
bool same_thing(const Target& a, const Target& b) {
    return a.address == b.address && a.pulses[0].type == b.pulses[0].type && a.service == b.service;
}

}  // namespace

void Board::Record::push(bool pass) {
    window[1] = (window[1] << 1) | (window[0] >> 63);
    window[0] = (window[0] << 1) | (pass ? 1 : 0);
    counted = std::min<uint8_t>(static_cast<uint8_t>(counted + 1), remembered);
}

double Board::Record::ratio() const {
    if (!counted) return 1;
    constexpr uint64_t newest_36 = (uint64_t{1} << (remembered - 64)) - 1;
    return static_cast<double>(std::popcount(window[0]) + std::popcount(window[1] & newest_36)) / counted;
}

// The text as a string that others may hold already.
Board::Text Board::Shard::share(const std::string& text) {
    for (const Text& t : recent) {
        if (t && *t == text) return t;
    }
    Text made = std::make_shared<const std::string>(text);
    recent[oldest] = made;
    oldest = (oldest + 1) % recent.size();
    return made;
}

Board::Placed Board::put(TargetPtr target, uint64_t now, int64_t wall) {
    Shard& shard = of(target->id);
    std::lock_guard lock(shard.mutex);
    auto [it, fresh] = shard.records.try_emplace(target->id);
    Record& r = it->second;
    Placed placed;
    if (!fresh) {
        const Target& old = *r.target;
        if (same_thing(old, *target)) {
            placed.put =
                old.pulses == target->pulses && old.backend == target->backend ? Put::same : Put::kept;
            if (placed.put == Put::kept) r.target = std::move(target);
            return placed;
        }
        placed = {Put::restarted, r.streak.state != State::unknown};
        r = Record{};
    }
    r.target = std::move(target);
    r.since = now;
    r.since_wall = wall;
    return placed;
}

bool Board::forget(model::BackendId id) {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    return shard.records.erase(id) != 0;
}

std::optional<Board::Effect> Board::record(const TargetPtr& target, const plugin::Report& report,
                                           uint64_t now, int64_t wall) {
    Shard& shard = of(target->id);
    std::lock_guard lock(shard.mutex);
    const auto it = shard.records.find(target->id);
    if (it == shard.records.end() || it->second.target != target) return std::nullopt;
    Record& r = it->second;

    Effect effect;
    effect.before = r.streak.state;
    effect.share_before = r.share;
    effect.trouble_began =
        report.verdict == plugin::Verdict::unknown && !(r.checked && r.verdict == plugin::Verdict::unknown);

    r.streak = next(r.streak, report.verdict, target->pulses[0].rise, target->pulses[0].fall);
    switch (report.verdict) {
        case plugin::Verdict::pass:
            ++r.passes;
            r.push(true);
            r.share = report.share;  // a target that fails asks for nothing
            break;
        case plugin::Verdict::fail:
            ++r.failures;
            r.push(false);
            break;
        case plugin::Verdict::unknown:
            ++r.unknowns;
            break;
    }
    if (!r.reason || *r.reason != report.detail) r.reason = shard.share(report.detail);
    r.checked = true;
    r.verdict = report.verdict;
    r.code = report.code;
    r.latency_ns = report.latency_ns;
    r.last_wall = wall;

    effect.after = r.streak.state;
    effect.share = r.share;
    if (effect.state_changed()) {
        ++r.changes;
        r.since = now;
        r.since_wall = wall;
        effect.because = because(r.streak, report.detail);
        r.because = shard.share(effect.because);
    }
    return effect;
}

std::optional<View> Board::read(model::BackendId id, uint64_t now) const {
    const Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    const auto it = shard.records.find(id);
    if (it == shard.records.end()) return std::nullopt;
    const Record& r = it->second;
    View v;
    CheckView& c = v.checks.emplace_back();
    c.type = r.target->pulses[0].type;
    v.state = c.state = r.streak.state;
    v.since_wall = c.since_wall = r.since_wall;
    v.since = r.since;
    c.checked = r.checked;
    c.verdict = r.verdict;
    if (r.reason) c.reason = *r.reason;
    if (r.because) v.because = c.because = *r.because;
    c.code = r.code;
    c.latency_ns = r.latency_ns;
    c.last_wall = r.last_wall;
    v.share = c.share = r.share;
    c.passes = r.passes;
    c.failures = r.failures;
    c.unknowns = r.unknowns;
    v.changes = c.changes = r.changes;
    c.passes_in_row = r.streak.passes;
    c.failures_in_row = r.streak.failures;
    v.ratio = c.ratio = r.ratio();
    // `now` was read before the lock was had: the change may be younger.
    v.uptime_ns = v.state == State::up && now > r.since ? now - r.since : 0;
    return v;
}

bool Board::has(model::BackendId id) const {
    const Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    return shard.records.contains(id);
}

size_t Board::size() const {
    size_t n = 0;
    for (const Shard& shard : shards_) {
        std::lock_guard lock(shard.mutex);
        n += shard.records.size();
    }
    return n;
}

}  // namespace gorb::health
