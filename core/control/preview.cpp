// What a configuration would change: Changer::preview().
#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "control/changer.h"
#include "control/rows.h"
#include "reconcile/records.h"

namespace gorb::control {

using base::Result;

// The same as apply_many(), with nothing done.
Result<Preview> Changer::preview(const model::Config& config) {
    const model::SnapshotPtr now = p_->store.snapshot();
    auto resolved = resolve(PutConfig{config, {}, false}, present(*now));
    if (!resolved) return base::fail(resolved.error());
    Preview out;
    out.counts = resolved->counts;
    if (auto ok = guard(PutConfig{}, *resolved); !ok) out.guard = ok.error().sentence;

    const Known known = p_->known();
    model::Snapshot then = *now;
    std::set<std::string> touched;
    std::map<model::BackendId, health::Decision> decided;
    LeavingSet leaving;
    std::ranges::copy_if(p_->leaving, std::inserter(leaving, leaving.end()),
                         [this](const store::Leaving& entry) { return !p_->sync.holds(entry); });
    for (const Step& step : resolved->steps) {
        const auto* service = then.services.find(step.service);
        const Prepared prepared = prepare(step, service ? (*service)->spec : step.service_row->spec, known);
        if (prepared.slot) decided[prepared.slot->member.id] = prepared.slot->decision;
        for (const store::Leaving& entry : leaving_of(step)) leaving.insert(entry);
        touched.insert(step.service);
        then = after(then, step);
        const bool drop = step.kind == Step::Kind::drop_service || step.kind == Step::Kind::drop_backend;
        const bool is_new = step.kind == Step::Kind::put_service ? !step.old_service : !step.old_backend;
        out.objects.push_back({drop ? "remove" : is_new ? "add" : "edit", step.service, step.backend});
    }
    reconcile::Table wanted, found;
    std::set<reconcile::Entry> going;
    for (const store::Leaving& entry : leaving) going.insert(entry_of(entry));
    for (const std::string& name : touched) {
        const auto* service = then.services.find(name);
        if (!service) continue;
        const ipvs::ServiceKey key = reconcile::kernel_key((*service)->spec.key);
        reconcile::TableService& want = wanted[key];
        want.record = reconcile::service_record((*service)->spec);
        std::vector<ipvs::DestRecord> dests;
        (*service)->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            const auto at = decided.find(backend->id);
            const health::Decision decision =
                at == decided.end() ? p_->slots.find(backend->id)->decision : at->second;
            if (decision.present) dests.push_back(reconcile::dest_record(backend->spec, decision.effective));
        });
        want.dests = reconcile::dests_of(std::move(dests));
        going.insert({key, {}});  // to be read; what is wanted stays
    }
    for (const reconcile::Entry& entry : going) {
        if (found.contains(entry.service)) continue;
        auto record = p_->driver->service(entry.service);
        if (!record) return base::fail(record.error());
        if (!*record) continue;
        auto dests = p_->driver->dests(entry.service);
        if (!dests) return base::fail(dests.error());
        found[entry.service] = {std::move(**record), reconcile::dests_of(std::move(*dests))};
    }
    for (const ipvs::Op& op : reconcile::plan(wanted, found, going).ops) {
        const auto [before, after] = reconcile::words_of(op, found);
        std::string words = op.text();
        if (!before.empty() && !after.empty())
            words.append(": ").append(before).append(" -> ").append(after);
        else if (!after.empty())
            words.append(": ").append(after);
        out.operations.push_back(std::move(words));
    }
    return out;
}

}  // namespace gorb::control
