// A bounded pool of threads for code that has to block, or takes long.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace gorb::io {

class Workers {
  public:
    // Whether they give way to all others (give_way()): a check that blocks is a check like the others.
    enum class Priority : uint8_t { usual, gives_way };
    // `threads` threads (started when first needed), at most `queue` jobs waiting. `name`: what the kernel
    // shows of the threads, at most 15 characters, for good.
    Workers(size_t threads, size_t queue, const char* name = "worker", Priority priority = Priority::usual);
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
