#include "base/log.h"

#include <Poco/Channel.h>
#include <Poco/Logger.h>
#include <Poco/Message.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "base/journal.h"
#include "base/log_sink.h"

namespace gorb::base {
namespace {

std::atomic<LogLevel> wanted{LogLevel::info};

constexpr std::string_view names[] = {"error", "warning", "info", "debug"};

bool control(unsigned char c) {
    return c < 0x20 || c == 0x7f;
}

void put_escaped(std::string& out, unsigned char c) {
    switch (c) {
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            break;
    }
    char hex[5];
    snprintf(hex, sizeof hex, "\\x%02x", c);
    out += hex;
}

// Control characters only, so what has been through it once passes unchanged.
void put_message(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (control(static_cast<unsigned char>(c))) {
            put_escaped(out, static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
}

void put_value(std::string& out, std::string_view value) {
    bool quotes = value.empty();
    for (const char c : value) {
        quotes |= c == ' ' || c == '"' || c == '=' || c == '\\' || control(static_cast<unsigned char>(c));
    }
    if (!quotes) {
        out += value;
        return;
    }
    out += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        if (control(static_cast<unsigned char>(c))) {
            put_escaped(out, static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
    out += '"';
}

void put_line(std::string& out, LogLevel level, std::string_view message, std::span<const LogField> fields) {
    out += log_level_text(level);
    out += ' ';
    put_message(out, message);
    for (const LogField& field : fields) {
        out += ' ';
        put_message(out, field.key);
        out += '=';
        put_value(out, field.value);
    }
}

LogLevel level_of(Poco::Message::Priority priority) {
    if (priority <= Poco::Message::PRIO_ERROR) return LogLevel::error;
    if (priority == Poco::Message::PRIO_WARNING) return LogLevel::warning;
    return priority <= Poco::Message::PRIO_INFORMATION ? LogLevel::info : LogLevel::debug;
}

Poco::Message::Priority priority_of(LogLevel level) {
    switch (level) {
        case LogLevel::error:
            return Poco::Message::PRIO_ERROR;
        case LogLevel::warning:
            return Poco::Message::PRIO_WARNING;
        case LogLevel::info:
            return Poco::Message::PRIO_INFORMATION;
        case LogLevel::debug:
            break;
    }
    return Poco::Message::PRIO_DEBUG;
}

// systemd.exec(5): JOURNAL_STREAM holds device and inode of the journal's stream. It is inherited by whatever
// is started later, with stderr elsewhere, so its presence alone says nothing.
bool stderr_is_journal() {
    const char* stream = getenv("JOURNAL_STREAM");
    struct stat st {};
    if (!stream || fstat(STDERR_FILENO, &st) != 0) return false;
    return std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) == stream;
}

// With stamp or priority, and its end.
std::string whole_line(LogLevel level, std::string_view line) {
    std::string out;
    out.reserve(line.size() + 32);
    out += journal_prefix(level);
    if (out.empty()) {
        out += wall_text(SystemClock().wall());
        out += ' ';
    }
    out += line;
    out += '\n';
    return out;
}

std::string lost_line(uint64_t lost) {
    const LogField lines{"lines", std::to_string(lost)};
    return whole_line(
        LogLevel::warning,
        log_line(LogLevel::warning,
                 "lines of the log were lost: nobody read them in time, or they could not be written",
                 {&lines, 1}));
}

// Kept for good: threads may log while static objects are destroyed.
LogSink& sink() {
    static LogSink* const only = [] {
        auto* made = new LogSink(STDERR_FILENO, &lost_line);
        pthread_atfork([] { sink().before_fork(); }, [] { sink().after_fork_in_parent(); },
                       [] { sink().after_fork_in_child(); });
        return made;
    }();
    return *only;
}

// What Poco's own classes log comes out in the same form.
class StderrChannel final : public Poco::Channel {
  public:
    void log(const Poco::Message& message) override {
        const LogLevel level = level_of(message.getPriority());
        if (!log_wants(level)) return;
        if (message.getSource() == own_source) {
            sink().write(whole_line(level, message.getText()));
        } else {
            const LogField source{"source", message.getSource()};
            sink().write(whole_line(level, log_line(level, message.getText(), {&source, 1})));
        }
    }
    static constexpr const char* own_source = "gorb";
};

// Kept for good, too.
Poco::Logger& root() {
    static Poco::Logger* const logger = [] {
        Poco::Logger& r = Poco::Logger::root();
        r.duplicate();
        r.setChannel(Poco::AutoPtr<Poco::Channel>(new StderrChannel));
        r.setLevel(Poco::Message::PRIO_TRACE);  // log_wants() decides
        return &r;
    }();
    return *logger;
}

}  // namespace

// SD_ERR, SD_WARNING, SD_INFO, SD_DEBUG
std::string_view journal_prefix(LogLevel level) {
    static const bool journal = stderr_is_journal();
    constexpr std::string_view prefixes[] = {"<3>", "<4>", "<6>", "<7>"};
    return journal ? prefixes[static_cast<size_t>(level) - 1] : std::string_view();
}

Result<LogLevel> parse_log_level(std::string_view text) {
    for (size_t i = 0; i < std::size(names); ++i) {
        if (text == names[i]) return static_cast<LogLevel>(i + 1);
    }
    return fail(Errc::invalid, "\"" + std::string(text.substr(0, 64)) +
                                   "\" is not a log level; they are error, warning, info and debug");
}

std::string_view log_level_text(LogLevel level) {
    return names[static_cast<size_t>(level) - 1];
}

void set_log_level(LogLevel level) {
    wanted.store(level, std::memory_order_relaxed);
}
LogLevel log_level() {
    return wanted.load(std::memory_order_relaxed);
}

std::string log_line(LogLevel level, std::string_view message, std::span<const LogField> fields) {
    std::string out;
    put_line(out, level, message, fields);
    return out;
}

void log(LogLevel level, std::string_view message, std::span<const LogField> fields) {
    if (!log_wants(level)) return;
    root().log(
        Poco::Message(StderrChannel::own_source, log_line(level, message, fields), priority_of(level)));
}

bool flush_log(std::chrono::milliseconds longest) {
    return sink().flush(longest);
}

uint64_t log_lines_lost() {
    return sink().lost();
}

}  // namespace gorb::base
