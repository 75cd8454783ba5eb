// A small stepped event loop: real descriptors (epoll), timers in a clock that the test moves (or the real
// one).
//
// Part of gorb/testing.hpp. Threads: all on the thread that made it, except post(), wake() and now().
#ifndef GORB_TESTING_LOOP_HPP
#define GORB_TESTING_LOOP_HPP
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace gorb::testing {

enum class Clock { manual, real };

class FakeLoop {
  public:
    enum Events : uint32_t { readable = 1, writable = 2 };  // as GORB_READABLE, GORB_WRITABLE

    explicit FakeLoop(Clock clock)
        : clock_(clock), epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        if (epoll_ < 0 || wake_ < 0) throw std::runtime_error("no descriptor left for a loop");
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = 0;  // no watch has this id
        epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
    }
    ~FakeLoop() {
        close(wake_);
        close(epoll_);
    }
    FakeLoop(const FakeLoop&) = delete;
    FakeLoop& operator=(const FakeLoop&) = delete;

    uint64_t now() const {
        if (clock_ == Clock::manual) return now_.load();
        const auto since = std::chrono::steady_clock::now().time_since_epoch();
        return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
    }
    // Moves the manual clock; timers fire in order, each in a turn at its own time. Then one turn.
    void advance(std::chrono::nanoseconds by) {
        if (clock_ != Clock::manual) throw std::logic_error("the real clock can not be moved");
        const uint64_t target = now_.load() + static_cast<uint64_t>(by.count());
        while (!timers_.empty() && timers_.begin()->first.first <= target) {
            now_ = std::max(now_.load(), timers_.begin()->first.first);
            step();
        }
        now_ = target;
        step();
    }
    // Time goes on and the loop does not, as in a process that is stopped: what was due is late at the next
    // turn.
    void stand_still(std::chrono::nanoseconds by) {
        if (clock_ != Clock::manual) throw std::logic_error("the real clock can not be moved");
        now_ += static_cast<uint64_t>(by.count());
    }
    bool on_thread() const { return std::this_thread::get_id() == thread_; }

    int watch(int fd, uint32_t events, std::function<void(uint32_t)> fn) {
        auto old = fds_.find(fd);
        if (old != fds_.end()) {
            watches_.erase(old->second);
            fds_.erase(old);
            epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
        }
        if (events == 0) return 0;
        epoll_event event{};
        event.events = ((events & readable) ? EPOLLIN : 0u) | ((events & writable) ? EPOLLOUT : 0u);
        event.data.u64 = ++last_watch_;
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return -errno;
        fds_[fd] = last_watch_;
        watches_[last_watch_] = std::make_shared<WatchFn>(std::move(fn));
        return 0;
    }

    uint64_t at(uint64_t when, std::function<void()> fn) {
        timers_[{when, ++last_timer_}] = std::move(fn);
        when_[last_timer_] = when;
        return last_timer_;
    }
    bool cancel(uint64_t timer) {
        auto found = when_.find(timer);
        if (found == when_.end()) return false;
        timers_.erase({found->second, timer});
        when_.erase(found);
        return true;
    }

    void post(std::function<void()> fn) {  // [any]
        {
            std::lock_guard<std::mutex> lock(mutex_);
            posts_.push_back(std::move(fn));
        }
        wake();
    }
    void wake() {  // [any]
        const uint64_t one = 1;
        if (write(wake_, &one, sizeof one) < 0) return;  // full means awake already
    }

    // One turn, in gorbd's order: what was posted, ready descriptors, due timers; waits for any at most
    // `wait`. What these post or arm anew is for the next turn.
    void step(std::chrono::milliseconds wait = std::chrono::milliseconds(0)) {
        epoll_event ready[64];
        const int count = epoll_wait(epoll_, ready, 64, timeout(wait));
        const uint64_t time = now();
        run_posts();
        const uint64_t last = last_timer_;
        for (int i = 0; i < count; ++i) {
            const uint64_t id = ready[i].data.u64;  // a copy: the struct is packed
            if (id == 0) {
                uint64_t sum = 0;
                if (read(wake_, &sum, sizeof sum) < 0) continue;
                continue;
            }
            auto found = watches_.find(id);  // may be forgotten by an event before this one
            if (found == watches_.end()) continue;
            uint32_t events = 0;
            if (ready[i].events & EPOLLIN) events |= readable;
            if (ready[i].events & EPOLLOUT) events |= writable;
            if (ready[i].events & (EPOLLERR | EPOLLHUP)) events |= readable | writable;
            const std::shared_ptr<WatchFn> fn = found->second;
            (*fn)(events);
        }
        fire_due(time, last);
    }

    // Turns until `done` says true. Bounded by real time: false when `limit` has passed.
    bool run_until(const std::function<bool()>& done,
                   std::chrono::milliseconds limit = std::chrono::seconds(10)) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!done()) {
            if (std::chrono::steady_clock::now() >= end) return false;
            step(std::chrono::milliseconds(10));
        }
        return true;
    }

  private:
    using WatchFn = std::function<void(uint32_t)>;

    int timeout(std::chrono::milliseconds wait) const {
        if (timers_.empty()) return static_cast<int>(wait.count());
        if (clock_ == Clock::manual)
            return timers_.begin()->first.first <= now() ? 0 : static_cast<int>(wait.count());
        const uint64_t when = timers_.begin()->first.first, time = now();
        const uint64_t ms = when > time ? (when - time) / 1000000 + 1 : 0;
        return static_cast<int>(std::min<uint64_t>(ms, static_cast<uint64_t>(wait.count())));
    }
    void run_posts() {
        std::vector<std::function<void()>> posts;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            posts.swap(posts_);
        }
        for (auto& fn : posts) fn();
    }
    // Of those armed up to `last`.
    void fire_due(uint64_t time, uint64_t last) {
        std::vector<uint64_t> due;
        for (auto& [key, fn] : timers_) {
            if (key.first > time) break;
            if (key.second <= last) due.push_back(key.second);
        }
        for (uint64_t id : due) {
            auto found = when_.find(id);  // may be cancelled by a timer before this one
            if (found == when_.end()) continue;
            auto node = timers_.extract({found->second, id});
            when_.erase(found);
            node.mapped()();
        }
    }

    const Clock clock_;
    const std::thread::id thread_ = std::this_thread::get_id();
    std::atomic<uint64_t> now_{1000000000};
    const int epoll_, wake_;
    std::map<int, uint64_t> fds_;
    std::map<uint64_t, std::shared_ptr<WatchFn>> watches_;
    uint64_t last_watch_ = 0;
    std::map<std::pair<uint64_t, uint64_t>, std::function<void()>> timers_;  // (when, id)
    std::map<uint64_t, uint64_t> when_;                                      // id -> when
    uint64_t last_timer_ = 0;
    std::mutex mutex_;
    std::vector<std::function<void()>> posts_;
};

}  // namespace gorb::testing
#endif  // GORB_TESTING_LOOP_HPP
