#include "health/policy.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/duration.h"
#include "health/hash.h"

namespace gorb::health {

namespace {

template <class N>
N one_more(N n) {
    return n == std::numeric_limits<N>::max() ? n : static_cast<N>(n + 1);
}

uint64_t low_bits(uint32_t n) {
    return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
}

void push(Standing& s, bool pass) {
    s.results[1] = (s.results[1] << 1) | (s.results[0] >> 63);
    s.results[0] = (s.results[0] << 1) | (pass ? 1 : 0);
    if (s.counted < Standing::remembered) ++s.counted;
}

bool window_is_full(const Standing& s, const model::Window& window) {
    return window.of != 0 && s.failures_of_last(window.of) >= window.failures;
}

uint64_t hold_after(double falls, const model::Damping& damping) {
    const double hold = static_cast<double>(damping.hold.count()) * std::exp2(falls - 1);
    return static_cast<uint64_t>(std::min(hold, static_cast<double>(base::ns_of(damping.max))));
}

void fall(Standing& s, Damped* damped, const model::Damping& damping, uint64_t now) {
    s.state = State::down;
    s.backoff = 0;
    if (!damped || damping.hold.count() <= 0) return;
    damped->falls = damped->falls_at(damping, now) + 1;
    damped->at = now;
    damped->until = now + hold_after(damped->falls, damping);
}

// -1 to 1, the same for the same arguments.
double chance(uint64_t seed, uint64_t hash, uint64_t n) {
    const uint64_t bits = spread(spread(seed ^ hash) + n);
    return static_cast<double>(bits >> 11) * 0x1p-52 - 1;
}

double most_shift(uint64_t interval, uint32_t jitter) {
    return static_cast<double>(interval) * std::min<uint32_t>(jitter, 49) / 100;
}

int64_t shift(uint64_t seed, uint64_t hash, uint64_t n, uint64_t interval, uint32_t jitter) {
    return static_cast<int64_t>(chance(seed, hash, n) * most_shift(interval, jitter));
}

// A row has begun that could change the state and has not yet.
bool change_pending(const Standing& s, bool held) {
    return (s.state == State::up && s.failures > 0) || (s.state == State::down && s.passes > 0 && !held);
}

}  // namespace

std::string_view state_text(State s) {
    switch (s) {
        case State::up:
            return "up";
        case State::down:
            return "down";
        case State::unknown:
            break;
    }
    return "unknown";
}

uint32_t Standing::failures_of_last(uint32_t of) const {
    const uint32_t n = std::min<uint32_t>(of, counted);
    const int passed =
        std::popcount(results[0] & low_bits(n)) + (n > 64 ? std::popcount(results[1] & low_bits(n - 64)) : 0);
    return n - static_cast<uint32_t>(passed);
}

double Standing::ratio() const {
    if (!counted) return 1;
    return static_cast<double>(counted - failures_of_last(remembered)) / counted;
}

double Damped::falls_at(const model::Damping& damping, uint64_t now) const {
    const uint64_t half = base::ns_of(damping.forget);
    if (falls == 0 || now <= at) return falls;
    return half == 0 ? 0 : falls * std::exp2(-static_cast<double>(now - at) / static_cast<double>(half));
}

Damped Damped::under(const model::Damping& damping) const {
    Damped changed = *this;
    if (falls > 0) changed.until = at + hold_after(falls, damping);
    return changed;
}

Standing beginning(const model::PulseSpec& pulse) {
    Standing s;
    if (pulse.initial == model::Initial::up) s.state = State::up;
    if (pulse.initial == model::Initial::down) s.state = State::down;
    return s;
}

Why count(Standing& s, Damped* damped, const model::PulseSpec& pulse, plugin::Verdict verdict, uint64_t now) {
    if (verdict == plugin::Verdict::pass) {
        push(s, true);
        s.passes = one_more(s.passes);
        s.failures = 0;
        s.backoff = 0;
        if (s.state == State::up) return Why::nothing;
        const bool first = s.state == State::unknown;
        if (!first &&
            (s.passes < pulse.rise || window_is_full(s, pulse.window) || (damped && now < damped->until))) {
            return Why::nothing;
        }
        s.state = State::up;
        return first ? Why::first : Why::row;
    }
    if (verdict != plugin::Verdict::fail) return Why::nothing;
    push(s, false);
    s.failures = one_more(s.failures);
    s.passes = 0;
    switch (s.state) {
        case State::down:
            s.backoff = one_more(s.backoff);
            return Why::nothing;
        case State::unknown:
            s.state = State::down;  // no fall: it never was up
            s.backoff = 0;
            return Why::first;
        case State::up:
            break;
    }
    const bool row = s.failures >= pulse.fall;
    if (!row && !window_is_full(s, pulse.window)) return Why::nothing;
    fall(s, damped, pulse.damping, now);
    return row ? Why::row : Why::window;
}

bool confirmed(const Standing& s, const model::PulseSpec& pulse) {
    return (s.state == State::up && s.passes >= pulse.rise) ||
           (s.state == State::down && s.failures >= pulse.fall);
}

namespace {

std::string failed_of_last(const Standing& s, uint32_t window) {
    const uint32_t of = std::min<uint32_t>(window, s.counted);
    return std::to_string(s.failures_of_last(of)) + " of the last " + std::to_string(of) + " checks failed";
}

}  // namespace

std::string because(Why why, const Standing& s, const model::PulseSpec& pulse, std::string_view reason) {
    std::string words(reason);
    if (why == Why::window) return words + " (" + failed_of_last(s, pulse.window.of) + ")";
    const uint32_t row = s.failures ? s.failures : s.passes;
    if (row < 2) return words;
    return words + " (" + std::to_string(row) + (s.failures ? " failures" : " passes") + " in a row)";
}

std::string window_words(const Standing& s, const model::PulseSpec& pulse) {
    const bool keeps = s.state == State::down && s.passes >= pulse.rise && window_is_full(s, pulse.window);
    return keeps ? "; " + failed_of_last(s, pulse.window.of) + " (window)" : "";
}

std::string held_words(uint64_t ns) {
    // Whole seconds, unless it is less than ten.
    const uint64_t unit = ns >= 10'000'000'000 ? 1'000'000'000 : 100'000'000;
    const uint64_t rounded = (ns + unit - 1) / unit * unit;
    return "; held down by damping for another " +
           base::duration_text(base::Nanos(static_cast<int64_t>(rounded)));
}

Interval interval_of(const Standing& s, const model::PulseSpec& pulse, bool held) {
    const uint64_t regular = base::ns_of(pulse.interval);
    if (change_pending(s, held)) {
        const uint64_t fast = base::ns_of(pulse.fast_interval);
        return fast ? Interval{false, fast} : Interval{true, regular};
    }
    if (s.state != State::down) return {true, regular};
    const uint64_t down = base::ns_of(pulse.down_interval);
    const uint64_t base = down ? down : regular;
    if (pulse.backoff.factor <= 1 || s.backoff == 0) return {down == 0, base};
    const double most = static_cast<double>(std::max(base, base::ns_of(pulse.backoff.max)));
    const double grown = static_cast<double>(base) * std::pow(pulse.backoff.factor, s.backoff);
    return {false, static_cast<uint64_t>(std::min(grown, most))};
}

uint64_t next_regular(uint64_t hash, uint64_t seed, uint64_t interval, uint32_t jitter, uint64_t after) {
    const uint64_t phase = hash % interval;
    uint64_t n = after > phase ? (after - phase) / interval : 0;
    for (;; ++n) {
        const auto place =
            static_cast<int64_t>(n * interval + phase) + shift(seed, hash, n, interval, jitter);
        if (place > static_cast<int64_t>(after)) return static_cast<uint64_t>(place);
    }
}

uint64_t longest_gap(const model::PulseSpec& pulse) {
    const uint64_t interval = base::ns_of(pulse.interval);
    return interval + static_cast<uint64_t>(2 * most_shift(interval, pulse.jitter));
}

uint64_t next_due(const Standing& s, const Damped* damped, const model::PulseSpec& pulse, uint64_t hash,
                  uint64_t seed, uint64_t tick, uint64_t started, uint64_t now) {
    const bool held = damped && s.state == State::down && s.passes >= pulse.rise && now < damped->until;
    const Interval interval = interval_of(s, pulse, held);
    const uint64_t from = started - started % tick, length = std::max(interval.ns, tick);
    uint64_t due = 0;
    if (interval.regular && change_pending(s, held)) {
        // Not sooner than half an interval: its own place may be one that the cap went ahead of.
        due = std::min(next_regular(hash, seed, length, pulse.jitter, std::max(now, from + length / 2)),
                       from + length);
    } else if (interval.regular) {
        due = next_regular(hash, seed, length, pulse.jitter, now);
    } else {
        due = static_cast<uint64_t>(static_cast<int64_t>(from + length) +
                                    shift(seed, hash, started, interval.ns, pulse.jitter));
        if (change_pending(s, held)) due = std::min(due, from + length);
    }
    if (held) due = std::min(due, damped->until);
    return std::max(due, now);
}

}  // namespace gorb::health
