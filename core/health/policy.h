// When a check counts as up or down, and when it is made again: pure functions of what was and what the check
// said.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "health/health.h"

namespace gorb::health {

// What the policy remembers of one check.
struct Standing {
    static constexpr uint32_t remembered = 100;  // counted results

    std::array<uint64_t, 2> results{};  // one bit for each, 1 = pass, the newest lowest
    uint32_t passes = 0, failures = 0;  // in a row
    uint16_t backoff = 0;               // failures since it is down, without a pass between
    uint8_t counted = 0;                // bits in use
    State state = State::unknown;

    // Failures among the last `of` counted results (at most `remembered`).
    uint32_t failures_of_last(uint32_t of) const;
    // Passes among the last 100 counted results; 1 before the first.
    double ratio() const;
    bool operator==(const Standing&) const = default;
};

// What flap damping remembers, for checks that have it.
struct Damped {
    double falls =
        0;            // from up to down; a fall weighs half after Damping::forget, a quarter after twice that
    uint64_t at = 0;  // when `falls` was right
    uint64_t until = 0;  // down at least until then (monotonic ns)

    double falls_at(const model::Damping& damping, uint64_t now) const;
    // The same falls, when another damping counts from now on: the last one holds it down as long as that
    // says.
    Damped under(const model::Damping& damping) const;
};

// What decided.
enum class Why : uint8_t {
    nothing,  // the state is as it was
    first,    // the first counted result
    row,      // rise or fall
    window,
};

// Before the first check.
Standing beginning(const model::PulseSpec& pulse);

// Counts a result. UNKNOWN (the checker's own trouble) changes nothing. While nothing has counted, the first
// counted result decides. Then:
// - down after `fall` failures in a row, or when `window.failures` of the last `window.of` counted results
// are
//   failures, in whatever order;
// - up after `rise` passes in a row, if the window would not bring it down and no damping holds it down. (So
//   after a long outage a window of 50 in 100 takes 51 passes: that is what it says.)
// `damped` is changed by falls; nullptr when the pulse has no damping.
Why count(Standing& standing, Damped* damped, const model::PulseSpec& pulse, plugin::Verdict verdict,
          uint64_t now);

// Would its row alone have made the state what it is? Of one that began with its state, or took it over.
bool confirmed(const Standing& standing, const model::PulseSpec& pulse);

// Why it is so, in words: "connection refused (3 failures in a row)", "status 503 (5 of the last 10 checks
// failed)"; a single result is its own reason. Right after count() has said `why`.
std::string because(Why why, const Standing& standing, const model::PulseSpec& pulse,
                    std::string_view reason);
// "; 10 of the last 40 checks failed (window)" of one that has passed often enough to come up, and that its
// window keeps down; else "".
std::string window_words(const Standing& standing, const model::PulseSpec& pulse);
// "; held down by damping for another 12s"
std::string held_words(uint64_t ns);

// How often it is checked now.
struct Interval {
    bool regular = true;  // at its regular places; otherwise counted from the last check
    uint64_t ns = 0;
    bool operator==(const Interval&) const = default;
};
// fast-interval while a row has begun that could change the state and has not yet; down-interval while down,
// growing with back-off; else, and where these are 0, interval. `held`: damping alone keeps it from coming
// up.
Interval interval_of(const Standing& standing, const model::PulseSpec& pulse, bool held);

// The regular places of a check: one in each `interval` of the clock, at hash mod interval, moved by up to
// `jitter` per cent of it (at most 49), always the same way in the same interval. So checks neither drift nor
// bunch, however long they take. Gives the first place after `after`.
uint64_t next_regular(uint64_t hash, uint64_t seed, uint64_t interval, uint32_t jitter, uint64_t after);
// The longest that a regular place is from the one before, ns: jitter may have moved both, apart.
uint64_t longest_gap(const model::PulseSpec& pulse);

// When it is checked next, after the check that was started at `started` and ended `now`. Times of the wheel
// are multiples of `tick`, so what is counted from the last check is counted from the tick it was due at.
// Where a change is pending jitter makes it sooner only: no later than an interval after the last one, so
// that `fall` failures are seen within `fall` intervals.
uint64_t next_due(const Standing& standing, const Damped* damped, const model::PulseSpec& pulse,
                  uint64_t hash, uint64_t seed, uint64_t tick, uint64_t started, uint64_t now);

}  // namespace gorb::health
