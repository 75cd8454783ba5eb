#include "plugin/trial.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>

#include "plugin/entry.h"
#include "plugin/text.h"

namespace gorb::plugin {
namespace {

// What the child has come to, a byte of the pipe for each; `done` where it has survived them all, and `threw`
// with words behind it where a constructor threw.
namespace stage {
constexpr char constructors = 'c', tables = 't', load = 'l', done = '.', threw = '!';
}

const char* in_words(char reached) {
    switch (reached) {
        case stage::tables:
            return "reading its tables";
        case stage::load:
            return "its load()";
        default:
            return "a constructor in it";
    }
}

void say(int out, char reached, const char* words = "") noexcept {
    const std::array<iovec, 2> parts = {iovec{&reached, 1},
                                        iovec{const_cast<char*>(words), std::strlen(words)}};
    [[maybe_unused]] const auto written = writev(out, parts.data(), parts.size());
}

// What Registry does with a library, but for its words: whoever loads it next says them.
void use(void* library, const char* file, int out) {
    const void* const symbol = library ? dlsym(library, entry_symbol) : nullptr;
    if (!symbol) return;
    say(out, stage::tables);
    const auto& entry = *static_cast<const gorb_entry*>(symbol);
    const auto offered = read_entry(entry, file);
    if (!offered || offered->plugins.empty() || !entry.load) return;
    say(out, stage::load);
    gorb_error error{};
    entry.load(&error);
}

[[noreturn]] void child(const char* file, int out) noexcept {
    prctl(PR_SET_DUMPABLE, 0);  // its end is expected and needs no core file
    say(out, stage::constructors);
    // dlopen() is declared as one that does not throw, and the compiler would believe it.
    void* (*const volatile open)(const char*, int) = &dlopen;
    void* library = nullptr;
    try {
        library = open(file, RTLD_NOW | RTLD_LOCAL);
    } catch (const std::exception& e) {
        say(out, stage::threw, e.what());
        _exit(0);
    } catch (...) {
        say(out, stage::threw, "something that is no std::exception");
        _exit(0);
    }
    try {
        use(library, file, out);
    } catch (...) {  // of load(): caught where it counts as well
    }
    say(out, stage::done);
    _exit(0);
}

// All that the child says until it ends or `limit` has passed; `late`: it has.
std::string listen_to(int in, std::chrono::milliseconds limit, bool& late) {
    const auto end = std::chrono::steady_clock::now() + limit;
    std::string said;
    for (std::array<char, 512> bytes{};;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd waiting{in, POLLIN, 0};
        const int ready = poll(&waiting, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
        if (ready < 0 && errno == EINTR) continue;
        late = ready == 0;
        const ssize_t size = ready == 1 ? read(in, bytes.data(), bytes.size()) : 0;
        if (size <= 0) return said;
        said.append(bytes.data(), static_cast<size_t>(size));
        // A process that the library has started may hold the pipe for longer than its trial lasts.
        if (said.find(stage::done) != std::string::npos || said.find(stage::threw) != std::string::npos)
            return said;
    }
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
    bool late = false;
    const std::string said = listen_to(ends[0], limit, late);
    close(ends[0]);
    if (late) kill(pid, SIGKILL);
    int status = 0;
    pid_t waited = 0;
    do {
        waited = waitpid(pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    const auto refuse = [](const std::string& why) {
        return base::fail(base::Errc::unsupported, "can not be loaded: " + why);
    };
    if (const size_t at = said.find(stage::threw); at != std::string::npos)
        return refuse("a constructor in it threw: " + clean_text(said.substr(at + 1), 256));
    if (said.ends_with(stage::done)) return {};
    const std::string who = in_words(said.empty() ? stage::constructors : said.back());
    if (late) return refuse(who + " takes more than " + std::to_string(limit.count()) + " ms");
    std::string how;
    if (waited == pid && WIFSIGNALED(status)) {
        how = std::string(" (signal ") + std::to_string(WTERMSIG(status)) + ", " +
              strsignal(WTERMSIG(status)) + ")";
    } else if (waited == pid && WIFEXITED(status)) {
        how = " (exit status " + std::to_string(WEXITSTATUS(status)) + ")";
    }
    return refuse(who + " ends the process" + how);
}

}  // namespace gorb::plugin
