#include "health/board.h"

#include <algorithm>
#include <utility>

#include "health/hash.h"

namespace gorb::health {

void Board::Record::set(std::vector<Ref> refs, const base::Endpoint& address, bool goes_elsewhere) {
    check = refs.front();
    const bool ordinary = refs.size() == 1 && !goes_elsewhere;
    more = ordinary ? nullptr : std::make_unique<More>(More{std::move(refs), address});
}

base::Endpoint Board::address_of(const Record& r) const {
    return r.more ? r.more->address : lane(r.check).address(r.check.slot);
}

uint32_t Board::hash_of(model::BackendId id) {
    return static_cast<uint32_t>(spread(id) >> 16);
}

Board::Record* Board::find(Shard& shard, model::BackendId id) {
    const uint32_t at =
        shard.table.find(hash_of(id) / shards, [&](uint32_t i) { return shard.records[i].id == id; });
    return at == SlotTable::none ? nullptr : &shard.records[at];
}

Board::Ref Board::subscribe(const Target& target, const SpecPtr& spec, const Probes::Past* past,
                            int64_t wall) {
    // Not the bits that give a probe its place in the interval: those of one loop would be neighbours there.
    const base::Endpoint address = model::checked_address(target.address, spec->pulse);
    const uint64_t hash = spread(health::hash_of(address) ^ spec->hash);
    const auto at = static_cast<uint32_t>((hash >> 32) % lanes_.size());
    return {at, lanes_[at]->subscribe(address, spec, target.id, past, wall)};
}

bool Board::is_first(std::span<const Ref> refs, size_t i) {
    const auto before = refs.first(i);
    return std::ranges::find(before, refs[i]) == before.end();
}

void Board::unsubscribe(std::span<const Ref> refs, model::BackendId id) {
    for (size_t i = 0; i < refs.size(); ++i) {
        if (is_first(refs, i)) lane(refs[i]).unsubscribe(refs[i].slot, id);
    }
}

namespace {

// Never after now, whatever has been done to the clock since.
int64_t known_since(const Target& target, int64_t wall) {
    return target.known_since_wall > 0 ? std::min(target.known_since_wall, wall) : wall;
}

Probes::Past known_from_before(const Target& target, int64_t wall) {
    Probes::Past past;
    past.standing.state = target.known;
    past.share = target.known_share;
    past.since_wall = known_since(target, wall);
    past.because = Text(target.pulses.size() > 1 ? "all checks together were so before gorbd was started"
                                                 : "known from before gorbd was started");
    past.taken_over = true;
    // Where all fail now that were up, it is as suspicious as without the restart between.
    if (target.known == State::up) past.told = Probes::Sign::good;
    return past;
}

// Which of the pulses that were there each one goes on from: the same one; or else one of its type, that asks
// the same question rather than the first, so that one that is taken away does not leave its health to
// another.
std::vector<std::optional<size_t>> successions(const std::vector<SpecPtr>& before,
                                               const std::vector<SpecPtr>& now) {
    std::vector<std::optional<size_t>> from(now.size());
    std::vector<bool> used(before.size());
    const auto take = [&](const auto& fits) {
        for (size_t i = 0; i < now.size(); ++i) {
            for (size_t j = 0; j < before.size() && !from[i]; ++j) {
                if (used[j] || !fits(*before[j], *now[i])) continue;
                used[j] = true;
                from[i] = j;
            }
        }
    };
    const auto of_type = [](const Spec& a, const Spec& b) { return a.pulse.type == b.pulse.type; };
    take([](const Spec& a, const Spec& b) { return &a == &b; });
    take([&](const Spec& a, const Spec& b) {
        return of_type(a, b) && a.pulse.args == b.pulse.args && a.pulse.address == b.pulse.address;
    });
    take(of_type);
    return from;
}

}  // namespace

Board::Effect Board::put(const Target& target, uint64_t now, int64_t wall, std::vector<GivenUp>& given_up) {
    std::vector<SpecPtr> specs;
    specs.reserve(target.pulses.size());
    for (size_t i = 0; i < target.pulses.size(); ++i) {
        specs.push_back(specs_.of(target.pulses, i, i < target.args.size() ? target.args[i] : nullptr));
    }
    Shard& shard = of(target.id);
    std::lock_guard lock(shard.mutex);
    Record* found = find(shard, target.id);
    const bool fresh = !found;
    std::vector<Ref> before;
    std::vector<SpecPtr> specs_before;
    bool kept = false;
    if (found) {
        before.assign(found->begin(), found->end());
        for (const Ref& ref : before) specs_before.push_back(lane(ref).spec(ref.slot));
        const bool same_thing =
            found->service.view() == target.service && address_of(*found) == target.address;
        if (found->name.view() != target.backend) found->name = Text(target.backend);
        if (same_thing && specs == specs_before) return {};
        kept = same_thing;
    } else {
        uint32_t at = 0;
        if (shard.free.empty()) {
            at = static_cast<uint32_t>(shard.records.size());
            shard.records.emplace_back();
        } else {
            at = shard.free.back();
            shard.free.pop_back();
        }
        found = &shard.records[at];
        found->id = target.id;
        found->name = Text(target.backend);
        shard.table.insert(hash_of(target.id) / shards, at);
    }
    Record& r = *found;
    r.service = shard.services.of(target.service);

    // A pulse of a type that was there before goes on from where that one is.
    std::vector<std::optional<size_t>> from(specs.size());
    if (kept) from = successions(specs_before, specs);
    std::vector<Ref> refs;
    for (size_t i = 0; i < specs.size(); ++i) {
        std::optional<Probes::Past> past;
        if (from[i]) {
            const Ref& ref = before[*from[i]];
            past = lane(ref).past(ref.slot);
            // One host is not well or ill for another.
            if (lane(ref).address(ref.slot).ip != model::checked_address(target.address, specs[i]->pulse).ip)
                past->told = Probes::Sign::none;
        }
        if (fresh && target.known != State::unknown) past = known_from_before(target, wall);
        // Of equal pulses of its own it has one probe, and is one of those that share it.
        const auto same =
            std::ranges::find(specs.begin(), specs.begin() + static_cast<ptrdiff_t>(i), specs[i]);
        const auto at = static_cast<size_t>(same - specs.begin());
        refs.push_back(at < i ? refs[at] : subscribe(target, specs[i], past ? &*past : nullptr, wall));
    }
    for (size_t j = 0; j < before.size(); ++j) {
        if (!is_first(before, j)) continue;
        // One that goes on from where it was may be in trouble all the same.
        bool goes_on = !in_trouble(before[j]);
        for (size_t i = 0; i < refs.size() && !goes_on; ++i)
            goes_on = refs[i] == before[j] || (from[i] == j && in_trouble(refs[i]));
        if (!goes_on) give_up(r, before[j], given_up);
    }
    unsubscribe(before, target.id);
    r.set(std::move(refs), target.address,
          std::ranges::any_of(target.pulses, [](const auto& pulse) { return bool(pulse.address); }));
    if (kept) {
        Effect effect = work_out(r, now, wall);
        // Whoever asks another question waits for the answer, even where it is the one of before.
        const auto type = [](const SpecPtr& spec) -> const std::string& { return spec->pulse.type; };
        if (!std::ranges::equal(specs, specs_before, {}, type, type)) {
            effect.tell = !std::exchange(r.pending, true) || effect.tell;
            r.pending_state = true;
        }
        return effect;
    }

    const State state_before = r.state;
    const uint32_t share_before = r.share;
    r.changes = 0;
    const Sum sum = sum_of(r);
    const bool known = fresh && sum.state == target.known && sum.state != State::unknown;
    r.since_wall = known ? known_since(target, wall) : wall;
    // The very time that whoever put it has, who takes what is older for news of another address.
    r.since = known && target.known_since > 0 ? target.known_since : now;
    r.state = sum.state;
    r.share = static_cast<uint8_t>(sum.share);
    r.ratio = static_cast<float>(sum.ratio);
    Effect effect{fresh ? State::unknown : state_before, r.state, fresh ? 100 : share_before, r.share, false};
    // Of another address nothing is known to whoever has put it: that a probe which others have already is up
    // is news, even where the one before was up as well.
    const bool news = effect.state_changed() || r.state != State::unknown;
    if (news || effect.share != effect.share_before) {
        effect.tell = !std::exchange(r.pending, true);
        r.pending_state |= news;
    }
    return effect;
}

void Board::give_up(const Record& r, const Ref& ref, std::vector<GivenUp>& given_up) const {
    given_up.push_back({{std::string(r.service.view()), std::string(r.name.view())},
                        lane(ref).address(ref.slot),
                        lane(ref).spec(ref.slot)->pulse.type});
}

void Board::forget(model::BackendId id, std::vector<GivenUp>& given_up) {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    const uint32_t hash = hash_of(id) / shards;
    const uint32_t at = shard.table.find(hash, [&](uint32_t i) { return shard.records[i].id == id; });
    if (at == SlotTable::none) return;
    Record& r = shard.records[at];
    const std::span<const Ref> refs(r.begin(), r.end());
    for (size_t i = 0; i < refs.size(); ++i) {
        if (is_first(refs, i) && in_trouble(refs[i])) give_up(r, refs[i], given_up);
    }
    unsubscribe(refs, id);
    shard.table.erase(hash, at);
    r = Record{};
    shard.free.push_back(at);
}

void Board::Sum::add(const Probes::Brief& check) {
    share = std::min(share, check.share);
    ratio = std::min(ratio, check.ratio);
    const auto weight = [](State s) { return s == State::down ? 2 : s == State::unknown ? 1 : 0; };
    const bool worse = weight(check.state) > weight(state);
    // What is up is so since its last check came up, what is down since its first went down. But that a check
    // which was down at the start still is, is worth more than that another may be.
    bool rather = check.state == state;
    if (rather && state == State::down && check.taken_over != taken_over_) {
        rather = taken_over_;
    } else if (rather) {
        rather = state == State::up ? check.since_wall > since_ : check.since_wall < since_;
    }
    if (count_ == 0 || worse || rather) {
        decides = count_;
        since_ = check.since_wall;
        taken_over_ = check.taken_over;
    }
    if (worse) state = check.state;
    ++count_;
}

Board::Sum Board::sum_of(const Record& r) const {
    Sum sum;
    for (const Ref& ref : r) sum.add(lane(ref).brief(ref.slot));
    return sum;
}

// Takes over what its checks are now.
Board::Effect Board::work_out(Record& r, uint64_t now, int64_t wall) {
    const Sum sum = sum_of(r);
    Effect effect{r.state, sum.state, r.share, sum.share, false};
    r.ratio = static_cast<float>(sum.ratio);
    r.share = static_cast<uint8_t>(sum.share);
    if (effect.state_changed()) {
        r.state = sum.state;
        r.since = std::max(r.since, now);  // the turn of another loop may have begun before it was put
        r.since_wall = wall;
        ++r.changes;
    }
    if (effect.state_changed() || effect.share != effect.share_before) {
        effect.tell = !std::exchange(r.pending, true);
        r.pending_state |= effect.state_changed();
    }
    return effect;
}

std::optional<Board::Effect> Board::refresh(model::BackendId id, uint64_t now, int64_t wall) {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    Record* r = find(shard, id);
    if (!r) return std::nullopt;
    return work_out(*r, now, wall);
}

std::string Board::words(const Record& r, size_t check, uint64_t now, bool last) const {
    const Ref& ref = r.begin()[check];
    std::string words = lane(ref).words(ref.slot, now, last);
    if (words.empty() || r.count() == 1) return words;
    return lane(ref).spec(ref.slot)->pulse.type + ": " + words;
}

std::optional<Changed> Board::collect(model::BackendId id, uint64_t now) {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    Record* r = find(shard, id);
    if (!r || !std::exchange(r->pending, false)) return std::nullopt;
    const bool state = std::exchange(r->pending_state, false);
    const Sum sum = sum_of(*r);
    return Changed{id, r->state, r->share, r->ratio, r->since, words(*r, sum.decides, now, !state)};
}

// Of several checks it is said which.
std::string Board::said(const Record& r, const CheckView& check, const std::string& words) {
    return r.count() > 1 ? check.type + ": " + words : words;
}

std::optional<View> Board::read(model::BackendId id, uint64_t now) const {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    const Record* r = find(shard, id);
    if (!r) return std::nullopt;
    // Each check is asked once: a list of 10,000 backends is mostly waiting for their memory.
    std::optional<View> view(std::in_place);
    View& v = *view;
    v.state = r->state;
    v.since_wall = r->since_wall;
    v.since = r->since;
    v.share = r->share;
    // `now` was read before the lock was had: the change may be younger.
    v.uptime_ns = v.state == State::up && now > r->since ? now - r->since : 0;
    v.changes = r->changes;
    v.checks.reserve(r->count());
    Sum sum;
    for (const Ref& ref : *r) {
        const CheckView& check = v.checks.emplace_back(lane(ref).view(ref.slot, now));
        sum.add({check.state, check.share, check.ratio, check.since_wall, check.taken_over, check.trouble});
        v.trouble |= check.trouble;
        if (v.warning.empty() && !check.warning.empty()) v.warning = said(*r, check, check.warning);
    }
    v.ratio = sum.ratio;
    v.decides = sum.decides;
    // A loop may just be on its way from a check to its backends.
    const CheckView& decides = v.checks[v.decides];
    if (v.state != State::unknown && !decides.because.empty()) v.because = said(*r, decides, decides.because);
    return view;
}

std::vector<Board::Ref> Board::checks(model::BackendId id) const {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    const Record* r = find(shard, id);
    return r ? std::vector<Ref>(r->begin(), r->end()) : std::vector<Ref>();
}

Board::Names Board::names(model::BackendId id) const {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    const Record* r = find(shard, id);
    return r ? Names{std::string(r->service.view()), std::string(r->name.view())} : Names{};
}

std::string Board::because(model::BackendId id, uint64_t now) const {
    Shard& shard = of(id);
    std::lock_guard lock(shard.mutex);
    const Record* r = find(shard, id);
    return r ? words(*r, sum_of(*r).decides, now, false) : "";
}

size_t Board::size() const {
    size_t n = 0;
    for (const Shard& shard : shards_) {
        std::lock_guard lock(shard.mutex);
        n += shard.table.size();
    }
    return n;
}

}  // namespace gorb::health
