// What the log says of changes.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"
#include "control/resolve.h"

namespace gorb::control {

// One line about a change, with the fields that it has.
void log_change(base::LogLevel level, std::string_view message, const Resolved& about,
                const std::string& error = {}, uint64_t kernel_ns = 0);

}  // namespace gorb::control
