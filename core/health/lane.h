// What the engine does on one loop: scheduler and prober put together, results to the board, changes to whom
// they concern.
//
// Threads: put and remove by any thread; all else happens on the loop's thread. Destroyed when the loop does
// not run.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "health/board.h"
#include "health/engine.h"
#include "health/prober.h"
#include "health/scheduler.h"

namespace gorb::health {

class Lane : public std::enable_shared_from_this<Lane> {
  public:
    Lane(io::Loop& loop, MakeChecker make, Board& board, const Engine::OnChanged& on_changed);
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    // The board knows of it when this returns, the loop soon after.
    void put(Target target);
    void remove(model::BackendId id);

  private:
    // What is to be done on the loop: check `target`, or nothing under this id any more.
    struct Command {
        model::BackendId id = 0;
        TargetPtr target;
        bool lost_state = false;
    };
    // Commands taken in one turn, so that a hundred thousand do not stall the checks.
    static constexpr size_t commands_per_turn = 1024;

    void send(std::vector<Command>& inbox, Command command);
    void take_commands();
    void apply(const Command& command);
    void drop(model::BackendId id);

    void turn();
    void start(Scheduler::Slot slot);
    void time_out(Scheduler::Slot slot, uint64_t now);
    void finish(Scheduler::Slot slot, plugin::Report report, uint64_t now);
    void note(Changed change);
    void tell();
    void arm();

    io::Loop& loop_;
    Board& board_;
    const Engine::OnChanged& on_changed_;
    // Also orders the board's changes with the commands of them.
    base::Guarded<std::vector<Command>> inbox_;

    std::deque<Command> commands_;
    Scheduler scheduler_;
    Prober prober_;
    std::vector<TargetPtr> targets_;  // by slot
    std::unordered_map<model::BackendId, Scheduler::Slot> slots_;
    std::vector<Scheduler::Slot> due_;  // of one turn; a member so that its memory stays
    std::vector<Changed> changes_;      // of this turn, not told yet
    io::TimerId timer_ = 0;
    uint64_t armed_ = Scheduler::never;  // when timer_ fires
};

}  // namespace gorb::health
