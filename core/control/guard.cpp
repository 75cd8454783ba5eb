// The guard against mass deletion, for changes of many objects: Changer::guard().
#include <algorithm>

#include "control/changer.h"
#include "control/rows.h"
#include "reconcile/plan.h"
#include "store/transitions.h"

namespace gorb::control {
namespace {

bool forced(const Change& change) {
    if (const auto* put = std::get_if<PutConfig>(&change)) return put->force;
    if (const auto* declare = std::get_if<Declare>(&change)) return declare->force;
    return true;  // it names what it removes
}

}  // namespace

base::Status Changer::guard(const Change& change, const Resolved& resolved) {
    if (forced(change)) return {};
    std::string words = too_much(resolved);
    if (words.empty()) return {};
    // Files have no word for it, other than PUT /config?force=true.
    if (std::holds_alternative<Declare>(change)) words += ": by a start with --force";
    p_->events.add({0, p_->clock.wall(), "guard", "", "", "", words});
    return base::fail(base::Errc::exists, words);
}

// Would too much of what the kernel has of ours go with it? "" if not.
std::string Changer::too_much(const Resolved& resolved) const {
    const auto present = [&](const model::BackendPtr& backend) {
        return p_->slots.find(backend->id)->present;
    };
    reconcile::Plan plan;
    const model::SnapshotPtr now = p_->store.snapshot();
    now->services.for_each([&](const std::string& name, const model::ServicePtr& service) {
        if (p_->records.contains(name)) ++plan.ours;
        service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            if (present(backend)) ++plan.ours;
        });
    });
    std::vector<store::Leaving> going;
    const auto go = [&](const model::ServicePtr& in, const model::BackendPtr& backend) {
        if (present(backend)) going.push_back({in->spec.key, backend->spec.address});
    };
    for (const Step& step : resolved.steps) {
        // What gets another address goes from where it was.
        if (step.kind == Step::Kind::drop_service || rekeys(step)) {
            if (p_->records.contains(step.service)) going.push_back({step.old_service->spec.key, {}});
            step.old_service->backends.for_each(
                [&](const std::string&, const auto& backend) { go(step.old_service, backend); });
        }
        if (step.kind == Step::Kind::drop_backend || moves(step)) go(step.old_service, step.old_backend);
    }
    // A backend may move with its service.
    std::ranges::sort(going);
    going.erase(std::unique(going.begin(), going.end()), going.end());
    plan.removals = going.size();
    if (reconcile::too_much(plan, p_->guard).empty()) return {};
    // What gets another name, or changes places with another, stays.
    model::Snapshot then = *now;
    for (const Step& step : resolved.steps) then = after(then, step);
    std::erase_if(going, [&](const store::Leaving& entry) { return store::wants(then, entry); });
    plan.removals = going.size();
    return reconcile::too_much(plan, p_->guard);
}

}  // namespace gorb::control
