// What a configuration would change: Changer::preview().
#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "control/changer.h"
#include "control/rows.h"
#include "reconcile/records.h"
#include "store/transitions.h"

namespace gorb::control {

using base::Result;

namespace {

// What the kernel would be told of some services.
class Outlook {
  public:
    using Puts = std::map<model::BackendId, Slot>;
    // `puts`: slots as they would be put; what is not among them stays as it is.
    Outlook(Parts& parts, const Puts& puts) : p_(&parts), puts_(&puts) {}

    // Of a service that is looked at in the kernel.
    base::Status look(const model::ServiceEntry& service) {
        const ipvs::ServiceKey key = reconcile::kernel_key(service.spec.key);
        if (auto ok = read(key); !ok) return ok;
        std::vector<Slot> slots = slots_of(service);
        if (const auto at = found_.find(key); at != found_.end()) {
            for (Slot& slot : slots) as_found(slot, at->second.dests);
        }
        want(service, slots);
        return {};
    }
    // Of one of which only weights change: what it has is taken to be what it was given.
    void weigh(const model::ServiceEntry& service) {
        const std::vector<Slot> slots = slots_of(service);
        std::vector<ipvs::DestRecord> dests;
        for (const Slot& slot : slots) {
            if (slot.present) dests.push_back(slot.record());
        }
        const ipvs::ServiceRecord record = reconcile::service_record(service.spec);
        found_[record.key] = {record, reconcile::dests_of(std::move(dests))};
        want(service, slots);
    }
    base::Status leave(const reconcile::Entry& entry) {
        going_.insert(entry);
        return read(entry.service);
    }

    void write(std::vector<std::string>& operations) const {
        for (const ipvs::Op& op : reconcile::plan(wanted_, found_, going_).ops) {
            const auto [before, after] = reconcile::words_of(op, found_);
            std::string words = op.text();
            if (!before.empty() && !after.empty())
                words.append(": ").append(before).append(" -> ").append(after);
            else if (!after.empty())
                words.append(": ").append(after);
            operations.push_back(std::move(words));
        }
    }

  private:
    base::Status read(const ipvs::ServiceKey& key) {
        if (found_.contains(key)) return {};
        auto record = p_->driver->service(key);
        if (!record) return base::fail(record.error());
        if (!*record) return {};
        auto dests = p_->driver->dests(key);
        if (!dests) return base::fail(dests.error());
        found_[key] = {std::move(**record), reconcile::dests_of(std::move(*dests))};
        return {};
    }

    std::vector<Slot> slots_of(const model::ServiceEntry& service) const {
        std::vector<Slot> slots;
        slots.reserve(service.backends.size());
        service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            const auto put = puts_->find(backend->id);
            slots.push_back(put == puts_->end() ? *p_->slots.find(backend->id) : put->second);
        });
        return slots;
    }

    void want(const model::ServiceEntry& service, const std::vector<Slot>& slots) {
        const ipvs::ServiceKey key = reconcile::kernel_key(service.spec.key);
        const std::vector<health::Decision> decisions = p_->weights.decide(service.spec, slots);
        std::vector<ipvs::DestRecord> dests;
        dests.reserve(slots.size());
        for (size_t i = 0; i < slots.size(); ++i) {
            if (decisions[i].present) {
                dests.push_back(reconcile::dest_record(slots[i].backend->spec, decisions[i].effective));
            } else {
                going_.insert({key, slots[i].backend->spec.address});
            }
        }
        wanted_[key] = {reconcile::service_record(service.spec), reconcile::dests_of(std::move(dests))};
    }

    Parts* p_;
    const Puts* puts_;
    reconcile::Table wanted_, found_;
    std::set<reconcile::Entry> going_;
};

std::set<base::Ip> vips_of(const model::Snapshot& snapshot) {
    std::set<base::Ip> vips;
    snapshot.services.for_each(
        [&](const std::string&, const model::ServicePtr& service) { vips.insert(service->spec.key.vip.ip); });
    return vips;
}

}  // namespace

// The same as apply_many(), with nothing done.
Result<Preview> Changer::preview(const model::Config& config) {
    const model::SnapshotPtr now = p_->store.snapshot();
    auto resolved = resolve(PutConfig{config, {}, false}, present(*now));
    if (!resolved) return base::fail(resolved.error());
    Preview out;
    out.counts = resolved->counts;
    out.guard = too_much(*resolved);

    const Known known = p_->known();
    model::Snapshot then = *now;
    std::set<std::string> touched, weighed;
    Outlook::Puts puts;
    LeavingSet leaving;
    std::ranges::copy_if(p_->leaving, std::inserter(leaving, leaving.end()),
                         [this](const store::Leaving& entry) { return !p_->sync.holds(entry); });
    for (const Step& step : resolved->steps) {
        const auto* service = then.services.find(step.service);
        const Prepared prepared = prepare(step, service ? (*service)->spec : step.service_row->spec, known);
        if (prepared.slot) puts.insert_or_assign(prepared.slot->member.id, put_slot(step, *prepared.slot));
        for (const store::Leaving& entry : leaving_of(step)) leaving.insert(entry);
        (only_weighs(step) ? weighed : touched).insert(step.service);
        then = after(then, step);
        const bool drop = step.kind == Step::Kind::drop_service || step.kind == Step::Kind::drop_backend;
        const bool is_new = step.kind == Step::Kind::put_service ? !step.old_service : !step.old_backend;
        out.objects.push_back({drop ? "remove" : is_new ? "add" : "edit", step.service, step.backend});
    }

    Outlook changed(*p_, puts), other(*p_, puts);
    for (const store::Leaving& entry : leaving) {
        if (store::wants(then, entry)) continue;
        if (auto ok = changed.leave(entry_of(entry)); !ok) return base::fail(ok.error());
    }
    for (const std::string& name : touched) {
        const auto* service = then.services.find(name);
        if (!service) continue;
        if (auto ok = changed.look(**service); !ok) return base::fail(ok.error());
    }
    for (const std::string& name : weighed) {
        if (!touched.contains(name)) other.weigh(**then.services.find(name));
    }
    std::set<base::Ip> vips = vips_of(then);
    for (const model::ServiceKey& held : p_->held_vips) vips.insert(held.vip.ip);
    for (const base::Ip& vip : p_->vips.missing({vips.begin(), vips.end()}))
        out.operations.push_back("add VIP " + vip.text());
    changed.write(out.operations);
    other.write(out.operations);
    for (const base::Ip& vip : p_->vips.has_interface() ? vips_of(*now) : std::set<base::Ip>()) {
        if (vips.contains(vip) || !p_->vips_added.contains(vip)) continue;
        out.operations.push_back("remove VIP " + vip.text() +
                                 ", unless somebody else's virtual service has it");
    }
    return out;
}

}  // namespace gorb::control
