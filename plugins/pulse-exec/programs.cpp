#include "programs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <thread>

namespace pulse_exec {

namespace {

using gorb::sdk::Config;
using gorb::sdk::Error;
using gorb::sdk::Host;
using std::chrono::milliseconds;

constexpr size_t piece = 64 * 1024;      // read at once
constexpr size_t quick_bytes = 1 << 20;  // of one program; beyond, a piece each `pause`
constexpr milliseconds pause{20};
constexpr milliseconds poll_interval{10};  // where the kernel has no pidfd
constexpr milliseconds orphan_time{1000};  // in which who was killed is gone and the orphan of process 1
constexpr milliseconds patience{10};       // at the end, for those that were killed to be gone

Descriptor open_null() {
    Descriptor fd = above_three(Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
    if (!fd) throw Error("/dev/null can not be opened", errno);
    return fd;
}

std::string folder_of(const Config& options) {
    return std::string(options.text("directory").value_or("/etc/gorb/checks"));
}

// Waits until the process has ended, at most until `end`; true when it is reaped.
bool reaped(pid_t pid, int pidfd, std::chrono::steady_clock::time_point end) {
    for (;;) {
        if (reap(pid)) return true;
        const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        pollfd ready{pidfd, POLLIN, 0};
        poll(&ready, pidfd >= 0 ? 1 : 0, pidfd >= 0 ? static_cast<int>(left.count()) : 1);
    }
}

}  // namespace

struct Programs::Running {
    Running(const Host& host, Child made, Job* owner)
        : child(std::move(made)), job(owner), exit(host), output(host), timer(host), pause_timer(host) {}

    Child child;
    Job* job;  // nullptr: killed, nobody waits for it
    std::string text;
    size_t bytes = 0;  // that came, kept or not
    // After the descriptors they watch: they end before these are closed.
    gorb::sdk::Watch exit, output;
    gorb::sdk::Timer timer, pause_timer;
};

Programs::Programs(const Host& host, const Config& options)
    : host_(host),
      folder_(folder_of(options)),
      most_(static_cast<size_t>(options.integer("max-running").value_or(32))),
      null_(open_null()),
      reaper_(host),
      inherits_(inherits_orphans()) {
    const auto name = options.text("user");
    if (name && !name->empty()) user_ = User::find(std::string(*name));
    if (!user_ && geteuid() == 0)
        host_.warn("programs run as root; \"user\" in [plugin.exec] names another one",
                   {{"folder", folder_.path()}});
}

Programs::~Programs() {
    waiting_.clear();
    std::vector<Child> left;
    for (Running& running : running_) {
        running.exit.stop();
        running.output.stop();
        kill_group(running.child.pid);
        left.push_back(std::move(running.child));
    }
    running_.clear();
    const auto end = std::chrono::steady_clock::now() + patience;
    left.erase(std::remove_if(left.begin(), left.end(),
                              [&](const Child& child) { return reaped(child.pid, child.exit.get(), end); }),
               left.end());
    if (left.empty()) return;
    // Killed, but the kernel takes its time (a sleeping disk): the loop does not wait for that.
    try {
        std::thread([children = std::move(left)] {
            for (const Child& child : children)
                reaped(child.pid, child.exit.get(), std::chrono::steady_clock::now() + std::chrono::hours(1));
        }).detach();
    } catch (const std::exception& e) {
        host_.warn("killed programs are left to whoever reaps orphans", {{"reason", e.what()}});
    }
}

const Programs::Running* Programs::find(const Job& job) const {
    for (const Running& running : running_)
        if (running.job == &job) return &running;
    return nullptr;
}

Programs::State Programs::state(const Job& job) const {
    if (find(job)) return State::running;
    return std::find(waiting_.begin(), waiting_.end(), &job) != waiting_.end() ? State::waiting : State::none;
}

std::string_view Programs::output(const Job& job) const {
    const Running* running = find(job);
    return running ? std::string_view(running->text) : std::string_view();
}

void Programs::run(Job& job) {
    waiting_.push_back(&job);
    start_waiting();
}

void Programs::drop(Job& job) {
    waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), &job), waiting_.end());
    for (Running& running : running_) {
        if (running.job != &job) continue;
        running.job = nullptr;
        running.output.stop();
        running.pause_timer.cancel();
        running.child.output.reset();
        kill_group(running.child.pid);  // its place is free once it is reaped
        return;
    }
}

