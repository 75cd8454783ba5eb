#include "base/log_sink.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>

#include "base/give_back.h"
#include "base/outlet.h"

namespace gorb::base {

struct LogSink::State {
    State(int f, Told t, size_t m) : out(f), told(t), most(m) {}

    bool room(int wait_ms) const;
    void wait(int longest_ms) const;
    bool put(std::string_view& text);
    void give_up(std::string_view lines);
    void tell();
    bool drain();
    void take(std::string_view line, const std::shared_ptr<State>& self);
    void begin(const std::shared_ptr<State>& self);
    void run();

    const Outlet out;
    const Told told;
    const size_t most;
    std::mutex mutex;
    std::string waiting;  // from `at` on, and all that follows under the mutex
    size_t at = 0;
    uint64_t untold = 0;  // lost, and no line has said so
    bool within = false;  // the last byte that was written is not the end of its line
    bool torn = false;    // and the rest of that line was given up
    bool running = false, ending = false;
    bool is_socket = true;             // until it says that it is none
    std::atomic<bool> refused{false};  // by a write, although poll() had said yes
    std::atomic<uint64_t> lost{0};
};

// True as well where a write would fail.
bool LogSink::State::room(int wait_ms) const {
    pollfd one{out.fd(), POLLOUT, 0};
    return poll(&one, 1, wait_ms) > 0;
}

// Until another try may be worth it. Of a terminal poll() says yes with one byte of room, and the end of a
// line needs two.
void LogSink::State::wait(int longest_ms) const {
    constexpr int pause_ms = 10;
    if (refused) {
        poll(nullptr, 0, std::min(longest_ms, pause_ms));
    } else {
        room(longest_ms);
    }
}

// Takes off what is written, as far as there is room. False: the rest can not be written. A socket says
// itself when it is full.
bool LogSink::State::put(std::string_view& text) {
    while (!text.empty() && room(0)) {
        const std::string_view next = torn ? "\n" : text;
        const ssize_t n = is_socket ? ::send(out.fd(), next.data(), next.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                    : ::write(out.fd(), next.data(), std::min(next.size(), out.at_once()));
        if (n < 0 && errno == ENOTSOCK) is_socket = false;
        if (n < 0 && (errno == EINTR || errno == ENOTSOCK)) continue;
        refused = n < 0 && (errno == EAGAIN || errno == ENOBUFS);
        if (refused) break;
        if (n <= 0) {
            torn = within;
            return false;
        }
        within = next[static_cast<size_t>(n) - 1] != '\n';
        if (!std::exchange(torn, false)) text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}

void LogSink::State::give_up(std::string_view lines) {
    const auto many = static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
    untold += many;
    lost.fetch_add(many, std::memory_order_relaxed);
}

// While nothing waits: says how many were lost. Where that can not be written, the next line tries again.
void LogSink::State::tell() {
    if (untold == 0) return;
    const std::string line = told(untold);
    std::string_view left = line;
    if (!put(left)) return;
    untold = 0;
    waiting = left;
}

// Writes what waits, as far as there is room. True: nothing waits any more.
bool LogSink::State::drain() {
    std::string_view left = std::string_view(waiting).substr(at);
    if (!put(left)) give_up(std::exchange(left, {}));
    at = waiting.size() - left.size();
    if (left.empty()) {
        give_back(waiting);
        at = 0;
        tell();
    }
    if (at > most) waiting.erase(0, std::exchange(at, 0));
    return waiting.empty();
}

void LogSink::State::take(std::string_view line, const std::shared_ptr<State>& self) {
    const std::lock_guard lock(mutex);
    if (waiting.empty()) tell();
    if (waiting.empty()) {
        if (!put(line)) give_up(std::exchange(line, {}));
        if (line.empty()) return;
    } else if (waiting.size() - at + line.size() > most) {
        return give_up(line);
    }
    waiting += line;
    if (!running) begin(self);
}

void LogSink::State::begin(const std::shared_ptr<State>& self) {
    // The program's signals are not for this thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread([self] { self->run(); }).detach();
        running = true;
    } catch (const std::exception&) {
        // The next line tries again.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LogSink::State::run() {
    pthread_setname_np(pthread_self(), "log");
    std::unique_lock lock(mutex);
    while (!ending && !drain()) {
        lock.unlock();
        wait(100);  // and then look whether there is an end
        lock.lock();
    }
    running = false;
}

LogSink::LogSink(int fd, Told told, size_t most) : state_(std::make_shared<State>(fd, told, most)) {}

LogSink::~LogSink() {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
}

void LogSink::write(std::string_view line) {
    state_->take(line, state_);
}

bool LogSink::flush(std::chrono::milliseconds longest) {
    const auto end = std::chrono::steady_clock::now() + longest;
    while (true) {
        {
            const std::lock_guard lock(state_->mutex);
            if (state_->drain()) return true;
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        state_->wait(static_cast<int>(left.count()));
    }
}

uint64_t LogSink::lost() const {
    return state_->lost.load(std::memory_order_relaxed);
}

void LogSink::before_fork() {
    state_->mutex.lock();
}

void LogSink::after_fork_in_parent() {
    state_->mutex.unlock();
}

void LogSink::after_fork_in_child() {
    state_->waiting.clear();
    state_->at = 0;
    state_->untold = 0;
    state_->running = false;
    state_->mutex.unlock();
}

}  // namespace gorb::base
