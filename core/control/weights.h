// Keeps every backend's weight in the kernel as its pool wants it: assesses the services of which something
// changed, decides for each backend, and applies the differences in one batch. What the kernel refuses is
// tried again later.
//
// Threads: pool() by any thread, everything else by the control thread.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "control/slots.h"
#include "health/engine.h"
#include "health/pool.h"
#include "model/snapshot.h"
#include "reconcile/applier.h"

namespace gorb::control {

// What is known of a service as a whole.
struct Pool {
    health::Assessment assessment;
    int64_t since_wall = 0;  // of the state
};

class Weights {
  public:
    struct Ports {
        reconcile::Applier* applier = nullptr;
        const base::Clock* clock = nullptr;
        std::function<ipvs::ServiceRecord(const model::Service&)> record_of;
        // Of a backend, now; for the words of the log and for weights by history.
        std::function<std::optional<health::View>(model::BackendId)> health_of;
    };
    Weights(Slots& slots, Ports ports) : slots_(&slots), ports_(std::move(ports)) {}

    // Something of this service or of its backends changed.
    void mark(const std::string& service) { marked_.insert(service); }
    void forget(const std::string& service);  // it is gone
    // What the engine told of a backend's health.
    void health_changed(const health::Changed& change);
    // The engine suspects this machine: what fell since `since` keeps its weight until it thaws.
    void suspect(const health::Suspicion& suspicion, const model::Snapshot& now);

    // What a backend's weight should be, by the last look at its service. For changes that are being
    // prepared.
    health::Decision decide(const model::Service& service, const Slot& slot) const;

    // Does all that is due. Names of services whose other destinations have to be put back, because somebody
    // removed the service.
    std::vector<std::string> settle(const model::Snapshot& now);
    // When settle() is wanted without a change, monotonic ns; 0: never.
    uint64_t next() const;

    std::optional<Pool> pool(const std::string& service) const;  // [any]

  private:
    struct Kept {
        health::Assessment assessment;
        uint64_t next_step = 0;
    };
    struct Batch;

    health::Member seen(const Slot& slot) const;
    void reassess(const model::ServiceEntry& service, uint64_t now, Batch& batch);
    void want(const model::Service& service, model::BackendId id, Slot& slot, Batch& batch);
    void tell(const model::Service& service, const std::optional<Pool>& before,
              const health::Assessment& after);
    void apply(Batch& batch, std::set<std::string>& incomplete);

    Slots* slots_;
    Ports ports_;
    std::set<std::string> marked_;
    std::unordered_map<std::string, Kept> kept_;
    std::map<std::string, uint64_t> steps_;  // services with ramps: when the next step is due
    health::Suspicion suspicion_;
    base::Guarded<std::unordered_map<std::string, Pool>> published_;
};

}  // namespace gorb::control
