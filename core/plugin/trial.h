// Uses a library in a process of its own first, as far as a start does: opens it, reads its tables, calls its
// load(). A constructor that throws does so within dlopen(), where nothing can catch it: the exception ends
// the process, and locks of the loader stay locked. And whoever crashes or hangs in any of these would take
// the start with it, without a word that names the file.
//
// Threads: [setup]; it forks.
#pragma once
#include <chrono>
#include <filesystem>

#include "base/result.h"

namespace gorb::plugin {

// Errc::unsupported when the process that uses `file` dies or takes longer than `limit`; the sentence says in
// what. That the loader, the reader of its tables or load() refuse it is no failure here: who loads it next
// gets their words. What load() does outside of its process is done twice that way.
base::Status try_library(const std::filesystem::path& file,
                         std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace gorb::plugin
