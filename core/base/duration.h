// Durations as people write them: "250ms", "5s", "1m30s". Also upstream gorb's spellings: "5sec", "1 minutes"'s units
// sec, seconds, min, minutes, hours, in any case.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gorb::base {

using Nanos = std::chrono::nanoseconds;

// One or more NUMBER UNIT pairs, without sign: us, ms, s, m, h and upstream's long names. A number may have a
// fraction ("1.5s"). "0s" is a duration. At most 2^62 ns. Errc::invalid with a sentence that shows the form.
Result<Nanos> parse_duration(std::string_view text);

// The shortest such text that parses back to the same value: "1m30s", "250ms", "0s".
std::string duration_text(Nanos value);

}  // namespace gorb::base
