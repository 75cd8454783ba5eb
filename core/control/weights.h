// Keeps every backend's weight in the kernel as its pool wants it: assesses the services of which something
// changed, decides for each backend, and applies the differences in one batch. What the kernel refuses is
// tried again later.
//
// Threads: pool() by any thread, everything else in the control's turns.
// Cost: a change of some backends is O(1) for each of them, unless it makes a difference to the others as
// well (quorum, panic) or the pool ranks them (max-down, sh, mh); then it is O(backends of the service).
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/line_limit.h"
#include "base/log.h"
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
    // Why the kernel does not have it, in its words; "" where it has. Nobody serves then: it is down, whoever
    // is up.
    std::string missing;
};
// Why it is in its state.
std::string words(const model::Service& service, const Pool& pool);

class Weights {
  public:
    struct Ports {
        reconcile::Applier* applier = nullptr;
        const base::Clock* clock = nullptr;
        // Of a backend, now; for the words of the log and for weights by history.
        std::function<std::optional<health::View>(model::BackendId)> health_of;
        // What a backend counts as is to be remembered anew: it has nothing left to recover from, or a freeze
        // has begun or ended.
        std::function<void(const Slot&)> remember = nullptr;
    };
    Weights(Slots& slots, Ports ports) : slots_(&slots), ports_(std::move(ports)) {}

    // Something of this service changed, or of any of its backends.
    void mark(const std::string& service) { marked_[service].all = true; }
    // Something of this backend changed.
    void mark(const std::string& service, model::BackendId id) { marked_[service].backends.push_back(id); }
    // This backend is about to be forgotten.
    void gone(const Slot& slot);
    void forget(const std::string& service);  // it is gone
    // Before the first look at a service: whether its quorum was met when gorbd ended.
    void remember(const std::string& service, bool quorum_met) {
        kept_[service].assessment.quorum_met = quorum_met;
    }
    // The kernel has nothing of this service, which it refused to make with these words; "": it has it.
    void missing(const model::ServiceEntry& service, const std::string& refusal);
    void made(const std::string& service);  // it has it; settle() tells
    bool is_missing(const std::string& service) const { return missing_.contains(service); }
    // What the engine told of a backend's health.
    void health_changed(const health::Changed& change);
    // The engine suspects this machine: what fell since `since` keeps its weight until it thaws.
    void suspect(const health::Suspicion& suspicion, const model::Snapshot& now);

    // What a backend counts as: what it is, or what it was where a freeze holds back its fall.
    health::Member seen(const Slot& slot) const;

    // What a backend's weight should be, by the last look at its service and itself as it is. For changes
    // that are being prepared.
    health::Decision decide(const model::Service& service, const Slot& slot) const;

    // The same of a service that would have these backends and no others.
    std::vector<health::Decision> decide(const model::Service& service, std::span<const Slot> slots) const;

    // Decides for all backends of a service, and leaves it to the caller to make the kernel so.
    void decide_all(const model::ServiceEntry& service);

    // Does all that is due. Names of services whose other destinations have to be put back, because somebody
    // removed the service.
    std::vector<std::string> settle(const model::Snapshot& now);
    // When settle() is wanted without a change, monotonic ns; 0: never.
    uint64_t next() const;

    std::optional<Pool> pool(const std::string& service) const;  // [any]

  private:
    struct Kept {
        health::Assessment assessment;
        health::Headcount tally;  // of what its slots are counted as
        uint64_t newest = 0;      // since its primaries are what they are, as last looked at; 0: not known
        bool said = false;        // the log has its state, or that is no news
    };
    struct Marks {
        bool all = false;
        std::vector<model::BackendId> backends;
    };
    struct Batch;
    struct Changes;

    health::Assessment with(const model::Service& service, const Kept& kept,
                            const health::Member& member) const;
    void reassess(const model::ServiceEntry& service, uint64_t now, Batch* batch);
    bool reassess_few(const model::Service& service, const std::vector<model::BackendId>& ids, Batch& batch);
    void bring_up_to_date(const model::Service& service, Slot& slot) const;
    void ask_ratio(Slot& slot) const;
    uint64_t recover(const model::Service& service, const health::Decision& decision,
                     const health::Member& member, Slot& slot, uint64_t now) const;
    uint64_t give(const model::Service& service, const health::Assessment& pool, Slot& slot, uint64_t now,
                  Batch* batch);
    void want(const model::Service& service, Slot& slot, Batch& batch);
    void tell(const model::Service& service, const std::optional<Pool>& before, Kept& kept, bool waits);
    void apply(Changes& changes, Batch& batch);
    void applied(base::LogLevel level, const model::Service& service, const Slot& slot, uint64_t now);
    void refused(Slot& slot, const base::Error& error, uint64_t now);

    Slots* slots_;
    Ports ports_;
    std::map<std::string, Marks> marked_;
    std::unordered_map<std::string, Kept> kept_;
    std::unordered_map<std::string, std::string> missing_;  // why, of few
    std::map<std::string, uint64_t> steps_;                 // services with ramps: when the next step is due
    health::Suspicion suspicion_;
    base::LineLimit lines_{100}, refusal_lines_{100}, up_lines_{100}, pool_lines_{100};
    base::Guarded<std::unordered_map<std::string, Pool>> published_;
};

}  // namespace gorb::control
