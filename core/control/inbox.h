// What others ask of the control thread: changes and questions in order, health as the newest value of each
// backend. Writers never wait; a backend whose health changes a hundred times before it is looked at counts
// once.
//
// Health that comes as a wave, when a rack dies and the loops tell of it in turns of some milliseconds, is
// taken in a few large parts: after `wave` changes or more the next ones are left in for `pause`. One server
// that dies is never held up by that, a rack by no more than a detection may take longer.
//
// Threads: any; take() by the control thread.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "control/change.h"
#include "health/health.h"

namespace gorb::control {

struct Submitted {
    Change change;
    Done done;
};

class Inbox {
  public:
    static constexpr size_t wave = 64;
    static constexpr std::chrono::milliseconds pause{50};

    struct Content {
        std::vector<Submitted> changes;
        std::vector<std::function<void()>> questions;
        std::vector<std::function<void()>> replies;  // to what the control thread asked of others
        std::unordered_map<model::BackendId, health::Changed> health;
        std::optional<health::Suspicion> suspicion;
        bool closed = false;
    };

    // false: closed, nothing was taken.
    bool put(Submitted change);
    bool put(std::function<void()> question);
    void put(std::span<const health::Changed> changes);
    void put(const health::Suspicion& suspicion);
    // Taken even when closed.
    void reply(std::function<void()> reply);
    // Nothing but replies comes in any more; what is in is still taken.
    void close();

    // Waits until there is something to take, or the monotonic time `until` (ns; 0: for ever), or closed.
    Content take(uint64_t until, uint64_t now);

  private:
    std::mutex mutex_;
    std::condition_variable filled_;
    Content content_;
    bool told_closed_ = false;  // take() has said so
    // Not by the clock that is stepped: it is for the machine's sake, not for what is decided.
    std::chrono::steady_clock::time_point health_at_;
};

}  // namespace gorb::control
