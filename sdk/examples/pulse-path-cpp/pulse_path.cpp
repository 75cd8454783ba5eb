// Example in C++ that has to block: pulse "path". Passes when a path on this machine can be read, and its
// filesystem has room. Such a call hangs as long as it likes when the path is on a network filesystem, so it
// runs on a worker (gorb.work/1).
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <gorb/plugin.hpp>

namespace {

using namespace gorb::sdk;

// The blocking part: made once for each target, check() is called on a worker thread, never twice at once.
class PathCheck {
  public:
    explicit PathCheck(const Target& target)
        : path_(target.args().text("path").value_or("")),
          free_(target.args().integer("min-free").value_or(0)) {}

    Result check(uint64_t /*deadline_ns*/) {
        if (access(path_.c_str(), R_OK) != 0) return Result::fail(path_ + ": " + errno_words(errno), errno);
        struct statvfs fs {};
        if (statvfs(path_.c_str(), &fs) != 0) return Result::fail(path_ + ": " + errno_words(errno), errno);
        const int64_t free = fs.f_blocks ? static_cast<int64_t>(fs.f_bavail * 100 / fs.f_blocks) : 100;
        const std::string words = std::to_string(free) + "% free at " + path_;
        return free < free_ ? Result::fail(words + ", less than " + std::to_string(free_) + "%")
                            : Result::pass(words);
    }

  private:
    const std::string path_;
    const int64_t free_;
};

struct PathPulse : BlockingPulse<PathCheck> {
    static constexpr const char *name = "path", *version = "1.0.0", *summary = "reads a path on this machine";
    static constexpr gorb_option args[] = {
        {"path", GORB_TEXT, GORB_REQUIRED, nullptr, nullptr, "an absolute path"},
        {"min-free", GORB_INT, 0, "0", "0..100", "per cent of its filesystem that must be free"},
    };
    static void check(const Config& config) {
        if (config.text("path").value_or("").substr(0, 1) != "/") throw Error("\"path\" must begin with /");
    }
    using BlockingPulse::BlockingPulse;
};

}  // namespace

GORB_PULSE(PathPulse)
