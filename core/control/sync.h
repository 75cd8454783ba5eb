// Makes the kernel's table as it is wanted, for some services at a time: reads what it has of them, plans,
// applies, and tells the slots what came of it. For the start, for changes of many objects, and for drift;
// single changes and weights go their own, shorter way.
//
// Threads: drift() and refused() by any, everything else in the control's turns.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/line_limit.h"
#include "base/log.h"
#include "control/events.h"
#include "control/slots.h"
#include "control/weights.h"
#include "ipvs/driver.h"
#include "model/snapshot.h"
#include "reconcile/plan.h"
#include "store/database.h"

namespace gorb::control {

// Entries whose removal from the kernel has not been confirmed.
using LeavingSet = std::set<store::Leaving>;

// What the kernel has, or last took, of each service of ours, by name.
using ServiceRecords = std::unordered_map<std::string, ipvs::ServiceRecord>;

struct SyncCounts {
    size_t services = 0;                                     // looked at
    size_t added = 0, edited = 0, removed = 0, refused = 0;  // operations
    size_t drift = 0;                                        // entries that somebody else had changed
    uint64_t ns = 0;                                         // what reading, planning and applying took
    void add(const SyncCounts& more);
};

// A difference that somebody else made.
struct Drift {
    reconcile::Entry entry;
    std::string before, after;  // what should be, what is
    int64_t since_wall = 0;     // when it was noticed
};

class Sync {
  public:
    enum class Why : uint8_t { start, change, drift };

    struct Ports {
        ipvs::Driver* driver = nullptr;
        Slots* slots = nullptr;
        Weights* weights = nullptr;
        ServiceRecords* records = nullptr;
        LeavingSet* leaving = nullptr;
        Events* events = nullptr;
        const base::Clock* clock = nullptr;
        std::function<void(const store::Leaving&)> left;  // confirmed
        bool repair = true;                               // false: drift is only reported
    };
    explicit Sync(Ports ports) : ports_(std::move(ports)) {}

    // These services, with all that is leaving them. `table`: what the kernel has, when it has been read
    // already, of which theirs is taken out; else each service is read by itself.
    SyncCounts services(std::span<const model::ServicePtr> services, Why why,
                        reconcile::Table* table = nullptr);
    // What the kernel has of these services, for services() above: the cheaper way when they are many.
    // nullopt when it can not be read now. `ns` grows by the time that it took.
    std::optional<reconcile::Table> read(std::span<const model::ServicePtr> services, uint64_t& ns) const;
    // What is leaving and not wanted by `now`; also out of services that stay, if they would not let it go.
    SyncCounts leave(const model::Snapshot& now, Why why = Why::change);
    // These are leaving, and stay in the kernel for as long as they are in it, until they are let go: too
    // much would have gone at once at the start.
    void hold(LeavingSet entries) { held_ = std::move(entries); }
    bool holds(const store::Leaving& entry) const { return !held_.empty() && held_.contains(entry); }
    const LeavingSet& held() const { return held_; }
    void let_go() { held_.clear(); }
    void let_go(const store::Leaving& entry) { held_.erase(entry); }
    // Services that release() leaves.
    struct Remains {
        std::set<ipvs::ServiceKey> services;
        base::Status status;  // failed: with the first of what could not be looked at or removed
    };
    // Removes all that is ours; a service keeps standing while somebody else's destinations are in it.
    // `moves` is called while it comes along.
    Remains release(const model::Snapshot& now, const std::function<void()>& moves);

    // Services that the kernel refused, whose time for another attempt has come; the next such time
    // (monotonic ns, 0 for none).
    std::vector<std::string> due(uint64_t now) const;
    uint64_t next() const;
    void forget(const std::string& service);
    // The kernel has taken it: if it had been refused, that is told.
    void made_at_last(const std::string& service);

    // What the kernel said to the last attempt to make a service, "" when it took it. [any]
    std::string refused(const std::string& service) const;
    // Differences that were seen and are not repaired. [any]
    std::vector<Drift> drift() const;

  private:
    struct Round;
    base::Status read(const ipvs::ServiceKey& key, reconcile::Table* table, Round& round) const;
    void remember_quorum(const model::ServiceEntry& service, const reconcile::Dests& found);
    void want(const model::ServiceEntry& service, Round& round);
    void carry_out(Round& round);
    std::vector<bool> drifted(reconcile::Plan& plan, Round& round);
    void settle(Round& round);
    Slot* settle(Round& round, const ipvs::ServiceKey& key, const model::ServiceEntry& service,
                 const reconcile::Dests* had, const model::BackendEntry& backend);
    bool is_drift(const reconcile::Entry& entry, const Round& round) const;
    void tell(const ipvs::Op& op, const Round& round, const std::string& refused);
    void confirm(std::span<const reconcile::Entry> gone);

    struct Refusal {
        std::string words;
        uint32_t attempts = 0;
        uint64_t retry_at = 0;
    };
    void not_made(std::string_view what, std::initializer_list<base::LogField> fields);
    void refuse(const std::string& service, const std::string& words);
    void unknown(const model::ServiceEntry& service, const std::string& words);

    Ports ports_;
    LeavingSet held_;  // some of what is leaving
    std::unordered_map<std::string, Refusal> refusals_;
    uint64_t leave_at_ = 0;
    uint32_t leave_attempts_ = 0;
    base::LineLimit lines_{100}, refusal_lines_{100};
    base::Guarded<std::unordered_map<std::string, std::string>> shown_;  // refusals, for others
    base::Guarded<std::map<reconcile::Entry, Drift>> drift_;
};

reconcile::Entry entry_of(const store::Leaving& leaving);

}  // namespace gorb::control
