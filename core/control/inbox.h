// What others ask of the control: changes and questions in order, health as the newest value of each backend.
// Writers never wait; a backend whose health changes a hundred times before it is looked at counts once.
//
// Health that comes as a wave, when a rack dies and the loops tell of it in turns of some milliseconds, is
// taken in a few large parts: after `wave` changes or more the next ones are left in for `pause`. One server
// that dies is never held up by that, a rack by no more than a detection may take longer.
//
// Several threads may take from it, one turn at a time: what begins with take() ends with end_turn(), and
// nobody else takes in between. Who takes is not woken for what it puts in itself, since it comes back for
// it.
//
// One thread more may help: the few changes that it puts in with put_own(), while nobody has a turn or is
// woken for one, are left to it, and nobody is woken. It takes them with take_own(), what comes of them with
// take_more(), and then it leaves, whatever there is. Whoever is woken for anything else takes all; and once
// another one has taken changes, what comes of any is not for the one that helps: it may be a large one's.
//
// Threads: any; take() and end_turn() by those of the control, these and what its name says by the one that
// helps.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
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
    static constexpr size_t most_own = 16;  // changes left to the one that helps

    struct Content {
        std::vector<Submitted> changes;
        std::vector<std::function<void()>> questions;
        std::vector<std::function<void()>> replies;  // to what the control asked of others
        std::unordered_map<model::BackendId, health::Changed> health;
        std::optional<health::Suspicion> suspicion;
        bool closed = false;
    };

    // false: closed, nothing was taken.
    bool put(Submitted change);
    bool put_own(Submitted change);
    bool put(std::function<void()> question);
    void put(std::span<const health::Changed> changes);
    void put(const health::Suspicion& suspicion);
    // What is told of health from now on is not taken, as if nobody had told it.
    void close_to_health();
    // Taken even when closed.
    void reply(std::function<void()> reply);
    // Nothing but replies comes in any more; what is in is still taken.
    void close();
    // Nothing is taken any more.
    void end();

    // Waits until nobody has a turn and there is something to take, or it is time, or closed. nullopt: ended.
    std::optional<Content> take();
    // The turn is over, and the next one is at the monotonic time `until` at the latest (ns; 0: when there is
    // something to take). `leaves`: this thread may have something else to do first.
    void end_turn(uint64_t until, uint64_t now, bool leaves);
    // Is there something to take at once?
    bool filled() const;

    // How much of put_own() there is.
    size_t own() const;
    std::optional<Content> take_own();
    // What is there, if it is nothing but replies.
    std::optional<Content> take_more();
    void leave();

  private:
    using Steady = std::chrono::steady_clock;

    template <class Put>
    bool fill(bool even_closed, Put&& put);
    bool to_wake();
    bool takes(std::thread::id thread) const;
    bool untouched() const;
    Content take_all();
    bool pausing() const { return !content_.closed && Steady::now() < health_at_; }
    bool something() const;
    // When the turn is due if nothing comes.
    Steady::time_point due() const;

    mutable std::mutex mutex_;
    std::condition_variable filled_;
    Content content_;
    bool closed_to_health_ = false;
    bool told_closed_ = false;  // take() has said so
    bool turning_ = false;
    bool woken_ = false;   // one that waits, and has not looked since
    bool own_ = false;     // what there is has been left to the one that helps
    bool others_ = false;  // others have taken changes since take_own()
    std::optional<std::thread::id> helping_;
    bool ended_ = false;
    // Not by the clock that is stepped: it is for the machine's sake, not for what is decided.
    Steady::time_point health_at_;
    Steady::time_point until_ = Steady::time_point::max();
    std::vector<std::thread::id> takers_;  // who has ever called take()
    // Until when each of those that wait in take() does.
    std::vector<Steady::time_point> waiting_;
};

}  // namespace gorb::control
