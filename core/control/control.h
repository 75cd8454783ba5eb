// The one owner of the desired state: takes changes in order, makes the kernel so, and only then calls them
// done.
//
// A change is checked against the state, applied by the driver, and committed; what the kernel refuses is
// undone and leaves no trace. Changes that wait together are applied in one batch. Changes of health become
// weights the same way.
//
// Threads: submit, snapshot, view and the rest marked [any] by any thread. `done` is called on the control
// thread and must only hand the answer on. The driver belongs to the control thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "control/drains.h"
#include "health/engine.h"
#include "health/pool.h"
#include "ipvs/driver.h"
#include "ipvs/vip.h"
#include "model/codec.h"
#include "model/snapshot.h"
#include "plugin/registry.h"

namespace gorb::control {

// What a backend's weight is, and why: the factors it is made of, each with its reason in words ("" where it
// takes nothing away).
struct EffectiveWeight {
    uint32_t configured = 0, effective = 0;
    health::Decision decision;
    std::string why;  // "" when they are equal
    health::FactorWords words;
    bool present = true;      // false: the destination is not in the kernel
    std::string not_applied;  // what the kernel said to the last attempt to set it, "" when it took it
};

// What the pool policy made of a service.
struct PoolStatus {
    health::Assessment assessment;
    int64_t since_wall = 0;  // of the state; 0: not looked at yet
    std::string because;
    std::vector<std::string> warnings;
    std::string flags;            // scheduler flags in force, as flags_text() writes them
    bool on_down_remove = false;  // the failure action in force
};

struct Options {
    bool release_on_exit = false;
};

class Control {
  public:
    Control(std::unique_ptr<ipvs::Driver> driver, std::unique_ptr<ipvs::VipTable> vips,
            const plugin::Registry& registry, Options options);
    ~Control();  // stop()

    // The engine tells this control about health (on_changed -> health_changed), and is told what to check by
    // it. Before start().
    void connect(health::Engine& engine);
    void start();
    // Finishes what was submitted, refuses what comes later, releases when told to, and joins.
    void stop();

    void submit(Change change, const Done& done);                   // [any]
    void health_changed(std::span<const health::Changed> changes);  // [any]
    void suspected(const health::Suspicion& suspicion);             // [any]
    // Somebody reports a backend's health (for pulses that take reports). [any]
    void push(const std::string& service, const std::string& backend, const health::Push& push,
              const std::function<void(base::Status)>& done);

    model::SnapshotPtr snapshot() const;  // [any]
    // The ETag of an object's revision, without quotes: it names this run of the daemon as well.
    std::string etag(uint64_t revision) const;  // [any]
    // `because`: of its health, health::View::because. [any]
    EffectiveWeight weight_of(const model::Service& service, const model::BackendEntry& backend,
                              const std::string& because) const;
    PoolStatus pool_of(const model::Service& service) const;                          // [any]
    std::optional<DrainView> drain_of(const model::BackendEntry& backend) const;      // [any]
    health::Suspicion suspicion() const;                                              // [any]
    health::Counters health_counters() const;                                         // [any]
    std::optional<health::View> health_of(const model::BackendEntry& backend) const;  // [any]
    const ipvs::Info& driver_info() const;                                            // [any] as of the start
    // Asked of the kernel on first use, then remembered. `done` gets the names. [any]
    void schedulers(const std::function<void(base::Result<std::vector<std::string>>)>& done);
    // For a watchdog: is the control thread answering? Since when (monotonic ns) its present batch is busy, 0
    // when idle. [any]
    uint64_t busy_since() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::control
