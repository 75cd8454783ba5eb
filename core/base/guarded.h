// Guarded<T>: a value that can be reached only while its lock is held.
#pragma once
#include <mutex>
#include <utility>

namespace gorb::base {

template <class T>
class Guarded {
  public:
    template <class... Args>
    explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

    // Runs fn(T&) under the lock and gives back what it returns. Keep it short, and call nothing of another
    // room.
    template <class Fn>
    decltype(auto) with(Fn&& fn) {
        std::lock_guard lock(mutex_);
        return std::forward<Fn>(fn)(value_);
    }
    template <class Fn>
    decltype(auto) with(Fn&& fn) const {
        std::lock_guard lock(mutex_);
        return std::forward<Fn>(fn)(static_cast<const T&>(value_));
    }

  private:
    mutable std::mutex mutex_;
    T value_;
};

}  // namespace gorb::base
