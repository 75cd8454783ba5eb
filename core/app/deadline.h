// Calls a function from a thread of its own when a part of an end takes longer than it may. The thread is
// there from the beginning, and waits: when the end comes there may be none to be had.
#pragma once
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace gorb::app {

class Deadline {
  public:
    // `passed` is told once of the part that took longer than `limit`. Throws std::system_error where no
    // thread can be made.
    Deadline(std::chrono::milliseconds limit, std::function<void(const char* part)> passed)
        : limit_(limit), passed_(std::move(passed)), thread_([this] { run(); }) {}
    ~Deadline() {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    // Another part begins, with a limit of its own. `moves`, asked when that has passed: is it long and not
    // stuck? Then it may take as long again. It is not called after the next begin().
    void begin(const char* part, std::function<bool()> moves = nullptr) {
        const std::lock_guard lock(mutex_);
        part_ = part;
        moves_ = std::move(moves);
        ++parts_;
        changed_.notify_one();
    }

  private:
    void run() {
        pthread_setname_np(pthread_self(), "end");
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return over_ || parts_ != 0; });
        while (!over_) {
            const unsigned of = parts_;
            if (changed_.wait_for(lock, limit_, [&] { return over_ || parts_ != of; })) continue;
            if (moves_ && moves_()) continue;
            passed_(part_);
            return;
        }
    }

    const std::chrono::milliseconds limit_;
    const std::function<void(const char* part)> passed_;
    std::mutex mutex_;
    std::condition_variable changed_;
    // Under mutex_.
    bool over_ = false;
    unsigned parts_ = 0;
    const char* part_ = "";
    std::function<bool()> moves_;
    std::thread thread_;  // last: it uses what stands above
};

}  // namespace gorb::app
