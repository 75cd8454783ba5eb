#include "control/starter.h"

#include <algorithm>
#include <tuple>

#include "base/line_limit.h"
#include "base/log.h"
#include "control/declared.h"
#include "reconcile/records.h"
#include "reconcile/table.h"
#include "store/transitions.h"

namespace gorb::control {
namespace {

constexpr size_t brought_at_once = 128;  // so that the operations stay in the processor's cache

health::State state_of(store::Health::State state) {
    switch (state) {
        case store::Health::State::up:
            return health::State::up;
        case store::Health::State::down:
            return health::State::down;
        case store::Health::State::unknown:
            break;
    }
    return health::State::unknown;
}

class Starter {
  public:
    explicit Starter(Parts& parts) : p_(&parts) {}

    void take(store::Loaded& loaded, bool declares) {
        if (!loaded.identity.empty()) p_->identity = loaded.identity;
        p_->leaving.insert(loaded.leaving.begin(), loaded.leaving.end());
        p_->vips_added.insert(loaded.vips.begin(), loaded.vips.end());
        p_->vips.remember(loaded.vips);
        p_->last_revision = loaded.revision;
        store::Builder builder;
        std::vector<const std::string*> released;
        for (store::Loaded::ServiceRow& service : loaded.services) {
            const std::string* name = p_->slots.name_of(service.spec.name);
            const bool release = !declares && service.origin == model::Origin::file;
            if (release) released.push_back(name);
            builder.add(std::move(service.spec), service.revision,
                        release ? model::Origin::api : service.origin);
            for (store::Loaded::BackendRow& row : service.backends) builder.add(backend(name, row));
        }
        p_->store.commit(builder.finish(std::max<uint64_t>(loaded.revision, 1)));
        const model::SnapshotPtr now = p_->store.snapshot();
        for (const std::string* name : released) owed_.put_services.push_back(*now->services.find(*name));
        if (!released.empty()) {
            base::log_info("there are no declarative files any more: what came of them is kept, as from REST",
                           {{"services", std::to_string(released.size())}});
        }
        p_->keeper.owe(std::move(owed_));
        p_->last_revision = std::max<uint64_t>(p_->last_revision, 1);
    }

    base::Result<SyncCounts> kernel(bool force) {
        const model::SnapshotPtr now = p_->store.snapshot();
        const uint64_t begin = p_->clock.now();
        auto table = read_ours(*now);
        if (!table) return base::fail(table.error());
        LeavingSet held = guard(*now, *table, force);
        SyncCounts counts;
        counts.ns = p_->clock.now() - begin;
        note_vips(*now, held);
        p_->hold(std::move(held));
        std::vector<model::ServicePtr> some;
        std::vector<std::pair<std::string, base::Ip>> vips;
        const auto bring = [&] {
            counts.refused += p_->acquire_vips(vips);
            vips.clear();
            counts.add(p_->sync.services(some, Sync::Why::start, &*table));
            some.clear();
        };
        now->services.for_each([&](const std::string&, const model::ServicePtr& service) {
            vips.emplace_back(service->spec.name, service->spec.key.vip.ip);
            some.push_back(service);
            if (some.size() == brought_at_once) bring();
        });
        if (!some.empty()) bring();
        counts.add(p_->sync.leave(*now));
        p_->vips.release_unused();
        return counts;
    }

    // What is known of a backend is known of all its checks together, and others may share some of them. The
    // best come first: each of their checks is at least so good, and those that share it begin with that. Of
    // one that several checks have made down it is not known which: it begins what nobody else has begun.
    void checks() {
        const auto better = [](const health::Target& a, const health::Target& b) {
            const auto rank = [](const health::Target& t) {
                if (t.known == health::State::up) return 0;
                if (t.known == health::State::unknown) return 2;
                return t.pulses.size() == 1 ? 1 : 3;
            };
            const auto place = [&](const health::Target& t) {
                return std::tuple(rank(t), -t.known_share, t.pulses.size());
            };
            return place(a) < place(b);
        };
        std::ranges::stable_sort(targets_, better);
        for (const health::Target& target : targets_) p_->engine->put(target);
    }

