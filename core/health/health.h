// The health of every backend, as values.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

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
    model::PulseSpec pulse;
    std::shared_ptr<const plugin::Config> args;
};

// Everything known about one backend's health. A copy, taken at one instant.
struct View {
    State state = State::unknown;
    int64_t since_wall = 0;     // wall ns of the last change of state (or of the start)
    uint64_t since = 0;         // the same on the monotonic clock
    bool checked = false;       // is there a last result
    plugin::Verdict verdict{};  // of the last result
    std::string reason;         // in words
    std::string
        because;  // why the state is what it is: "connection refused (3 failures in a row)", "" while unknown
    int32_t code = 0;
    uint64_t latency_ns = 0;
    int64_t last_wall = 0;  // wall ns of the last result
    uint32_t share = 100;   // weight share the last PASS asked for
    uint64_t passes = 0, failures = 0, unknowns = 0, changes = 0;
    uint32_t passes_in_row = 0, failures_in_row = 0;
    double ratio = 1;        // passes among the last 100 counted results; 1 before the first (as upstream)
    uint64_t uptime_ns = 0;  // since it is up; 0 while down or unknown
};

// Told when what the weight depends on changed.
struct Changed {
    model::BackendId id = 0;
    State state{};
    uint32_t share = 100;
    std::string reason;  // what did it, in words: View::because, or of a change of share the result's reason
};

}  // namespace gorb::health
