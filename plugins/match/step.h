// One exchange with a server as options say it: what to send and what must come back.
//
// Threads: any. Pure.
#pragma once
#include <gorb/sdk/values.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "match/pattern.h"

namespace pulse_match {

struct Step {
    static constexpr size_t most_sent = 16384;  // bytes

    std::string send;               // "" for nothing
    std::optional<Pattern> expect;  // none: anything will do
};

// The five ways to say it, as they were given.
struct RawStep {
    using Words = std::optional<std::string_view>;
    Words send, send_hex, expect, expect_hex, expect_regex;

    // The options of these names: send, send-hex, expect, expect-hex, expect-regex, all texts.
    static RawStep of(const gorb::sdk::Config& config);
    bool any() const { return send || send_hex || expect || expect_hex || expect_regex; }

    // Throws sdk::Error for what is wrong or given twice over; `where` ("step 2: ") stands before its
    // sentence.
    Step read(const std::string& where = "") const;
};

}  // namespace pulse_match
