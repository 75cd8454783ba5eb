// Structured log: one line of logfmt a message, to stderr through Poco::Logger.
//
//   log_info("virtual service created", {{"service", name}, {"vip", key.text()}});
//   2024-05-01T12:00:00.123Z info virtual service created service=web vip=10.0.0.1:80/tcp
//
// Where stderr is the stream that JOURNAL_STREAM names, the stamp is left to the journal and the line begins
// with its priority, <6>. What Poco's own classes log comes out in the same form, with source=LOGGER.
// Nobody waits for whoever reads it (log_sink.h).
// Threads: any.
#pragma once
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gorb::base {

enum class LogLevel : uint8_t { error = 1, warning = 2, info = 3, debug = 4 };

Result<LogLevel> parse_log_level(std::string_view text);  // "error|warning|info|debug"
std::string_view log_level_text(LogLevel level);

void set_log_level(LogLevel level);
LogLevel log_level();
inline bool log_wants(LogLevel level) {
    return level <= log_level();
}

struct LogField {
    std::string_view key;
    std::string value;
};

// Control characters in message and values are escaped, values with spaces quoted: one message is always one
// line.
void log(LogLevel level, std::string_view message, std::span<const LogField> fields = {});

inline void log_error(std::string_view m, std::initializer_list<LogField> f = {}) {
    log(LogLevel::error, m, {f.begin(), f.size()});
}
inline void log_warning(std::string_view m, std::initializer_list<LogField> f = {}) {
    log(LogLevel::warning, m, {f.begin(), f.size()});
}
inline void log_info(std::string_view m, std::initializer_list<LogField> f = {}) {
    log(LogLevel::info, m, {f.begin(), f.size()});
}
inline void log_debug(std::string_view m, std::initializer_list<LogField> f = {}) {
    if (log_wants(LogLevel::debug)) log(LogLevel::debug, m, {f.begin(), f.size()});
}

// Before the end: waits until all is written, but no longer than that. False: something is not.
bool flush_log(std::chrono::milliseconds longest);
// Lines that went lost since nobody read them in time or they could not be written.
uint64_t log_lines_lost();

// The line without stamp and newline, as log() writes it. Pure.
std::string log_line(LogLevel level, std::string_view message, std::span<const LogField> fields);

}  // namespace gorb::base
