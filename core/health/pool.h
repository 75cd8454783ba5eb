// What the health of a service's backends makes of their weights: pure functions of values.
//
// assess() looks at all members once and says what they are together (quorum, panic, who must stay); decide()
// gives each its weight by that: configured x admin x health x ramp x share, or what the pool wants instead.
//
// Cost: assess() is O(members), with max-down O(n log n); decide() is O(1) and allocates nothing; words() are
// made for those who ask.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "health/health.h"
#include "model/scheduler.h"
#include "model/service.h"

namespace gorb::health {

// One backend, as far as its weight depends on it. Times are monotonic ns.
struct Member {
    model::BackendId id = 0;
    uint64_t since = 0;       // of the state
    uint64_t back_since = 0;  // it came back then, after being down or new; 0: it was here all along
    uint32_t configured = 0;
    uint32_t before = 0;  // the weight it had in the kernel when it was taken over; counts while unknown
    float ratio = 1;      // passes among the last 100 checks
    uint8_t share = 100;  // per cent that its pulse asks for
    model::Admin admin = model::Admin::ready;
    bool backup = false;
    bool held = false;  // it is down, and counts as what it was, since gorbd suspects itself
    bool lent = false;  // what it has of `before` max-down alone has given it: it counts as none that is up
    bool out = false;   // it is not in the kernel now, as nobody is who is new
    bool unproven = false;  // it has neither passed a check nor had a weight in the kernel
    State state = State::unknown;
};

enum class PoolState : uint8_t {
    up,        // the primaries make the quorum
    degraded,  // they do not, but somebody serves
    down,      // nobody does
};
std::string_view pool_state_text(PoolState state);

// Could it serve, as far as its operator is concerned, and itself: who is up and asks for no share of its
// weight counts for nothing, like who has none.
bool eligible(const Member& member);

// How many of which kind there are among the members: what can be kept up to date one member at a time.
struct Headcount {
    uint32_t primaries = 0, primaries_up = 0, backups = 0, backups_up = 0;  // eligible()
    uint32_t primaries_down = 0, backups_down = 0;
    uint32_t lent = 0;    // of which nothing is known, and that serve for max-down
    uint32_t shares = 0;  // up, and asking for a part of their weight
    uint32_t held = 0;    // primaries that count as up since gorbd suspects itself

    // What a member is counted as; 0: as nothing.
    static uint8_t kind(const Member& member);
    void add(uint8_t kind) { count(kind, 1); }
    void take_away(uint8_t kind) { count(kind, UINT32_MAX); }
    // For what the checks say of some of them.
    bool waits() const {
        return primaries + backups > primaries_up + primaries_down + backups_up + backups_down + lent;
    }
    bool operator==(const Headcount&) const = default;

  private:
    void count(uint8_t kind, uint32_t one);
};

// What the members are together.
struct Assessment {
    PoolState state = PoolState::down;
    bool quorum_met = false;
    bool panic = false;
    uint32_t primaries = 0, primaries_up = 0, backups = 0, backups_up = 0;  // eligible()
    uint32_t divisor = 1;      // of all weights, for a table of slots
    uint32_t slot_sum = 0;     // what they add up to then
    uint32_t held = 0;         // of primaries_up: down, and held as what they were
    uint32_t kept = 0;         // down ones that max-down keeps in service
    uint32_t idle_shares = 0;  // of those that ask for a part of their weight, by which nothing changes
    // The last one, by (since, id), that may go; who went down after it stays, unless it is unproven.
    uint64_t last_out_since = UINT64_MAX;
    model::BackendId last_out = UINT64_MAX;

    bool backups_serve() const { return !quorum_met; }
    bool operator==(const Assessment&) const = default;
};

// `was_met`: whether the quorum was met before, for its hysteresis; nullptr at first.
Assessment assess(const model::Service& service, std::span<const Member> members, const bool* was_met);
// The same from their tally, where that is enough: counts() says for which services it is.
Assessment assess(const model::Service& service, const Headcount& tally, const bool* was_met);
bool counts(const model::Service& service);

// So many primaries must be up for a quorum that was lost: all that there are is always enough to come back,
// as far as hysteresis is concerned.
uint32_t quorum_regained(const model::PoolPolicy& policy, uint32_t primaries);

// Why a weight is what it is.
enum class Cause : uint8_t {
    none,       // nothing is in its way
    divided,    // the same, and all weights of the service are divided
    zero,       // the configured weight is 0
    drain,      // the operator drains it
    maint,      // the operator took it out
    down,       // its checks say so
    unchecked,  // no check has counted yet
    before,     // no check has counted yet: it keeps what it had in the kernel
    standby,    // a backup, and the primaries make the quorum
    panic,      // not up, but too many are down: it serves
    kept,       // down, but no more may be out (max-down): it serves
    held,       // down, but gorbd suspects itself: it serves as it did
    ramp,       // it came back a short time ago
    history,    // its last checks were not all good
    share,      // its pulse asks for a part
};

struct Decision {
    uint32_t effective = 0;  // weight for the kernel
    Cause cause = Cause::unchecked;
    bool present : 1 = true;  // false: the destination is to be removed from the kernel
    // Its pulse asks for a part of the weight, and by the scheduler or for rounding it gets all of it.
    bool idle_share : 1 = false;
    // It came back a short time ago, and for rounding it gets as much as without that.
    bool idle_recovery : 1 = false;
    // The factors, per cent.
    uint8_t admin = 100, health = 100, ramp = 100, share = 100, pool = 100;
    bool operator==(const Decision&) const = default;
};

Decision decide(const model::Service& service, const Assessment& pool, const Member& member, uint64_t now);

// When a decision about it changes by time alone: the next step of its ramp, monotonic ns; 0: never.
uint64_t next_step(const model::Service& service, const Member& member, uint64_t now);

// In words, for GET and the log: "down: connection refused (3 failures in a row)". "" for Cause::none.
std::string words(const model::Service& service, const Decision& decision, const std::string& because);

// The reason of each factor that is not 100 %, in words; "" where it is. Of a share also why it makes no
// difference.
struct FactorWords {
    std::string admin, health, ramp, share, pool;
};
FactorWords factor_words(const model::Service& service, const Decision& decision, const std::string& because);

// What an operator should know of the service's settings, given its scheduler and its members.
std::vector<std::string> pool_warnings(const model::Service& service, const Assessment& pool);
// Why the state is what it is: "2 of 4 primaries are up, the quorum is 3; 1 backup serves".
std::string pool_words(const model::Service& service, const Assessment& pool);

}  // namespace gorb::health
