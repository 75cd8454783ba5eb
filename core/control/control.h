// The one owner of the desired state: takes changes in order, makes them durable and the kernel so, and only
// then calls them done.
//
// A change is checked against the state, written to the store, applied by the driver, and committed; what the
// kernel refuses is taken back and leaves no trace. Changes that wait together are written and applied in one
// batch. Changes of health become weights the same way.
//
// Threads: submit, snapshot, view and the rest marked [any] by any thread. It has two of its own, and
// one of somebody else's may help(); one at a time has a turn, and one at a time writes to the store. `done`
// is called in a turn and must only hand the answer on. The driver belongs to the turns.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/change.h"
#include "control/drains.h"
#include "control/events.h"
#include "control/keeper.h"
#include "control/sync.h"
#include "health/engine.h"
#include "health/pool.h"
#include "ipvs/driver.h"
#include "ipvs/vip.h"
#include "model/snapshot.h"
#include "plugin/registry.h"

namespace gorb::control {

// What a backend's weight is, and why: the factors it is made of, each with its reason in words ("" where it
// takes nothing away).
struct EffectiveWeight {
    uint32_t configured = 0, effective = 0;
    health::Decision decision;
    std::string why;  // "" when they are equal; this and `words` are explain()'s
    health::FactorWords words;
    bool present = true;      // false: the destination is not in the kernel
    std::string not_applied;  // what the kernel said to the last attempt to set it, "" when it took it
};

// Says why it is what it is. `because`: of its health, health::View::because.
void explain(EffectiveWeight& weight, const model::Service& service, const std::string& because);

// What the pool policy made of a service.
struct PoolStatus {
    health::Assessment assessment;
    int64_t since_wall = 0;  // of the state; 0: not looked at yet
    std::string because;
    std::vector<std::string> warnings;
    std::string flags;            // scheduler flags in force, as flags_text() writes them
    bool on_down_remove = false;  // the failure action in force
};

// What a configuration would change.
struct Preview {
    struct Object {
        std::string action;  // "add", "edit", "remove"
        std::string service, backend;
    };
    Counts counts;
    std::vector<Object> objects;
    std::vector<std::string> operations;  // of the kernel, in order, in words
    std::string guard;                    // why it would be refused without force, "" when it would not
};

// Whose the entries of the kernel's table are, at one instant.
struct Ownership {
    model::SnapshotPtr snapshot;
    LeavingSet leaving;
    LeavingSet held;           // some of what is leaving: the guard keeps it in the kernel since the start
    std::vector<Drift> drift;  // seen and not repaired
};

struct Totals {
    uint64_t rounds = 0, drift = 0, refused = 0;
    int64_t last_round_wall = 0;
};

struct Options {
    bool release_on_exit = false;
    bool force = false;    // start past the guard against mass deletion
    bool declares = true;  // Declare may come: services that came of it keep that they did (model::Origin)
    bool flush = false;    // of all that the kernel has, whoever made it, at the start
    uint64_t reconcile_period_ns = 30'000'000'000;  // 0: only when asked
    bool repair_drift = true;                       // false: drift is only reported
    reconcile::Guard guard;
    // When to do what; null: the system's. One that is stepped is looked at again with whatever comes in.
    const base::Clock* clock = nullptr;
};

class Control {
  public:
    // `database` null: the store is memory.
    Control(std::unique_ptr<ipvs::Driver> driver, std::unique_ptr<ipvs::VipTable> vips,
            const plugin::Registry& registry, Options options,
            std::unique_ptr<store::Database> database = nullptr);
    ~Control();  // stop()

    // The engine tells this control about health (on_changed -> health_changed), and is told what to check by
    // it. Before start().
    void connect(health::Engine& engine);
    // Loads the store and makes the kernel as it should be, before it returns. Once.
    base::Status start();
    // The end begins: what is told of health from now on is not believed, since what checks need is being
    // taken away (those who report, the programs of exec, descriptors). The kernel and the store keep what
    // was known. [any]
    void believe_no_more();
    // Finishes what was submitted, refuses what comes later, releases when told to, and joins.
    void stop();

    void submit(Change change, const Done& done);  // [any]
    // ---- the control's work by one thread more, as it has to do with a single change of a backend: whoever
    // asked for it does not wait for another thread to wake. It says once that it helps; what it submits then
    // may be left to it (own(): how many), and it has to call help() soon, which does that: decide, make it
    // durable (which takes as long as the disk), tell the kernel, answer. [one and the same thread]
    void helps();
    size_t own() const;
    void help();
    void health_changed(std::span<const health::Changed> changes);  // [any]
    void suspected(const health::Suspicion& suspicion);             // [any]
    // Somebody reports a backend's health (for pulses that take reports). [any]
    void push(const std::string& service, const std::string& backend, const health::Push& push,
              const std::function<void(base::Status)>& done);

    // What a configuration would do, without doing it. [any]
    void preview(model::Config config, const std::function<void(base::Result<Preview>)>& done);
    // Looks for drift now, everywhere. `force`: what the guard has held in the kernel since the start goes.
    // [any]
    void reconcile(const std::function<void(base::Result<SyncCounts>)>& done, bool force = false);
    void ownership(const std::function<void(base::Result<Ownership>)>& done);  // [any]
    // What the kernel should have of the services of `snapshot`, as decided now; what it should not have of
    // their backends joins what is `absent`. [any]
    reconcile::Table wanted(const model::Snapshot& snapshot,
                            std::set<reconcile::Entry>* absent = nullptr) const;
    // What the kernel said to the last attempt to make a service, or to add its VIP, "" when it took both.
    // [any]
    std::string refused(const model::Service& service) const;
    // What came of the declarative files, for those who look at events and metrics. [any]
    void declared(const base::Status& outcome);
    bool declared_refused() const;                    // the last time [any]
    std::vector<Event> events(uint64_t after) const;  // [any]
    StoreStatus store() const;                        // [any]
    Totals totals() const;                            // [any]

    model::SnapshotPtr snapshot() const;  // [any]
    // The ETag of an object's revision, without quotes. It names the store as well; with the store in memory,
    // this run of the daemon.
    std::string etag(uint64_t revision) const;  // [any]
    // Without words, which are of its health as well: that is never older when it is read after this. [any]
    EffectiveWeight weight_of(const model::BackendEntry& backend) const;
    PoolStatus pool_of(const model::Service& service) const;                          // [any]
    std::optional<DrainView> drain_of(const model::BackendEntry& backend) const;      // [any]
    health::Suspicion suspicion() const;                                              // [any]
    health::Counters health_counters() const;                                         // [any]
    std::optional<health::View> health_of(const model::BackendEntry& backend) const;  // [any]
    // Why it has not been checked since the start, as one whose plugin is gone; "" for all others. [any]
    std::string unchecked(const model::BackendEntry& backend) const;
    const ipvs::Info& driver_info() const;  // [any] as of the start
    // Asked of the kernel on first use, then remembered. `done` gets the names. [any]
    void schedulers(const std::function<void(base::Result<std::vector<std::string>>)>& done);
    // For a watchdog: is the control answering? Since when (monotonic ns) its present turn, or the present
    // part of a change of many, lasts, 0 when idle. [any]
    uint64_t busy_since() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::control
