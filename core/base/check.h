// GORB_CHECK(condition): always on, also in release builds. For what can not happen; what the outside can
// cause is a Result instead.
#pragma once

namespace gorb::base {
// Logs nothing and allocates nothing: writes one line to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;
}  // namespace gorb::base

#define GORB_CHECK(condition) \
    (static_cast<bool>(condition) ? void(0) : ::gorb::base::check_failed(#condition, __FILE__, __LINE__))
