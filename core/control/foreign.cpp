#include "control/foreign.h"

#include <algorithm>
#include <set>

#include "control/adopt.h"
#include "control/words.h"
#include "model/scheduler.h"
#include "reconcile/applier.h"
#include "reconcile/records.h"

namespace gorb::control {
namespace {

using Kind = Step::Kind;

// `in`: as one of our services has it now.
base::Status check_backend(const Present& present, const model::ServiceKey& in, const std::string& service,
                           const model::Backend& backend) {
    const std::string& owner = *present.snapshot.by_key.find(in);
    if ((*present.snapshot.services.find(owner))->by_address.find(backend.address)) return {};
    const base::Result<bool> foreign = present.foreign_backend(in, backend.address);
    if (!foreign) return base::fail(foreign.error());
    if (!*foreign) return {};
    const std::string help = owner == service
                                 ? "PUT it with ?adopt=true first"
                                 : "PUT it into " + words(owner) + " with ?adopt=true first, or remove it";
    return base::fail(foreign_in_place_of("destination " + backend.address.text() + " in " + in.text(),
                                          words(service, backend.name), help));
}

base::Status check_service(const Present& present, const model::ConfigService& wanted) {
    const model::ServiceKey& key = wanted.spec.key;
    // What stands in a service that another of ours has left, or exchanged with it, need not be ours.
    if (present.snapshot.by_key.find(key)) {
        for (const model::Backend& backend : wanted.backends) {
            if (auto ok = check_backend(present, key, wanted.spec.name, backend); !ok) return ok;
        }
        return {};
    }
    const base::Result<bool> foreign = present.foreign(key);
    if (!foreign) return base::fail(foreign.error());
    if (!*foreign) return {};
    return base::fail(foreign_in_place_of("virtual service " + key.text(), words(wanted.spec.name),
                                          "POST /kernel/adopt takes it over first"));
}

}  // namespace

bool may_wait(const model::Service& service, const model::Backend& backend) {
    return model::absent_at_zero(service) || (backend.admin != model::Admin::ready &&
                                              model::effective_on_down(service) == model::OnDown::remove);
}

base::Status check_free(const Present& present, const model::ServiceEntry& service,
                        const model::Backend& wanted) {
    const bool waits = may_wait(service.spec, wanted);
    if (!waits && service.backends.size() >= present.few) return {};
    const base::Result<bool> foreign = present.foreign_backend(service.spec.key, wanted.address);
    if (!foreign && waits) return base::fail(foreign.error());
    if (!foreign || !*foreign) return {};
    return base::fail(reconcile::in_the_way(
        ipvs::Op::add(reconcile::kernel_key(service.spec.key), {.address = wanted.address})));
}

base::Status check_adoptable(const Present& present, const model::ServiceKey& key,
                             const std::optional<base::Endpoint>& backend) {
    const base::Result<std::string> unspoken = present.unspoken(key, backend);
    if (!unspoken) return base::fail(unspoken.error());
    if (unspoken->empty()) return {};
    return base::fail(not_adoptable(backend ? backend->text() + " in " + key.text() : key.text(), *unspoken));
}

base::Status check_foreign(const Present& present, const model::Config& config, const Resolved& resolved) {
    std::set<std::string> with_key;  // services that are checked with all that is in them
    for (const Step& step : resolved.steps) {
        base::Status ok;
        if (step.kind == Kind::put_service) {
            const bool has_key = step.old_service && step.old_service->spec.key == step.service_row->spec.key;
            if (has_key) continue;
            with_key.insert(step.service);
            ok = check_service(present, *std::ranges::lower_bound(
                                            config.services, step.service, {},
                                            [](const auto& s) -> const auto& { return s.spec.name; }));
        } else if (step.kind == Kind::put_backend && !with_key.contains(step.service)) {
            ok = check_backend(present, step.old_service->spec.key, step.service, step.backend_row->spec);
        }
        if (!ok) return base::fail(at_fault(ok.error(), step.service, step.backend));
    }
    return {};
}

base::Status check_foreign(const Present& present, const Change& change, const Resolved& resolved) {
    if (const auto* whole = std::get_if<PutConfig>(&change))
        return check_foreign(present, whole->config, resolved);
    if (const auto* files = std::get_if<Declare>(&change))
        return check_foreign(present, files->config, resolved);
    return {};  // of one object it is looked at when that is made, and an Adopt wants what is not ours
}

}  // namespace gorb::control
