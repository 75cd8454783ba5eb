// Watches loops from a thread of its own and names the one that is blocked, by what it was doing: a plugin
// that sleeps on a loop holds up every check there, and without a name nobody finds it.
//
// Threads: the constructor starts one, the destructor joins it; blocked() may be called by any.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "io/loop.h"

namespace gorb::io {

// What one look at a loop tells. Pure; the watchdog keeps one for each loop.
class Blockage {
  public:
    enum class Change : uint8_t { none, blocked, goes_on };
    struct Seen {
        Change change = Change::none;
        uint64_t for_ns = 0;  // how long the turn lasted, as far as it was seen
    };
    // `busy_since` is Loop::busy_since(), `limit` how long a turn may last. Each blockage is told once, and
    // once more when it is over.
    Seen look(uint64_t busy_since, uint64_t now, uint64_t limit);
    bool blocked() const { return told_ != 0; }

  private:
    uint64_t told_ = 0;  // the beginning of the turn that was told about, 0 for none
    uint64_t last_ns_ = 0;
};

class Watchdog {
  public:
    static constexpr uint64_t default_limit = 1'000'000'000;

    // The loops must outlive it. `threaded` false: only step() looks.
    explicit Watchdog(const std::vector<const Loop*>& loops, uint64_t limit_ns = default_limit,
                      bool threaded = true);
    ~Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    // One look at every loop; logs what has changed. For the watchdog's own thread, and for tests.
    void step();
    bool blocked() const { return blocked_.load(std::memory_order_relaxed); }  // [any] is one of them, now?

  private:
    void run();

    struct Watched {
        const Loop* loop;
        Blockage blockage;
    };
    std::vector<Watched> loops_;
    uint64_t limit_;
    std::atomic<bool> blocked_{false};
    std::mutex mutex_;
    std::condition_variable ending_changed_;
    bool ending_ = false;  // under mutex_
    std::thread thread_;
};

}  // namespace gorb::io