    // What was on its way out goes on with it.
    void drains() {
        p_->store.snapshot()->services.for_each(
            [&](const std::string& name, const model::ServicePtr& service) {
                service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
                    p_->drains.follow(name, *backend);
                });
                const auto ask = [&](Change change) {
                    p_->inbox.put(Submitted{std::move(change), [](const base::Result<Outcome>&) {}});
                };
                if (service->spec.deleting && service->backends.empty())
                    ask(DeleteService{name, {}, base::Nanos(0)});
                else if (is_called_off(*service))
                    ask(KeepService{name});
            });
    }

    size_t backends() const { return backends_; }

  private:
    // Of what is wanted or leaving. Whether what is foreign can be read is none of our business.
    base::Result<reconcile::Table> read_ours(const model::Snapshot& now) const {
        auto services = p_->driver->services();
        if (!services) return base::fail(services.error());
        std::erase_if(*services, [&](const ipvs::ServiceRecord& record) {
            const model::ServiceKey key{static_cast<model::Protocol>(record.key.protocol), record.key.vip};
            const auto leaves = p_->leaving.lower_bound({key, {}});
            const bool leaving = leaves != p_->leaving.end() && leaves->service == key;
            return !leaving && !now.by_key.find(key);
        });
        return reconcile::read_table(*p_->driver, std::move(*services));
    }

    model::BackendPtr backend(const std::string* service, store::Loaded::BackendRow& row) {
        ++backends_;
        auto entry = std::make_shared<model::BackendEntry>();
        entry->spec = std::move(row.spec);
        entry->id = ++p_->last_id;
        entry->revision = row.revision;
        entry->drain_since = row.drain_since;
        const bool drains = entry->spec.admin == model::Admin::drain;
        if (drains && entry->drain_since == 0) entry->drain_since = p_->clock.wall();
        auto pulses = p_->pulses.get(entry->spec.pulses);
        if (pulses) entry->spec.pulses = list_of(*pulses);

        Slot slot;
        health::Member& member = slot.member;
        member.id = entry->id;
        member.configured = entry->spec.weight;
        member.admin = entry->spec.admin;
        member.backup = entry->spec.backup;
        member.unproven = row.health.unproven();
        const bool checked = entry->spec.admin != model::Admin::maint;
        if (checked && pulses) {
            member.state = state_of(row.health.state);
            member.since = monotonic(row.health.since);
            if (row.health.grows()) member.back_since = monotonic(row.health.back);
            member.share = row.health.share;
            health::Target target{entry->id,           *service,           entry->spec.name,
                                  entry->spec.address, entry->spec.pulses, (*pulses)->args};
            target.known = member.state;
            target.known_share = member.share;
            target.known_since_wall = row.health.since;
            target.known_since = member.since;
            targets_.push_back(std::move(target));
        } else if (checked) {
            // What the kernel has of it comes before that. It has nothing after a boot, and none would serve
            // for want of a library.
            if (row.health.state == store::Health::State::up) member.before = member.configured;
            tell_unchecked(*service, entry->spec.name, pulses.error().sentence);
            p_->unchecked.with([&](auto& why) { why[entry->id] = pulses.error().sentence; });
        }
        // Of an older file, or imported: its time begins now, once.
        if (drains && row.drain_since == 0) owed_.put_backends.emplace_back(*service, entry);
        slot.service = service;
        slot.backend = entry;
        p_->slots.put(std::move(slot));
        return entry;
    }

    void tell_unchecked(const std::string& service, const std::string& backend, const std::string& error) {
        const auto write = [&] {
            base::log_error(
                "a backend can not be checked: it keeps the weight that it has in the kernel, and has "
                "its own there if it was up when it was last checked",
                {{"service", service}, {"backend", backend}, {"error", error}});
        };
        lines_.tell(p_->clock.now(), write, [] {
            base::log_error(
                "more backends can not be checked than are written out here: "
                "GET /service/NAME?expand=backends has each, and /metrics how many they are");
        });
    }

