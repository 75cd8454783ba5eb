// What a line on stderr begins with where the journal reads it.
//
// Threads: any.
#pragma once
#include <string_view>

#include "base/log.h"

namespace gorb::base {

// The line's priority, as sd-daemon(3) has it: "<3>" of an error. "" where stderr is not the journal's.
std::string_view journal_prefix(LogLevel level);

}  // namespace gorb::base
