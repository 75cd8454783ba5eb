// One thread's event loop: file descriptors (epoll), timers (a wheel of 10 ms slots), and work posted from
// outside.
//
// Threads: run() makes the calling thread the loop's thread. Functions marked [any] may be called by any
// thread, all others by the loop's thread only (or before run() is called, or after it has returned). While
// that one is at what it does between turns (Between), another may be the loop's thread for it: stand_in().
//
// Cost: watch, at, cancel are O(1); a turn makes one epoll_wait.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace gorb::io {

enum Events : uint32_t { readable = 1, writable = 2 };

using TimerId = uint64_t;  // 0 is never a timer

class SocketPool;

class Loop {
  public:
    // `name` is the thread's name ("loop-0") and stands in log lines. The clock is the system's unless a test
    // steps its own with step().
    explicit Loop(std::string name, const base::Clock* clock = nullptr);
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    // Level-triggered; errors and hang-ups come as both events. A second call for one fd replaces
    // the first; events == 0 forgets it, which must happen before the fd is closed. `fn` may watch, forget
    // and close any fd.
    base::Status watch(int fd, uint32_t events, std::function<void(uint32_t events)> fn);

    // The same without a std::function and edge-triggered: for sockets that are registered once and then see
    // many events. `epoll_events` are EPOLLIN, EPOLLOUT, EPOLLRDHUP ... (EPOLLET is added), and fn gets what
    // epoll reports. It hears of changes only, so it has to read and write until there is nothing left to do.
    // `arg` must live until the descriptor is forgotten, with watch(fd, 0, nullptr).
    using EdgeFn = void (*)(void* arg, uint32_t epoll_events);
    base::Status watch_edges(int fd, uint32_t epoll_events, EdgeFn fn, void* arg);
    // From now on the events of a descriptor that is watched by edges come to another fn(arg), without a word
    // to the kernel. Those of this turn may be of what was before: see turn().
    void hand_edges(int fd, EdgeFn fn, void* arg);
    // Forgets the descriptor and closes it, with one call of the kernel less than one after the other: what
    // is closed leaves epoll by itself. For those that nobody holds a copy of.
    void close(int fd);
    // Counts the turns. An event that is delivered in a turn tells nothing of what was begun in that turn.
    uint64_t turn() const;
    // Up to when the events of this turn were fetched; outside a turn, now.
    uint64_t fetched_at() const;

    // Calls fn once, at or up to one slot (10 ms) after `when` (monotonic ns). A time that has passed means
    // the next turn.
    TimerId at(uint64_t when, std::function<void()> fn);
    void cancel(TimerId timer);  // 0 and timers that have fired are ignored

    // [any] Runs fn on the loop's thread, in the order posted. After stop() it is dropped.
    void post(std::function<void()> fn);

    // What the thread that runs the loop does after a turn if `left`, which may be asked often, says that
    // there is something; after turns that do not wait, if these bring more. The loop is not held meanwhile:
    // its thread is none, or whoever stands in.
    struct Between {
        std::function<size_t()> left;
        std::function<void()> work;
    };
    void between_turns(Between between);  // before run()

    // Until stop(). Each turn: posted work, ready descriptors, due timers.
    void run();
    // [any other thread] Runs the loop for as long as run() is at work between two turns, or until stop(). Is
    // it not, this is over at once.
    void stand_in();
    void stop();  // [any]
    // [any other thread] After stop(): returns when no turn runs, and none will.
    void wait_over();
    // One turn without waiting, for tests with a ManualClock. Returns whether anything was done.
    bool step();

    // The TCP sockets of all who open connections on this loop, so that what rests of one makes room for
    // another. Made when first asked for.
    SocketPool& sockets();

    uint64_t now() const { return clock_->now(); }  // [any]
    const base::Clock& clock() const { return *clock_; }
    bool on_loop_thread() const;  // [any]
    const std::string& name() const { return name_; }

    // [any] For a watchdog. Since when (monotonic ns) the present turn has been busy, 0 while waiting in
    // epoll.
    uint64_t busy_since() const { return busy_since_.load(std::memory_order_relaxed); }
    // [any] What the loop is doing, for the watchdog's words. `what` must have static storage or outlive the
    // loop.
    void set_activity(const char* what) { activity_.store(what, std::memory_order_release); }
    const char* activity() const { return activity_.load(std::memory_order_acquire); }

  private:
    struct Impl;
    bool turn_once(bool waits);
    bool gather();

    std::unique_ptr<Impl> impl_;
    const base::Clock* clock_;
    std::string name_;
    std::atomic<uint64_t> busy_since_{0};
    std::atomic<const char*> activity_{nullptr};
};

}  // namespace gorb::io
