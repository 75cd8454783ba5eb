// Loads a library in a process of its own first. A constructor of the library that throws, crashes or hangs
// does so within dlopen(), where nothing can catch it: the exception ends the process, and locks of the
// loader stay locked.
//
// Threads: [setup]; it forks.
#pragma once
#include <chrono>
#include <filesystem>

#include "base/result.h"

namespace gorb::plugin {

// Errc::unsupported when the process that loads `file` dies or takes longer than `limit`. That the loader
// refuses the file is no failure here: who loads it next gets the loader's words.
base::Status try_library(const std::filesystem::path& file,
                         std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace gorb::plugin
