// A bounded pool of threads for code that has to block, or takes long. They give way to all others
// (give_way()).
#pragma once
#include <cstddef>
#include <functional>
#include <memory>

namespace gorb::io {

class Workers {
  public:
    // `threads` threads (started when first needed), at most `queue` jobs waiting.
    Workers(size_t threads, size_t queue);
    // Finishes what was accepted, then joins. A job may hold the last reference to their owner.
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // [any] false: the queue is full, the job was not taken.
    bool submit(std::function<void()> job);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // its threads', too
};

}  // namespace gorb::io