    // VIPs that are to be added now: the store is new, or an interface has been named since.
    void note_vips(const model::Snapshot& now, const LeavingSet& held) {
        std::vector<base::Ip> wanted;
        for (const store::Leaving& entry : held) {
            if (!entry.backend) wanted.push_back(entry.service.vip.ip);
        }
        now.services.for_each([&](const std::string&, const model::ServicePtr& service) {
            wanted.push_back(service->spec.key.vip.ip);
        });
        store::Write write;
        write.vips_added = p_->vips.missing(wanted);
        if (write.vips_added.empty()) return;
        if (const auto noted = p_->keeper.write_now(write)) {
            p_->intend_vips(write.vips_added);
        } else {  // each is noted when there is room, then
            base::log_error("the VIPs that are to be added could not be noted before",
                            {{"error", noted.error().sentence}});
        }
    }

    // Never 0, which means that it is not known: it may have been before this machine was started.
    uint64_t monotonic(int64_t wall) const {
        if (wall == 0) return 0;
        const int64_t ago = std::max<int64_t>(p_->clock.wall() - wall, 0);
        return static_cast<uint64_t>(std::max<int64_t>(static_cast<int64_t>(p_->clock.now()) - ago, 1));
    }

    // What is leaving goes, unless it is most of what the kernel has of ours: then it is to be held, which is
    // given back. What was granted when it was asked for is not asked for again.
    LeavingSet guard(const model::Snapshot& now, const reconcile::Table& table, bool force) {
        reconcile::Plan plan;
        const auto in_kernel = [&](const model::ServiceKey& key) -> const reconcile::TableService* {
            const auto found = table.find(reconcile::kernel_key(key));
            return found == table.end() ? nullptr : &found->second;
        };
        now.services.for_each([&](const std::string&, const model::ServicePtr& service) {
            const reconcile::TableService* found = in_kernel(service->spec.key);
            if (!found) return;
            ++plan.ours;
            for (const auto& dest : found->dests) plan.ours += service->by_address.find(dest.first) ? 1 : 0;
        });
        LeavingSet there;
        for (const store::Leaving& entry : p_->leaving) {
            if (entry.granted) continue;
            const reconcile::TableService* found = in_kernel(entry.service);
            if (!found || (entry.backend && !found->dests.contains(*entry.backend))) continue;
            if (store::wants(now, entry)) continue;
            there.insert(entry);
            // With a service goes whatever is in it.
            if (!entry.backend) {
                plan.removals += 1 + found->dests.size();
            } else if (!there.contains({entry.service, {}})) {
                ++plan.removals;
            }
        }
        plan.ours += plan.removals;
        const std::string words = reconcile::too_much(plan, p_->guard);
        if (words.empty()) return {};
        if (force) {
            p_->grant(there);
            return {};
        }
        base::log_error(
            "what earlier changes removed stays in the kernel until it is forced to go: by a start with "
            "--force, or by POST /reconcile?force=true",
            {{"reason", words}});
        p_->events.add({0, p_->clock.wall(), "guard", "", "", "",
                        "what earlier changes removed stays in the kernel until a start with --force or POST "
                        "/reconcile?force=true lets it go: " +
                            words});
        return there;
    }

    Parts* p_;
    std::vector<health::Target> targets_;
    store::Write owed_;  // rows that are otherwise from this start on
    size_t backends_ = 0;
    base::LineLimit lines_{100};
};

}  // namespace

base::Result<Started> start_from(Parts& parts, store::Loaded loaded, bool force, bool declares) {
    Started started;
    started.services = loaded.services.size();
    Starter starter(parts);
    starter.take(loaded, declares);
    started.backends = starter.backends();
    auto kernel = starter.kernel(force);
    if (!kernel) return base::fail(kernel.error());
    started.kernel = *kernel;
    if (parts.engine) starter.checks();
    starter.drains();
    parts.events.add({0, parts.clock.wall(), "start", "", "", "",
                      "started with " + std::to_string(started.services) + " virtual services and " +
                          std::to_string(started.backends) + " backends; in the kernel " +
                          std::to_string(kernel->added) + " entries were added, " +
                          std::to_string(kernel->edited) + " changed, " + std::to_string(kernel->removed) +
                          " removed"});
    return started;
}

}  // namespace gorb::control
