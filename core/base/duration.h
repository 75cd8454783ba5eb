// Durations as people write them: "250ms", "5s", "1m30s". Also upstream gorb's spellings: "5sec", "1
// minutes"'s units sec, seconds, min, minutes, hours, in any case.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gorb::base {

using Nanos = std::chrono::nanoseconds;

// One or more NUMBER UNIT pairs, without sign: us, ms, s, m, h and upstream's long names. Blanks are allowed
// around both; a number may have a fraction ("1.5s"), of which what is below a nanosecond is dropped. "0s" is
// a duration. At most 2^62 ns. Errc::invalid with a sentence that shows the form.
Result<Nanos> parse_duration(std::string_view text);

// The one such text of a value, which parses back to it: hours, minutes, and the rest in its largest unit,
// without parts that are zero: "1m30s", "1.5s", "250ms", "0s". A negative value (which does not parse back)
// begins with "-".
std::string duration_text(Nanos value);

// As a Clock counts; a negative one is 0.
inline uint64_t ns_of(Nanos t) {
    return t.count() > 0 ? static_cast<uint64_t>(t.count()) : 0;
}

}  // namespace gorb::base
