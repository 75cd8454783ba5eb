#include "health/pool.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

namespace gorb::health {
namespace {

using model::Admin;
using model::Recovery;

constexpr uint64_t ramp_steps = 50;
constexpr uint64_t shortest_step = 500'000'000;  // ns

bool keeps(const Member& m) {
    return m.state == State::unknown && m.before > 0;
}

bool serves(const Member& m) {
    return m.state == State::up || (keeps(m) && !m.lent);
}

bool asks_for_part(const Member& m) {
    return m.state == State::up && m.share > 0 && m.share < 100;
}

uint64_t ns(base::Nanos t) {
    return static_cast<uint64_t>(std::max<int64_t>(t.count(), 0));
}

// Per cent of a ramp that began at `since`, linear from the least share.
uint32_t ramp_percent(const model::PoolPolicy& policy, uint64_t since, uint64_t now) {
    const uint64_t length = ns(policy.slow_start);
    const uint64_t passed = now > since ? now - since : 0;
    if (length == 0 || passed >= length) return 100;
    // In the steps in which it is told to the kernel, so that the same step always means the same weight.
    const uint64_t step = std::max(shortest_step, length / ramp_steps);
    const uint64_t at = passed / step * step;
    const uint32_t least = policy.slow_start_least;
    return least + static_cast<uint32_t>((100 - least) * at / length);
}

bool is_out(const Assessment& pool, const Member& m) {
    return m.unproven || std::pair(m.since, m.id) <= std::pair(pool.last_out_since, pool.last_out);
}

// Those that should serve now, and of which something is known: panic and max-down are about them.
size_t serving(const Headcount& tally, const Assessment& a) {
    return tally.primaries_up + (a.backups_serve() ? tally.backups_up : 0);
}
size_t known(const Headcount& tally, const Assessment& a) {
    return serving(tally, a) + tally.primaries_down + (a.backups_serve() ? tally.backups_down : 0);
}

// Who of those that are down may go when only so many may: those that went first. Marks the last of them. Who
// is unproven has not been taken out of service, and is none of them.
void limit_down(const model::PoolPolicy& policy, std::span<const Member> members, const Headcount& tally,
                Assessment& a) {
    if (policy.max_down >= 100) return;
    std::vector<std::pair<uint64_t, model::BackendId>> down;
    size_t of = known(tally, a);
    for (const Member& m : members) {
        const bool called = !m.backup || a.backups_serve();  // as known() has it
        if (!eligible(m) || !called || m.state != State::down) continue;
        if (m.unproven) {
            --of;
        } else {
            down.emplace_back(m.since, m.id);
        }
    }
    const size_t allowed = of * policy.max_down / 100;
    if (down.size() <= allowed) return;
    a.kept = static_cast<uint32_t>(down.size() - allowed);
    if (allowed == 0) {
        a.last_out_since = a.last_out = 0;  // ids begin with 1: nobody
        return;
    }
    std::nth_element(down.begin(), down.begin() + static_cast<ptrdiff_t>(allowed - 1), down.end());
    std::tie(a.last_out_since, a.last_out) = down[allowed - 1];
}

}  // namespace

bool eligible(const Member& m) {
    return m.admin == Admin::ready && m.configured > 0 && (m.share > 0 || m.state != State::up);
}

std::string_view pool_state_text(PoolState state) {
    switch (state) {
        case PoolState::up:
            return "up";
        case PoolState::degraded:
            return "degraded";
        case PoolState::down:
            break;
    }
    return "down";
}

namespace {
// Slot::counted has six bits for it.
enum Kind : uint8_t {
    kind_eligible = 1,
    kind_backup = 2,
    kind_what = 4 | 8,  // one of
    kind_serves = 4,
    kind_down = 8,
    kind_lent = 4 | 8,
    kind_shares = 16,
    kind_held = 32,
};
}  // namespace

uint8_t Headcount::kind(const Member& m) {
    if (!eligible(m)) return 0;
    const int what = serves(m) ? kind_serves : m.state == State::down ? kind_down : keeps(m) ? kind_lent : 0;
    return static_cast<uint8_t>(kind_eligible | (m.backup ? kind_backup : 0) | what |
                                (asks_for_part(m) ? kind_shares : 0) | (m.held ? kind_held : 0));
}

void Headcount::count(uint8_t kind, uint32_t one) {
    if (kind == 0) return;
    const bool backup = kind & kind_backup;
    (backup ? backups : primaries) += one;
    const uint8_t what = kind & kind_what;
    if (what == kind_serves) (backup ? backups_up : primaries_up) += one;
    if (what == kind_down) (backup ? backups_down : primaries_down) += one;
    if (what == kind_lent) lent += one;
    if (kind & kind_shares) shares += one;
    if ((kind & kind_held) && what == kind_serves && !backup) held += one;
}

uint32_t quorum_regained(const model::PoolPolicy& policy, uint32_t primaries) {
    return std::max(policy.quorum, std::min(policy.quorum + policy.hysteresis, primaries));
}

bool counts(const model::Service& service) {
    return service.pool.max_down >= 100 && model::scheduler_traits(service.scheduler).slots == 0;
}

Assessment assess(const model::Service& service, const Headcount& tally, const bool* was_met) {
    const model::PoolPolicy& policy = service.pool;
    Assessment a;
    a.primaries = tally.primaries;
    a.primaries_up = tally.primaries_up;
    a.backups = tally.backups;
    a.backups_up = tally.backups_up;
    a.held = tally.held;
    if (!model::scheduler_traits(service.scheduler).scales()) a.idle_shares = tally.shares;
    if (was_met && *was_met) {
        a.quorum_met = a.primaries_up + policy.hysteresis >= policy.quorum;
    } else {
        a.quorum_met = a.primaries_up >= (was_met ? quorum_regained(policy, a.primaries) : policy.quorum);
    }
    const size_t up = serving(tally, a), of = known(tally, a);
    a.panic = policy.panic_threshold > 0 && of > 0 && up * 100 < of * policy.panic_threshold;
    const bool any = up > 0 || a.panic || tally.lent > 0;
    a.state = a.quorum_met ? PoolState::up : any ? PoolState::degraded : PoolState::down;
    return a;
}

Assessment assess(const model::Service& service, std::span<const Member> members, const bool* was_met) {
    Headcount tally;
    for (const Member& m : members) tally.add(Headcount::kind(m));
    Assessment a = assess(service, tally, was_met);
    if (!a.panic) limit_down(service.pool, members, tally, a);
    if (a.kept > 0 && a.state == PoolState::down) a.state = PoolState::degraded;
    if (const uint32_t slots = model::scheduler_traits(service.scheduler).slots; slots > 0) {
        uint32_t divisor = 0;
        for (const Member& m : members) divisor = std::gcd(divisor, m.configured);
        if (divisor == 0) return a;
        a.divisor = divisor;
        for (const Member& m : members) {
            if (!eligible(m)) continue;
            a.slot_sum += m.configured / divisor;
            if (asks_for_part(m) && m.configured == divisor) ++a.idle_shares;
        }
    }
    return a;
}

namespace {

// Is it up and wanted, and nothing is in the way of its weight? Mostly that is all there is to say.
bool ordinary(const Assessment& pool, const Member& m) {
    return eligible(m) && m.state == State::up && m.back_since == 0 && m.share >= 100 && !m.held &&
           (!m.backup || pool.backups_serve());
}

uint32_t whole_weight(const Assessment& pool, const Member& m) {
    return std::max<uint32_t>(1, m.configured / pool.divisor);
}

// With nothing in its way.
Cause unhindered(const Assessment& pool) {
    return pool.divisor > 1 ? Cause::divided : Cause::none;
}

// Apart, so that decide() is short where it can be.
[[gnu::noinline]] Decision decide_any(const model::Service& service, const Assessment& pool, const Member& m,
                                      uint64_t now) {
    const model::PoolPolicy& policy = service.pool;
    const model::SchedulerTraits traits = model::scheduler_traits(service.scheduler);
    const bool absent_at_zero = model::absent_at_zero(service, traits);
    // Who is down goes, whatever else is in the way of its weight, and stays out until it is up: with a
    // weight of 0 it would get the clients that its templates bind to it.
    const bool removed = model::effective_on_down(service, traits) == model::OnDown::remove;
    const bool stays_out = removed && (m.state == State::down || (m.out && m.state != State::up));
    Decision d;
    // Whatever else is in the way of its weight. In maintenance nobody asks.
    if (m.state != State::up && m.admin != Admin::maint) d.health = 0;
    if (m.admin != Admin::ready || m.configured == 0) {
        const bool asked = m.admin != Admin::ready;
        if (asked) d.admin = 0;
        d.cause = !asked ? Cause::zero : m.admin == Admin::drain ? Cause::drain : Cause::maint;
        // One that is there keeps its connections, at the price of the clients that are hashed to it; who is
        // out has none.
        d.present = !stays_out && (!absent_at_zero || (!m.out && d.cause != Cause::maint));
        return d;
    }
    const uint32_t whole = whole_weight(pool, m);
    if (m.backup && !pool.backups_serve()) {
        d.pool = 0;
        d.cause = Cause::standby;
        d.present = !absent_at_zero && !stays_out;
        return d;
    }
    // Fail open, for those of which nothing is known as well: they are no worse than those that are down.
    if (pool.panic && m.state != State::up) {
        d.cause = Cause::panic;
        d.effective = whole;
        return d;
    }
    if (m.state == State::unknown) {
        d.cause = m.before > 0 ? Cause::before : Cause::unchecked;
        // Its first check has counted, and is not believed: there may be nothing that it keeps for that.
        if (m.held) d.cause = m.before > 0 ? Cause::held : Cause::down;
        d.effective = std::min(m.before, whole);
        d.present = d.effective > 0 || (!absent_at_zero && !stays_out);
        return d;
    }
    if (m.state == State::down) {
        if (!is_out(pool, m)) {
            d.cause = Cause::kept;
            d.effective = whole;
            return d;
        }
        d.cause = Cause::down;
        d.present = !removed;
        return d;
    }
    if (m.share == 0) {  // asks for no traffic at all, which every scheduler understands
        d.cause = m.held ? Cause::held : Cause::share;
        d.share = 0;
        d.present = !absent_at_zero;
        return d;
    }
    d.cause = unhindered(pool);
    if (pool.panic) {
        d.effective = whole;
        if (m.held) d.cause = Cause::held;
        return d;
    }

    // While dead ones have to serve with all of their weight, nobody who is up gets less than that.
    const bool recovers = m.back_since > 0 && pool.kept == 0 && traits.ramps();
    if (recovers && policy.recovery == Recovery::history)
        d.health = static_cast<uint8_t>(std::lround(std::clamp(m.ratio, 0.0F, 1.0F) * 100));
    if (recovers && policy.recovery == Recovery::ramp)
        d.ramp = static_cast<uint8_t>(ramp_percent(policy, m.back_since, now));
    if (traits.scales()) d.share = std::min<uint8_t>(m.share, 100);

    const auto part = [&](uint64_t recovered, uint64_t share) {
        const uint64_t weight = whole * recovered * share / 1'000'000;
        return static_cast<uint32_t>(std::clamp<uint64_t>(weight, 1, model::max_weight));
    };
    const uint32_t recovered = uint32_t{d.health} * d.ramp;
    d.effective = part(recovered, d.share);
    if (m.share < 100 && d.effective == part(recovered, 100)) {
        d.share = 100;
        d.idle_share = true;
    }
    if (recovered < 10'000 && d.effective == part(10'000, d.share)) {
        d.health = d.ramp = 100;
        d.idle_recovery = true;
    }
    if (d.share < 100) d.cause = Cause::share;
    if (d.health < 100) d.cause = Cause::history;
    if (d.ramp < 100) d.cause = Cause::ramp;
    if (m.held) d.cause = Cause::held;
    return d;
}

}  // namespace

Decision decide(const model::Service& service, const Assessment& pool, const Member& m, uint64_t now) {
    if (!ordinary(pool, m)) return decide_any(service, pool, m, now);
    return {.effective = std::min(whole_weight(pool, m), model::max_weight), .cause = unhindered(pool)};
}

uint64_t next_step(const model::Service& service, const Member& m, uint64_t now) {
    const model::PoolPolicy& policy = service.pool;
    if (m.back_since == 0 || policy.recovery != Recovery::ramp || m.state != State::up) return 0;
    const uint64_t length = ns(policy.slow_start);
    const uint64_t passed = now > m.back_since ? now - m.back_since : 0;
    if (passed >= length) return 0;
    const uint64_t step = std::max(shortest_step, length / ramp_steps);
    return m.back_since + std::min(length, (passed / step + 1) * step);
}

}  // namespace gorb::health
