// Calls a function from a thread of its own when a scope takes longer than it may.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace gorb::app {

class Deadline {
  public:
    Deadline(std::chrono::milliseconds limit, std::function<void()> passed)
        : thread_([this, limit, passed = std::move(passed)] {
              std::unique_lock lock(mutex_);
              if (!changed_.wait_for(lock, limit, [this] { return over_; })) passed();
          }) {}
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

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_;  // last: it uses what stands above
};

}  // namespace gorb::app
