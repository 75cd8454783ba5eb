// What a program's end means: its exit status as Nagios plugins have it, its first line as the reason. Pure.
#pragma once
#include <gorb/plugin.hpp>
#include <string>
#include <string_view>

#include "match/share.h"

namespace pulse_exec {

constexpr size_t most_output = 4096;  // bytes kept of what a program writes
constexpr size_t most_line = 256;     // bytes of the reason

// The first line that is not blank, without what follows a '|' (figures for a monitoring system), trimmed, as
// valid UTF-8 without control characters, cut where it is long. "" for none.
std::string first_line(std::string_view output);

// The share of its weight that the program asks for on its backend's behalf: "share=50%" among the figures
// behind the '|' of the first line that has words (Nagios plugins' performance data: label=value;...), 0 to
// 100. 100 where there is none.
pulse_match::Share share_of(std::string_view output);

// How a process ended.
struct End {
    int status = 0;  // its exit status
    int signal = 0;  // not 0: the signal that killed it
};

// What is FAIL though Nagios would not have it so.
struct Strictness {
    bool warnings_fail = false;  // exit status 1
    bool unknowns_fail = false;  // exit status 3
};

// 0 PASS, 1 PASS with a warning, 2 FAIL, 3 UNKNOWN (1 and 3 FAIL where they are to), everything else FAIL.
// What passes has its share.
gorb::sdk::Result judge(const End& end, std::string_view output, const Strictness& strict);

}  // namespace pulse_exec
