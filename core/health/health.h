// The health of every backend, as values.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "model/service.h"
#include "model/snapshot.h"
#include "plugin/options.h"
#include "plugin/pulse.h"

namespace gorb::health {

enum class State : uint8_t { unknown, up, down };  // unknown: no result has counted yet
std::string_view state_text(State s);              // "unknown", "up", "down"

// What is to be checked.
struct Target {
    model::BackendId id = 0;
    std::string service, backend;
    base::Endpoint address;
    model::PulseList pulses;
    std::vector<std::shared_ptr<const plugin::Config>> args;  // one for each pulse; nullptr: its defaults
    // What an earlier run knew: a probe that is new begins with it instead of with what the pulse says.
    State known = State::unknown;
    uint8_t known_share = 100;     // CheckView::share
    int64_t known_since_wall = 0;  // CheckView::since_wall; 0: unknown
    uint64_t known_since = 0;      // the same on the monotonic clock, and never after now
};

// Everything known about one check of a backend. A copy, taken at one instant.
struct CheckView {
    std::string type;  // of the pulse
    State state = State::unknown;
    bool checked = false;       // is there a last result
    plugin::Verdict verdict{};  // of the last result
    std::string reason;         // of the last result, in words
    // Why the state is what it is: "connection refused (3 failures in a row)", "" while unknown.
    std::string because;
    bool taken_over = false;  // it is from before its checks, which have not confirmed it yet
    bool trouble = false;     // the last check could not be made: the state is as it was
    std::string warning;  // that, with its reason; or of the last result, what is fine yet and not for long
    int32_t code = 0;
    uint64_t latency_ns = 0;
    int64_t last_wall = 0;  // wall ns of the last result
    int64_t since_wall =
        0;  // wall ns of the last change of state, of an earlier run as well (or of the start)
    uint64_t passes = 0, failures = 0, unknowns = 0, changes = 0;
    uint32_t passes_in_row = 0, failures_in_row = 0;
    uint32_t share = 100;      // weight share the last PASS asked for
    double ratio = 1;          // passes among the last 100 counted results; 1 before the first
    uint32_t shared = 1;       // backends that share this probe; 1: alone
    double recent_falls = 0;   // of damping: falls, decayed until now
    uint64_t held_ns = 0;      // held down by damping for this much longer; 0: it is not
    uint64_t interval_ns = 0;  // in force now: regular, fast, down or backed off; without jitter
};

// Everything known about one backend's health. A copy; each check is from one instant.
//
// Down if any of its checks is down, else unknown if any is unknown, else up. share and ratio are the least
// of the checks'.
struct View {
    State state = State::unknown;
    int64_t since_wall =
        0;               // wall ns of the last change of state, of an earlier run as well (or of the start)
    uint64_t since = 0;  // the same on the monotonic clock
    // Of the check that decides; "http: " in front when there are several. "" while unknown.
    std::string because;
    uint32_t share = 100;
    double ratio = 1;               // 1 before the first counted result (as upstream)
    uint64_t uptime_ns = 0;         // since it is up; 0 while down or unknown
    uint64_t changes = 0;           // of this backend's state
    std::string warning;            // the first there is, "http: " in front when there are several checks
    bool trouble = false;           // one of its checks could not be made
    std::vector<CheckView> checks;  // one for each pulse, in their order
    size_t decides = 0;             // which of them `because` is of
};

// Told when what the weight depends on changed.
struct Changed {
    model::BackendId id = 0;
    State state{};
    uint32_t share = 100;
    double ratio = 1;
    uint64_t since = 0;  // monotonic ns of the last change of state
    // What did it, in words: View::because, or of a change of share or ratio the result's reason.
    std::string reason;
};

// Whether this machine itself seems to be what is ill: most of what was well stopped being so at once.
struct Suspicion {
    bool frozen = false;  // weights should stay as they are
    uint64_t since = 0;   // monotonic ns: the first failure of the wave, or when it was over
    std::string why;      // in words, for log and /readyz
};

// What somebody reports of a backend from outside.
struct Push {
    plugin::Verdict verdict = plugin::Verdict::pass;  // or fail
    uint32_t share = 100;                             // per cent
    int32_t code = 0;
    std::string detail;  // "" for none
};

}  // namespace gorb::health
