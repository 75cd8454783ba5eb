// Loads a kernel module by running modprobe, without a shell.
#pragma once
#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gorb::ipvs {

// Where modprobe may be: /sbin, /usr/sbin, /bin, /usr/bin.
std::span<const std::string> modprobe_places();

// Runs the first of `programs` that exists with `module` as its only argument and waits for it, at most
// `patience`. Errc::unavailable with the program's own words when it fails, does not end (it is killed then),
// or is nowhere; at once while one of before has not ended though it was killed.
base::Status load_module(const std::string& module, std::span<const std::string> programs = modprobe_places(),
                         std::chrono::milliseconds patience = std::chrono::seconds(10));

}  // namespace gorb::ipvs
