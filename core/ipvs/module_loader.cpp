#include "ipvs/module_loader.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

namespace gorb::ipvs {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr size_t words_limit = 512;
constexpr std::chrono::seconds to_be_killed{1};

struct Pipe {
    int read_end = -1;
    int write_end = -1;
    Pipe() {
        std::array<int, 2> ends{};
        if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0) {
            read_end = ends[0];
            write_end = ends[1];
        }
    }
    ~Pipe() {
        if (read_end >= 0) close(read_end);
        close_write_end();
    }
    void close_write_end() {
        if (write_end >= 0) close(write_end);
        write_end = -1;
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
};

// Starts the program with its output in the pipe, a small environment, and no signal blocked or ignored.
int spawn(const std::string& program, const std::string& argument, int output, pid_t& pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    std::string name = program;
    std::string parameter = argument;
    std::string path = "PATH=/sbin:/usr/sbin:/bin:/usr/bin";
    std::string locale = "LC_ALL=C";
    const std::array<char*, 3> argv = {name.data(), parameter.data(), nullptr};
    const std::array<char*, 3> env = {path.data(), locale.data(), nullptr};
    const int failed = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), env.data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

void read_available(int fd, std::string& words) {
    std::array<char, 512> buffer{};
    for (int i = 0; i < 64; ++i) {  // 32 KiB at a time, more than a pipe's reader needs
        const ssize_t n = read(fd, buffer.data(), buffer.size());
        if (n <= 0) return;
        words.append(buffer.data(),
                     std::min(static_cast<size_t>(n), words_limit - std::min(words_limit, words.size())));
    }
}

// One that has been killed and has not ended: it sleeps in the kernel.
std::atomic<pid_t> left_behind{0};

// Nobody waits for it any longer, as it may be for ever.
base::Status check_left_behind(const std::string& program) {
    const pid_t pid = left_behind;
    if (pid == 0) return {};
    if (waitpid(pid, nullptr, WNOHANG) == 0) {
        return base::fail(base::Errc::unavailable,
                          program + " of before (process " + std::to_string(pid) + ") has not ended");
    }
    left_behind = 0;
    return {};
}

// false: it has not ended by then.
bool ends_by(pid_t pid, int& status, SteadyClock::time_point time) {
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (SteadyClock::now() >= time) return false;
        poll(nullptr, 0, 10);
    }
    return true;
}

// One line, without what would break a log line.
std::string one_line(std::string words) {
    while (!words.empty() && std::isspace(static_cast<unsigned char>(words.back()))) words.pop_back();
    std::replace_if(
        words.begin(), words.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    return words;
}

}  // namespace

std::span<const std::string> modprobe_places() {
    static const std::array<std::string, 4> places = {"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe",
                                                      "/usr/bin/modprobe"};
    return places;
}

base::Status load_module(const std::string& module, std::span<const std::string> programs,
                         std::chrono::milliseconds patience) {
    const auto program = std::find_if(programs.begin(), programs.end(),
                                      [](const std::string& p) { return access(p.c_str(), X_OK) == 0; });
    if (program == programs.end()) return base::fail(base::Errc::unavailable, "there is no modprobe here");

    if (auto ended = check_left_behind(*program); !ended) return ended;
    Pipe pipe;
    if (pipe.read_end < 0) return base::fail(base::Errc::unavailable, "no pipe to modprobe", errno);
    pid_t pid = 0;
    if (const int failed = spawn(*program, module, pipe.write_end, pid)) {
        return base::fail(base::Errc::unavailable, *program + " could not be run: " + std::strerror(failed),
                          failed);
    }
    pipe.close_write_end();

    std::string words;
    int status = 0;
    bool in_time = true, killed = true;
    bool output_open = true;
    const auto deadline = SteadyClock::now() + patience;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (SteadyClock::now() >= deadline) {
            in_time = false;
            kill(pid, SIGKILL);
            killed = ends_by(pid, status, SteadyClock::now() + to_be_killed);
            if (!killed) left_behind = pid;
            break;
        }
        // Until it says something, or 10 ms: its end can be seen only by asking again.
        pollfd ready{output_open ? pipe.read_end : -1, POLLIN, 0};
        poll(&ready, 1, 10);
        if (ready.revents & POLLIN) read_available(pipe.read_end, words);
        if (ready.revents & (POLLHUP | POLLERR)) output_open = false;
    }
    read_available(pipe.read_end, words);
    words = one_line(std::move(words));
    if (!in_time) {
        return base::fail(base::Errc::unavailable, *program + " " + module + " did not end within " +
                                                       std::to_string(patience.count()) + " ms" +
                                                       (killed ? "" : " and can not be killed"));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    if (words.empty()) words = *program + " failed without a word";
    return base::fail(base::Errc::unavailable, words);
}

}  // namespace gorb::ipvs
