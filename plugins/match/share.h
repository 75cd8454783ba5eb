// What a server or a program says of the share of its weight that it asks for. Pure.
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "match/text.h"

namespace pulse_match {

// The group of a regular expression that holds it: "(?P<share>[0-9]+)%".
inline constexpr char share_group[] = "share";

struct Share {
    uint32_t percent = 100;  // of the configured weight
    std::string warning;     // what was said and is no share, in words; "" for none

    // "50", "50%": a whole number from 0 to 100. Of anything else it is 100, with the warning.
    static Share read(std::string_view text) {
        std::string_view digits = text;
        if (digits.ends_with('%')) digits.remove_suffix(1);
        uint32_t percent = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), percent);
        if (error == std::errc() && end == digits.data() + digits.size() && percent <= 100)
            return {percent, ""};
        return {100, "its share must be a whole number from 0 to 100 (per cent), not " + in_quotes(text, 20)};
    }
};

}  // namespace pulse_match
