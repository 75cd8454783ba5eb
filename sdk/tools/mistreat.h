// Calls into a pulse plugin in every order and under every bad condition the contract allows, and watches
// what it does.
#pragma once
#include <gorb/testing.hpp>

#include "findings.h"

namespace gorb::check {

struct Settings {
    testing::Values options, args;             // of the instance, of every target
    std::chrono::milliseconds timeout{300};    // a check's deadline
    std::chrono::milliseconds slow_call{100};  // a call into the plugin that takes longer blocks the loop
    size_t targets = 200;
};

void mistreat_pulse(const gorb_plugin& plugin, const Settings& settings, Findings& findings);

}  // namespace gorb::check
