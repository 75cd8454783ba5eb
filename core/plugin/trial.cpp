#include "plugin/trial.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "plugin/text.h"

namespace gorb::plugin {
namespace {

constexpr const char* alive = "alive";

void say(int out, const char* words) noexcept {
    [[maybe_unused]] const auto written = write(out, words, std::strlen(words));
}

[[noreturn]] void child(const char* file, int out) noexcept {
    prctl(PR_SET_DUMPABLE, 0);  // its end is expected and needs no core file
    // dlopen() is declared as one that does not throw, and the compiler would believe it.
    void* (*const volatile open)(const char*, int) = &dlopen;
    try {
        (void)open(file, RTLD_NOW | RTLD_LOCAL);
        say(out, alive);
    } catch (const std::exception& e) {
        say(out, e.what());
    } catch (...) {
        say(out, "something that is no std::exception");
    }
    _exit(0);
}

}  // namespace

base::Status try_library(const std::filesystem::path& file, std::chrono::milliseconds limit) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return {};  // no trial is better than no plugins
    const pid_t pid = fork();
    if (pid == 0) child(file.c_str(), ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return {};
    }
    pollfd waiting{ends[0], POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(limit.count()));
    std::array<char, 256> words{};
    const ssize_t size = ready == 1 ? read(ends[0], words.data(), words.size()) : 0;
    close(ends[0]);
    if (ready == 0) kill(pid, SIGKILL);
    int status = 0;
    pid_t waited = 0;
    do {
        waited = waitpid(pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    const std::string_view said(words.data(), size > 0 ? static_cast<size_t>(size) : 0);
    if (said == alive) return {};
    if (!said.empty()) {
        return base::fail(base::Errc::unsupported,
                          "can not be loaded: a constructor in it threw: " + clean_text(said, 256));
    }
    std::string why = "it ends";
    if (ready == 0) {
        why = "it takes more than " + std::to_string(limit.count()) + " ms";
    } else if (waited == pid && WIFSIGNALED(status)) {
        why = std::string("signal ") + std::to_string(WTERMSIG(status)) + ", " + strsignal(WTERMSIG(status));
    } else if (waited == pid && WIFEXITED(status)) {
        why = "exit status " + std::to_string(WEXITSTATUS(status));
    }
    return base::fail(base::Errc::unsupported,
                      "can not be loaded: a constructor in it ends the process (" + why + ")");
}

}  // namespace gorb::plugin
