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
#include "health/engine.h"
#include "ipvs/driver.h"
#include "ipvs/vip.h"
#include "model/codec.h"
#include "model/snapshot.h"
#include "plugin/registry.h"

namespace gorb::control {

// The condition of an If-Match header (RFC 9110, 13.1.1).
struct Match {
    bool any = false;               // "*"
    std::vector<std::string> tags;  // entity tags without quotes
};

struct PutService {
    model::Service service;
    std::optional<Match> match;
};
struct PutBackend {
    std::string service;
    model::Backend backend;
    std::optional<Match> match;
};
struct PatchService {
    std::string service;
    std::string body;  // JSON text
    std::optional<Match> match;
};
struct PatchBackend {
    std::string service, backend;
    std::string body;
    std::optional<Match> match;
};
struct DeleteService {
    std::string service;
    std::optional<Match> match;
};
struct DeleteBackend {
    std::string service, backend;
    std::optional<Match> match;
};
using Change = std::variant<PutService, PutBackend, PatchService, PatchBackend, DeleteService, DeleteBackend>;

// What became of a change. For a deletion, the object as it was.
struct Outcome {
    model::SnapshotPtr snapshot;  // the state with the change in it
    model::ServicePtr service;
    model::BackendPtr backend;  // null for changes of a service
    bool changed = false;       // false: it was so already
};

using Done = std::function<void(base::Result<Outcome>)>;

// What a backend's weight is, and why.
struct EffectiveWeight {
    uint32_t configured = 0, effective = 0;
    std::string why;          // "" when they are equal
    std::string not_applied;  // what the kernel said to the last attempt to set it, "" when it took it
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

    model::SnapshotPtr snapshot() const;  // [any]
    // The ETag of an object's revision, without quotes: it names this run of the daemon as well.
    std::string etag(uint64_t revision) const;                                        // [any]
    EffectiveWeight weight_of(const model::BackendEntry& backend) const;              // [any]
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
