// What a UDP check sends, and how what is answered is judged.
//
// Threads: any. Pure.
#pragma once
#include <chrono>
#include <cstdint>
#include <gorb/sdk/pulse.hpp>
#include <gorb/sdk/values.hpp>
#include <string_view>

#include "match/step.h"

namespace pulse_udp {

// What the options of a target say.
struct Exchange {
    pulse_match::Step step;                        // nothing to send: an empty datagram
    std::chrono::nanoseconds wait{1'000'000'000};  // without `expect`: how long silence must last
    int64_t tries = 3;                             // with `expect`: datagrams within the timeout

    // Throws sdk::Error.
    static Exchange parse(const gorb::sdk::Config& config);
    // The verdict on the first datagram that comes back, whatever is in it.
    gorb::sdk::Result judge(std::string_view datagram) const;
};

}  // namespace pulse_udp