void Programs::start_waiting() {
    if (starting_) return;  // refused() may lead back here
    starting_ = true;
    while (running_.size() < most_ && !waiting_.empty()) {
        Job& job = *waiting_.front();
        waiting_.pop_front();
        try {
            start(job);
        } catch (const Error& e) {
            job.refused(e.what(), e.number());
        } catch (const std::exception& e) {
            job.refused(e.what(), 0);
        }
    }
    starting_ = false;
}

void Programs::start(Job& job) {
    const Descriptor folder = folder_.open(job.file());
    const Program program = job.program(folder.get());
    running_.emplace_back(host_, spawn(program, null_.get(), stack_), &job);
    Running& running = running_.back();
    try {
        watch(running);
    } catch (...) {
        running.job = nullptr;
        kill_group(running.child.pid);
        // Nothing tells of its end, so this one wait is made here; a killed process is gone at once.
        running.exit.stop();
        running.output.stop();
        reaped(running.child.pid, running.child.exit.get(), std::chrono::steady_clock::now() + patience);
        running_.pop_back();
        throw;
    }
}

void Programs::watch(Running& running) {
    running.output.start(running.child.output.get(), GORB_READABLE,
                         [this, &running](uint32_t) { read(running); });
    if (running.child.exit)
        running.exit.start(running.child.exit.get(), GORB_READABLE,
                           [this, &running](uint32_t) { look(running); });
    else
        running.timer.after(poll_interval, [this, &running] { look(running); });
}

// Takes what has come: keeps the beginning, drops the rest. One that writes without end gets no more of this
// loop than a piece each `pause`.
void Programs::read(Running& running) {
    std::array<char, piece> buffer;  // NOLINT: filled by read()
    const ssize_t size = ::read(running.child.output.get(), buffer.data(), buffer.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {  // all ends are closed; the process may go on
        running.output.stop();
        running.child.output.reset();
        return;
    }
    const auto count = static_cast<size_t>(size);
    running.bytes += count;
    running.text.append(buffer.data(), std::min(count, most_output - running.text.size()));
    if (running.bytes < quick_bytes) return;
    running.output.stop();
    running.pause_timer.after(pause, [this, &running] {
        running.output.start(running.child.output.get(), GORB_READABLE,
                             [this, &running](uint32_t) { read(running); });
    });
}

void Programs::look(Running& running) {
    siginfo_t info{};
    // Left as it is until finish(), so that its number stays its own.
    const bool lost =
        waitid(P_PID, static_cast<id_t>(running.child.pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0;
    if (lost) running.child.pid = -1;  // somebody else has taken it, and the number may be another process's
    if (lost || info.si_pid != 0) return finish(running);
    if (!running.child.exit) running.timer.after(poll_interval, [this, &running] { look(running); });
}

void Programs::finish(Running& running) {
    // What it wrote last may not be read yet; what its children still write is not waited for. Its place is
    // free again, whatever comes of that.
    if (running.child.output && running.text.size() < most_output)
        host_.guarded("output", [&] { read(running); });
    // While it is not reaped its number is nobody else's.
    kill_group(running.child.pid);
    const pid_t pid = running.child.pid;
    const End end = pid > 0 ? reap(pid).value_or(End{-1, 0}) : End{-1, 0};
    Job* job = running.job;
    const std::string text = std::move(running.text);
    running_.remove_if([&](const Running& one) { return &one == &running; });
    if (inherits_ && pid > 0) left_.emplace_back(pid, host_.now());
    if (!left_.empty() && !reaper_.armed())
        host_.guarded("timer", [this] { reaper_.after(orphan_time, [this] { reap_left(); }); });
    if (job) job->ended(end, text);
    start_waiting();
}

void Programs::reap_left() {
    const auto long_ago = static_cast<uint64_t>(std::chrono::nanoseconds(orphan_time).count());
    const uint64_t now = host_.now();
    left_.erase(std::remove_if(
                    left_.begin(), left_.end(),
                    [&](const auto& one) { return reap_group(one.first) && now - one.second >= long_ago; }),
                left_.end());
    if (!left_.empty()) reaper_.after(orphan_time, [this] { reap_left(); });
}

}  // namespace pulse_exec
