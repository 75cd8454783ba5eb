// Pulse "exec": runs a program of the operator's, from one folder only, and judges its exit status as
// monitoring systems do.
#include <array>
#include <cstdio>
#include <gorb/plugin.hpp>

#include "arguments.h"
#include "programs.h"

namespace {

using namespace gorb::sdk;
using namespace pulse_exec;
using std::chrono::nanoseconds;

// "5.00"
std::string seconds(uint64_t ns) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2f", static_cast<double>(ns) / 1e9);
    return text.data();
}

// "5s", "250ms"
std::string in_words(uint64_t ns) {
    const uint64_t ms = (ns + 500000) / 1000000;
    if (ms < 1000) return std::to_string(ms) + "ms";
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3g", static_cast<double>(ms) / 1000);
    return std::string(text.data()) + "s";
}

class ExecPulse final : private Job {
  public:
    using Instance = Programs;
    static constexpr const char *name = "exec", *version = GORB_VERSION,
                                *summary = "runs a program, with exit statuses as Nagios plugins have them";
    static constexpr gorb_option args[] = {
        {"program", GORB_TEXT, GORB_REQUIRED, nullptr, nullptr,
         "name of a file in the folder of programs, without a path"},
        {"arguments", GORB_JSON, 0, nullptr, nullptr,
         "array of texts; {address}, {port}, {family}, {service} and {backend} stand for the target's"},
        {"warning", GORB_TEXT, 0, "pass", "pass|fail", "what exit status 1 means"},
        {"unknown", GORB_TEXT, 0, "unknown", "unknown|fail", "what exit status 3 means"},
    };
    static constexpr gorb_option options[] = {
        {"directory", GORB_TEXT, 0, "/etc/gorb/checks", nullptr,
         "the folder of programs; it and they belong to root or gorbd's user, and nobody else may write to "
         "them"},
        {"max-running", GORB_INT, 0, "32", "1..4096",
         "programs that run at once, on each event loop; further ones wait in their order"},
        {"user", GORB_TEXT, 0, nullptr, nullptr, "user to run programs as, if not gorbd's own; needs root"},
    };

    static void check(const Config& config) {
        check_name(config.text("program").value_or(""));
        read_arguments(config.json("arguments").value_or(""));
    }

    ExecPulse(Programs& programs, const Target& target)
        : programs_(programs),
          program_(target.args().text("program").value_or("")),
          strict_{target.args().text("warning") == "fail", target.args().text("unknown") == "fail"} {
        programs_.folder().open(program_);
        const Values values = values_of(target);
        arguments_.push_back(programs_.folder().path() + "/" + program_);
        for (const std::string& text : read_arguments(target.args().json("arguments").value_or("")))
            arguments_.push_back(filled(text, values));
        environment_ = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
        for (const auto& [word, value] : values) {
            std::string setting = "GORB_";
            for (const char c : word) setting += static_cast<char>(c - 'a' + 'A');
            environment_.push_back(std::move(setting.append("=").append(value)));
        }
        if (target.source().family) environment_.push_back("GORB_SOURCE=" + to_string(target.source()));
        if (!target.interface().empty())
            environment_.push_back("GORB_INTERFACE=" + std::string(target.interface()));
        if (target.fwmark()) environment_.push_back("GORB_FWMARK=" + std::to_string(target.fwmark()));
    }
    ~ExecPulse() { programs_.drop(*this); }

    void start(const Run& run) {
        run_ = run;
        began_ = programs_.host().now();
        started_ = 0;
        programs_.run(*this);
    }
    void cancel() noexcept { programs_.drop(*this); }
    // No timer of its own: only the host knows whether what was there in time has been looked at.
    void expire() {
        const uint64_t now = programs_.host().now();
        const bool waiting = programs_.state(*this) == Programs::State::waiting;
        const std::string said = first_line(programs_.output(*this));
        programs_.drop(*this);
        if (waiting) {
            run_.unknown("all " + std::to_string(programs_.most()) + " places for programs are taken",
                         EAGAIN);
            return;
        }
        const std::string words = "no exit within " + in_words(now - started_) + ", killed" +
                                  (said.empty() ? "" : "; it said: " + said);
        // Only a program that had its time is to blame.
        const bool had_time = (now - started_) * 2 >= now - began_;
        if (had_time)
            run_.fail(words, ETIMEDOUT);
        else
            run_.unknown(words + " (it waited for a place before)", EAGAIN);
    }

  private:
    const std::string& file() const override { return program_; }
    Program program(int folder) override {
        const uint64_t now = programs_.host().now();
        started_ = now;
        Program program;
        program.folder = folder;
        program.name = program_;
        program.arguments = arguments_;
        program.environment = environment_;
        const uint64_t end = run_.deadline();
        program.environment.push_back("GORB_TIMEOUT=" + seconds(now < end ? end - now : 0));
        program.user = programs_.user();
        return program;
    }
    void refused(const std::string& why, int err) override { run_.unknown(why, err); }
    void ended(const End& end, std::string_view output) override {
        if (end.status < 0) {
            run_.unknown("its exit status was taken by somebody else (SIGCHLD is ignored?)");
            return;
        }
        Result result = judge(end, output, strict_);
        result.latency = nanoseconds(programs_.host().now() - started_);
        run_.report(result);
    }

    Programs& programs_;
    Run run_;
    uint64_t began_ = 0, started_ = 0;
    const std::string program_;
    const Strictness strict_;
    std::vector<std::string> arguments_, environment_;
};

}  // namespace

GORB_PULSE(ExecPulse)
