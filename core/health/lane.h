// What the engine does on one loop: scheduler, prober and probes put together, results to the board, changes
// to whom they concern.
//
// Changes of one backend are all told by one lane, its home, whatever loops its checks are on: so they come
// in order.
//
// Threads: the loop's, unless a function says [any]. Destroyed when the loop does not run.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/line_limit.h"
#include "health/board.h"
#include "health/engine.h"
#include "health/prober.h"
#include "health/probes.h"
#include "health/scheduler.h"
#include "health/self_watch.h"
#include "health/state_lines.h"
#include "health/tally.h"

namespace gorb::health {

class Lane;

// What the lanes of an engine have in common.
struct Crew {
    Crew(Engine::OnChanged changed, Engine::OnSuspicion on_suspicion, const SelfSuspicion& self_suspicion)
        : on_changed(std::move(changed)), watch(self_suspicion, std::move(on_suspicion)) {}

    const Engine::OnChanged on_changed;
    SelfWatch watch;
    StateLines state_lines;
    std::vector<std::shared_ptr<Lane>> lanes;
    std::unique_ptr<Board> board;  // set before anything is put

    Lane& home(model::BackendId id) const;
};

class Lane : public std::enable_shared_from_this<Lane> {
  public:
    Lane(io::Loop& loop, MakeChecker make, Crew& crew, uint64_t seed, Scheduler::Caps caps);
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    Probes& probes() { return probes_; }           // [any]
    const Tally& tally() const { return tally_; }  // [any]
    // Has the loop destroy what the pulses have here, and check nothing from then on. [any]
    void close() { post(&Lane::close_here); }
    // Board::collect() of that backend has something new; this lane is its home. [any]
    void note(model::BackendId id);
    using PushDone = std::function<void(base::Status)>;
    // Reports to the backend's checks, each of which may take it or not. [any]
    void push(model::BackendId id, plugin::PushReport report, PushDone done) {
        push(id, std::move(report), std::move(done), Pushed{});
    }

  private:
    using Slot = Probes::Slot;

    // Commands taken in one turn, so that a hundred thousand do not stall the checks.
    static constexpr size_t commands_per_turn = 1024;
    // A deadline seen so much too late says more about this process than about the target.
    static constexpr uint64_t stall = 1'000'000'000;
    static constexpr uint64_t asked_gap =
        250'000'000;  // ns between checks that pulses ask for one after another

    void post(void (Lane::*what)());
    void close_here();
    void take_commands();
    void reach(Slot slot);
    void begin(Slot slot);
    void end(Slot slot);

    void turn();
    void start(const Scheduler::Start& what);
    void time_out(Slot slot, uint64_t now);
    std::optional<plugin::Report> held_up(Slot slot, uint64_t now) const;
    void answered(Slot slot, const plugin::Report& report);
    void recheck(Slot slot);
    void finish(Slot slot, const plugin::Report& report, uint64_t now);
    void concern(Slot slot, const Probes::Effect& effect, const plugin::Report& report, uint64_t now);
    void tell_trouble(const Probes::Aim& aim, const Probes::Effect& effect, std::string_view reason,
                      uint64_t now);
    template <class Fn>
    auto with_subject(Slot slot, Fn&& fn);
    // How far a report has come.
    struct Pushed {
        size_t check = 0;  // the next one
        bool taken = false;
        // What the first one said that did not take it, of those that take any if it can be.
        base::Status refused;
    };
    void push(model::BackendId id, plugin::PushReport report, PushDone done, Pushed so_far);
    void push_here(model::BackendId id, const plugin::PushReport& report, const PushDone& done,
                   Pushed so_far);
    void tell();
    void arm();
    void watch_suspicion();
    int64_t wall(uint64_t now) const { return static_cast<int64_t>(now) + wall_ahead_; }
    void look_at_the_wall() { wall_ahead_ = loop_.clock().wall() - static_cast<int64_t>(loop_.now()); }

    io::Loop& loop_;
    Crew& crew_;
    Probes probes_;
    Tally tally_;
    Scheduler scheduler_;
    Prober prober_;
    const uint64_t seed_;
    int64_t wall_ahead_ = 0;  // of the monotonic clock, as of this turn

    std::deque<Probes::Command> commands_;
    // Members so that their memory stays.
    std::vector<Probes::Command> come_;
    std::vector<Slot> overdue_;
    std::vector<Scheduler::Start> starts_;
    std::vector<model::BackendId> concerned_;
    // By slot: a pulse asked for the check to come, and for the newest one.
    std::vector<bool> asked_, was_asked_;
    std::vector<bool> failure_reported_;  // the same: the last report that it took is a failure
    base::LineLimit share_lines_{100};    // an agent may say another one each time it is asked
    base::Guarded<std::vector<model::BackendId>> notes_;
    // Where something of ours runs short, checks find it and miss it in turns: that is no news each time.
    base::LineLimit trouble_lines_{100}, well_lines_{100};
    io::TimerId timer_ = 0, suspicion_timer_ = 0;
    uint64_t armed_ = Scheduler::never;  // when timer_ fires
};

}  // namespace gorb::health
