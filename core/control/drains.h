// Backends that their operator drains: how many connections are left, when a drain is over, and what then.
//
// The kernel's ActiveConn and InActConn are counted at once (its statistics are not); a persistence template
// sends its client's new connections to a drained backend too, so a drain is over when all three are 0.
// A drain's time counts from when it was set (model::BackendEntry::drain_since), by the monotonic clock while
// gorbd runs; over a restart by the wall clock, of which a jump never makes it longer than it was set to.
// A destination that gorb itself has taken out of the kernel has no connections. One that somebody else has
// removed may have them still, and goes on with them when it is put back: its drain is not over by that.
//
// Threads: view() by any thread, everything else in the control's turns. Cost: one reading of the
// destinations a second for each service that drains, and O(log n) for each drain; nothing while none does.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "control/slots.h"
#include "ipvs/driver.h"
#include "model/snapshot.h"
#include "reconcile/table.h"

namespace gorb::control {

struct DrainView {
    int64_t since_wall = 0;  // model::BackendEntry::drain_since
    bool counted = false;    // are the three below known
    uint32_t active = 0, inactive = 0, templates = 0;
    bool finished = false;
    int64_t finished_wall = 0;
    int64_t deadline_wall = 0;  // 0: none
    std::string trouble;        // why the connections can not be counted, "" when they can
};

class Drains {
  public:
    static constexpr uint64_t period = 1'000'000'000;  // ns between two looks

    // A drain that is over and whose backend has a time-out set: what is to become of it, if it is still of
    // this revision. Told once, and again after again().
    struct Over {
        model::BackendId id{};
        std::string service, backend;
        model::DrainThen then{};
        uint64_t revision = 0;
    };

    Drains(const base::Clock& clock, const Slots& slots) : clock_(&clock), slots_(&slots) {}

    // Follows what a backend has become: begins, goes on with, or forgets its drain.
    void follow(const std::string& service, const model::BackendEntry& backend);
    void forget(model::BackendId id);
    // What was to become of it was refused: it is told again, later with every time.
    void again(model::BackendId id);

    // Looks at all drains when it is time to.
    std::vector<Over> look(const model::Snapshot& now, ipvs::Driver& driver);
    uint64_t next() const;  // when look() is wanted, monotonic ns; 0: never

    std::optional<DrainView> view(model::BackendId id) const;  // [any]

  private:
    struct Drain {
        std::string service, backend;
        base::Nanos timeout{0};   // as it was said at view.since_wall, and
        model::DrainThen then{};  // what comes of it
        uint64_t deadline = 0;    // monotonic ns, 0: none
        bool over = false;        // told
        uint64_t told_again = 0;  // not before; 0: at once
        uint32_t refusals = 0;
        DrainView view;
    };
    void count(Drain& drain, const base::Result<reconcile::Dests>& dests, const model::BackendEntry& backend);

    const base::Clock* clock_;
    const Slots* slots_;
    std::unordered_map<model::BackendId, Drain> drains_;
    uint64_t next_ = 0;
    base::Guarded<std::unordered_map<model::BackendId, DrainView>> published_;
};

}  // namespace gorb::control
