// What the control works with: one of each, made in this order.
//
// Threads: the control's turns, but for what each part allows others.
#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "control/drains.h"
#include "control/events.h"
#include "control/inbox.h"
#include "control/keeper.h"
#include "control/prepare.h"
#include "control/pulse_pool.h"
#include "control/slots.h"
#include "control/sync.h"
#include "control/vip_users.h"
#include "control/weights.h"
#include "health/engine.h"
#include "ipvs/driver.h"
#include "reconcile/applier.h"
#include "reconcile/plan.h"
#include "store/store.h"

namespace gorb::control {

struct Parts {
    struct Makings {
        std::unique_ptr<ipvs::Driver> driver;
        std::unique_ptr<ipvs::VipTable> vips;
        std::unique_ptr<store::Database> database;  // null: the store is memory
        const plugin::Registry* registry = nullptr;
        reconcile::Guard guard;
        bool repair = true;
        const base::Clock* clock = nullptr;  // null: the system's
    };
    explicit Parts(Makings makings);

    health::Decision decide(const model::Service& service, const Slot& slot) const {
        return weights.decide(service, slot);
    }
    Known known();
    store::Health health_of(const Slot& slot) const;
    // The backend's health is another: it is to be remembered.
    void remember_health(const Slot& slot);
    // Of an object that was last changed by this revision.
    std::string etag(uint64_t revision) const { return identity + "-" + std::to_string(revision); }
    // Entries are known to be out of the kernel.
    void left(const std::vector<store::Leaving>& entries);
    // The same of a service, and with it all that was in it.
    void service_left(const model::ServiceKey& key);
    // An entry is to go, by a change that has passed the guard.
    void leave(const store::Leaving& entry);
    // What the guard held at the start may go: by the next one, too, if this one does not get to it.
    void let_held_go();
    // A service whose key was leaving is wanted.
    void wanted(const model::ServiceKey& key);
    // The guard has let them through: that is remembered.
    void grant(const LeavingSet& entries);
    // These VIPs are noted in the store and are added next.
    void intend_vips(const std::vector<base::Ip>& addresses);
    // Puts back the VIPs that somebody removed, or says that they are gone: drift as in the table. How many.
    size_t look_at_vips();
    // Services that there are in any case, by name, use these VIPs. How many could not be added.
    size_t acquire_vips(const std::vector<std::pair<std::string, base::Ip>>& wanted);
    // A change has made these services what they are: makes the kernel so.
    SyncCounts bring(std::span<const model::ServicePtr> services);
    // These stay in the kernel although they are leaving, with the VIPs that they need (Sync::hold).
    void hold(LeavingSet entries);
    // All that the store should have.
    store::Loaded everything();
    // Somebody removed a service of ours and it has just been put back: its other destinations go back too.
    void restore_destinations(const std::string& service);
    // Takes out of the kernel what this daemon made: services, and VIPs that nobody else needs.
    void release();

    const base::Clock& clock;
    std::unique_ptr<ipvs::Driver> driver;
    reconcile::Applier applier;
    PulsePool pulses;
    health::Engine* engine = nullptr;
    Inbox inbox;
    Events events;
    store::Store store;
    std::string identity;  // in ETags: of the database, or of this run
    LeavingSet leaving;
    std::set<model::ServiceKey> held_vips;  // services that are held, each a user of its VIP
    std::set<base::Ip> vips_added;
    ServiceRecords records;
    Slots slots;
    Drains drains;
    Weights weights;
    Sync sync;
    Keeper keeper;
    VipUsers vips;
    const reconcile::Guard guard;
    const bool repair;  // of drift; false: it is only told
    // Why backends that were there at the start are not checked, as those whose plugin is gone. [any]
    base::Guarded<std::unordered_map<model::BackendId, std::string>> unchecked;
    std::atomic<uint64_t> busy_since{0};  // Control::busy_since() [any]
    uint64_t last_revision = 0;
    model::BackendId last_id = 0;

  private:
    // Has the kernel refused to make the service of ours that is to have this key?
    bool is_missing(const ipvs::ServiceKey& key) const;
    void release_held_vip(const model::ServiceKey& key);
};

}  // namespace gorb::control
