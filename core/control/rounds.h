// Rounds through all services that look for drift, a few services at a time, so that nothing else waits for
// long.
//
// Threads: one at a time (the control's turns).
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/sync.h"
#include "model/snapshot.h"

namespace gorb::control {

class Rounds {
  public:
    using Done = std::function<void(base::Result<SyncCounts>)>;

    // `period` in ns, 0: only when asked. `look_at_vips` sees to what is not in the table, and says how much
    // of it had drifted.
    Rounds(Sync& sync, const base::Clock& clock, uint64_t period, std::function<size_t()> look_at_vips)
        : sync_(&sync),
          clock_(&clock),
          period_(period),
          look_at_vips_(std::move(look_at_vips)),
          at_(period ? clock.now() + period : 0) {}

    // A whole round that begins now; `done` is among the answers when it is over.
    void ask(Done done);
    // Told when what the rounds have let go is gone, VIPs as well.
    std::vector<std::pair<Done, SyncCounts>> answers() { return std::exchange(answers_, {}); }
    // Goes on with a round that is under way, or begins one that is due. False when there is nothing more to
    // do now.
    bool step(const model::Snapshot& now);
    uint64_t next() const { return under_way_ ? 1 : at_; }  // monotonic ns, 0: never

    struct Totals {
        uint64_t rounds = 0, drift = 0, refused = 0;
        int64_t last_wall = 0;  // end of the last round
    };
    const Totals& totals() const { return totals_; }

  private:
    void begin(const model::Snapshot& now);
    void end();

    Sync* sync_;
    const base::Clock* clock_;
    uint64_t period_;
    std::function<size_t()> look_at_vips_;
    uint64_t at_, begun_ = 0;
    bool under_way_ = false;
    std::vector<std::string> names_;  // of services that are still to be looked at, the next one last
    SyncCounts counts_;
    std::vector<Done> waiting_, asked_;  // for the round under way, for the next one
    std::vector<std::pair<Done, SyncCounts>> answers_;
    Totals totals_;
};

}  // namespace gorb::control
