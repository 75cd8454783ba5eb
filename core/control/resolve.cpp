#include "control/resolve.h"

#include <algorithm>

#include "control/adopt.h"
#include "control/declared.h"
#include "control/foreign.h"
#include "control/words.h"
#include "model/codec.h"
#include "model/rules.h"
#include "store/difference.h"
#include "store/transitions.h"

namespace gorb::control {

using base::Errc;
using base::Result;
using base::Status;
using Kind = Step::Kind;

namespace {

Result<model::ServicePtr> find_service(const model::Snapshot& now, const std::string& name) {
    if (const auto* entry = now.services.find(name)) return *entry;
    return base::fail(Errc::not_found, "there is no service " + in_quotes(name));
}

Result<model::BackendPtr> find_backend(const model::ServiceEntry& service, const std::string& name) {
    if (const auto* entry = service.backends.find(name)) return *entry;
    return base::fail(Errc::not_found,
                      "service " + in_quotes(service.spec.name) + " has no backend " + in_quotes(name));
}

// RFC 9110, 13.1. `tag` is the object's present one, nullopt if there is no object.
Status check_match(const std::optional<Match>& match, const std::string& what,
                   const std::optional<std::string>& tag) {
    if (!match || (match->absent && !tag)) return {};
    if (match->absent)
        return base::fail(Errc::stale,
                          "If-None-Match is *, and there is " + what + ": its ETag is \"" + *tag + "\"");
    if (!tag) return base::fail(Errc::stale, "If-Match was given, but there is no " + what);
    if (match->any || std::ranges::find(match->tags, *tag) != match->tags.end()) return {};
    return base::fail(Errc::stale, what + " has changed: its ETag is \"" + *tag + "\"");
}

// Documents do not say that a service is being removed: one that is goes on being so.
model::Service as_said(const model::Service& document, const model::ServicePtr& old) {
    model::Service wanted = document;
    wanted.deleting = old && old->spec.deleting;
    return wanted;
}

// `service` as it was, null for a new one.
Status check_takes_backends(const model::ServicePtr& service, const std::string& backend) {
    if (!service || !service->spec.deleting) return {};
    return base::fail(Errc::exists, words(service->spec.name) +
                                        " is being removed and takes no new backend " + in_quotes(backend) +
                                        ": to have it again, DELETE it without \"drain\" and PUT it anew");
}

// ---- steps of one object

Step service_step(const Present& present, const model::Service& wanted, model::Origin origin,
                  const model::ServicePtr& old) {
    Step step;
    step.kind = Kind::put_service;
    step.service = wanted.name;
    step.old_service = old;
    step.revision = present.new_revision();
    auto row = std::make_shared<model::ServiceEntry>();
    row->spec = wanted;
    row->revision = step.revision;
    row->origin = origin;
    step.service_row = std::move(row);
    return step;
}

// May what the kernel has in the place of a service be taken over, and, where one of ours moves there, what
// it has in the places of its backends: the move makes these what gorb says as well.
Status check_service_adoptable(const Present& present, const model::Service& wanted,
                               const model::ServicePtr& old) {
    Status ok = check_adoptable(present, wanted.key, {});
    if (!old) return ok;
    old->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        if (ok) ok = check_adoptable(present, wanted.key, backend->spec.address);
    });
    return ok;
}

Result<Resolved> put_service(const Present& present, const model::Service& wanted,
                             const model::ServicePtr& old, bool adopt) {
    Resolved r;
    r.service = wanted.name;
    if (old && old->spec == wanted) return r;
    if (auto ok = store::check_service_key(present.snapshot, wanted); !ok) return base::fail(ok.error());
    if (old) {
        std::vector<base::Fault> faults;
        old->backends.for_each([&](const std::string& name, const model::BackendPtr& backend) {
            if (faults.size() >= 8) return;
            for (base::Fault& fault : model::backend_in_service_violations(wanted, backend->spec)) {
                faults.push_back({"", "does not suit backend " + in_quotes(name) + ": " + fault.what});
            }
        });
        if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    }
    const bool moves = !old || old->spec.key != wanted.key;
    const Result<bool> foreign = moves && !adopt ? present.foreign(wanted.key) : false;
    if (!foreign) return base::fail(foreign.error());
    if (*foreign) {
        return base::fail(Errc::exists,
                          "the kernel has a virtual service " + wanted.key.text() +
                              " that gorb did not make: PUT with ?adopt=true takes it over, POST "
                              "/kernel/adopt takes it over with its destinations, GET /kernel shows it");
    }
    if (moves && adopt) {
        if (auto ok = check_service_adoptable(present, wanted, old); !ok) return base::fail(ok.error());
    }
    r.log = !old ? "virtual service created" : moves ? "virtual service replaced" : "virtual service changed";
    r.steps.push_back(service_step(present, wanted, old ? old->origin : model::Origin::api, old));
    r.steps.back().adopt = adopt;
    return r;
}

// BackendEntry::drain_since of what `old` becomes.
int64_t drain_since(const Present& present, const model::Backend& wanted, const model::BackendPtr& old) {
    if (wanted.admin != model::Admin::drain) return 0;
    const bool goes_on = old && old->spec.admin == model::Admin::drain &&
                         old->spec.drain_timeout == wanted.drain_timeout &&
                         old->spec.drain_then == wanted.drain_then;
    return goes_on ? old->drain_since : present.wall;
}

// Is nothing about its checks another than it was? Then its plugin need not be there, which may have been
// missing since the start: it can be taken out of service all the same.
bool is_checked_as_before(const model::Backend& wanted, const model::BackendPtr& old) {
    if (!old || !(old->spec.pulses == wanted.pulses)) return false;
    if (wanted.admin == model::Admin::maint) return true;
    return old->spec.admin != model::Admin::maint && old->spec.address == wanted.address;
}

// The step that puts a backend. `service` as it was, null if it comes with the same change.
Result<Step> backend_step(const Present& present, const std::string& service_name,
                          const model::ServicePtr& service, const model::Backend& wanted,
                          const model::BackendPtr& old) {
    auto pulses = present.pulses(wanted.pulses);
    if (!pulses && !is_checked_as_before(wanted, old)) return base::fail(pulses.error());
    Step step;
    step.kind = Kind::put_backend;
    step.service = service_name;
    step.backend = wanted.name;
    if (pulses) step.pulses = *pulses;
    step.old_service = service;
    step.old_backend = old;
    step.revision = present.new_revision();
    auto row = std::make_shared<model::BackendEntry>();
    row->spec = wanted;
    if (pulses) row->spec.pulses = list_of(*pulses);  // the copy that all share
    row->id = old ? old->id : present.new_id();
    row->revision = step.revision;
    row->drain_since = drain_since(present, wanted, old);
    step.backend_row = std::move(row);
    return step;
}

Result<Resolved> put_backend(const Present& present, const model::ServicePtr& service,
                             const model::Backend& wanted, const model::BackendPtr& old, bool adopt) {
    Resolved r;
    r.service = service->spec.name;
    r.backend = wanted.name;
    if (old && old->spec == wanted) return r;
    if (auto ok = check_takes_backends(old ? nullptr : service, wanted.name); !ok)
        return base::fail(ok.error());
    if (auto faults = model::backend_in_service_violations(service->spec, wanted); !faults.empty())
        return base::fail(base::faults_error(std::move(faults)));
    if (auto ok = store::check_backend_address(*service, wanted); !ok) return base::fail(ok.error());
    auto step = backend_step(present, service->spec.name, service, wanted, old);
    if (!step) return base::fail(step.error());
    step->adopt = adopt;
    const bool moves = !old || old->spec.address != wanted.address;
    if (moves) {
        const Status ok = adopt ? check_adoptable(present, service->spec.key, wanted.address)
                                : check_free(present, *service, wanted);
        if (!ok) return base::fail(ok.error());
    }
    r.log = !old ? "backend created" : moves ? "backend replaced" : "backend changed";
    r.steps.push_back(std::move(*step));
    return r;
}

Step drop_backend(const Present& present, const model::ServicePtr& service, const model::BackendPtr& old) {
    Step step;
    step.kind = Kind::drop_backend;
    step.service = service->spec.name;
    step.backend = old->spec.name;
    step.old_service = service;
    step.old_backend = old;
    step.revision = present.new_revision();
    return step;
}

Step drop_service(const Present& present, const model::ServicePtr& old) {
    Step step;
    step.kind = Kind::drop_service;
    step.service = old->spec.name;
    step.old_service = old;
    step.revision = present.new_revision();
    return step;
}

// ---- many objects

void append(Resolved& r, Resolved&& more) {
    for (Step& step : more.steps) r.steps.push_back(std::move(step));
}

const model::ConfigService& service_of(const model::Config& config, const std::string& name) {
    return *std::ranges::lower_bound(
        config.services, name, {}, [](const auto& s) -> const auto& { return s.spec.name; });
}

// From the state as it is to the config's; services that are not in it go when `concerns` says so. What is
// dropped comes first: its key or address may be another's. `origin`: nullopt for the one it has.
Result<Resolved> become(const Present& present, const model::Config& config,
                        std::optional<model::Origin> origin,
                        const std::function<bool(const model::ServiceEntry&)>& concerns) {
    Resolved r;
    r.many = true;
    const model::Snapshot& now = present.snapshot;
    const auto old_service = [&](const std::string& name) {
        const auto* found = now.services.find(name);
        return found ? *found : nullptr;
    };
    const store::Difference d = store::difference(now, config, concerns);
    for (const auto& [service, backend] : d.drop_backends) {
        ++r.counts.removed;
        if (std::ranges::binary_search(d.drop_services, service)) continue;  // goes with it
        const model::ServicePtr old = old_service(service);
        r.steps.push_back(drop_backend(present, old, *old->backends.find(backend)));
    }
    for (const std::string& name : d.drop_services) {
        ++r.counts.removed;
        r.steps.push_back(drop_service(present, old_service(name)));
    }
    for (const model::ConfigService& wanted : config.services) {
        const model::ServicePtr old = old_service(wanted.spec.name);
        const model::Origin from = origin.value_or(old ? old->origin : model::Origin::api);
        const model::Service spec = as_said(wanted.spec, old);
        if (old && old->spec == spec && old->origin == from) continue;
        r.steps.push_back(service_step(present, spec, from, old));
        ++(old ? r.counts.changed : r.counts.added);
    }
    std::vector<base::Fault> faults;
    for (const auto* names : {&d.edit_backends, &d.add_backends}) {
        for (const auto& [service, backend] : *names) {
            const model::ServicePtr old = old_service(service);
            const auto* before = old ? old->backends.find(backend) : nullptr;
            if (auto ok = check_takes_backends(before ? nullptr : old, backend); !ok)
                return base::fail(ok.error());
            const auto& wanted = *std::ranges::lower_bound(service_of(config, service).backends, backend, {},
                                                           &model::Backend::name);
            auto step = backend_step(present, service, old, wanted, before ? *before : nullptr);
            if (step) {
                r.steps.push_back(std::move(*step));
                continue;
            }
            if (step.error().faults.empty()) return base::fail(step.error());
            std::string under = "/services/";
            under.append(service).append("/backends/").append(backend);
            for (const base::Fault& fault : step.error().faults) {
                if (faults.size() < 64) faults.push_back({under + fault.pointer, fault.what});
            }
        }
    }
    r.counts.added += d.add_backends.size();
    r.counts.changed += d.edit_backends.size();
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return r;
}

// Keys of the config's services that are another service's, which stays.
Status check_keys(const model::Snapshot& now, const model::Config& config,
                  const std::function<bool(const model::ServiceEntry&)>& concerns) {
    for (const model::ConfigService& wanted : config.services) {
        const std::string* owner = now.by_key.find(wanted.spec.key);
        if (!owner || *owner == wanted.spec.name) continue;
        const model::ServiceEntry& other = **now.services.find(*owner);
        const auto at = std::ranges::lower_bound(
            config.services, *owner, {}, [](const auto& s) -> const auto& { return s.spec.name; });
        const bool moves = at != config.services.end() && at->spec.name == *owner;
        if (moves || !concerns || concerns(other)) continue;
        if (auto ok = store::check_service_key(now, wanted.spec); !ok)
            return base::fail(at_fault(ok.error(), wanted.spec.name));
    }
    return {};
}

// A service whose connections are waited for: its backends are drained, and it goes with the last of them.
Resolved leave_slowly(const Present& present, const model::ServicePtr& old, base::Nanos drain) {
    Resolved r;
    r.many = true;
    r.later = true;
    r.service = old->spec.name;
    r.log = removed("virtual service will be removed when its connections have ended", old);
    model::Service spec = old->spec;
    spec.deleting = true;
    auto put = put_service(present, spec, old, false);
    append(r, std::move(*put));
    old->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        model::Backend wanted = backend->spec;
        wanted.admin = model::Admin::drain;
        wanted.drain_then = model::DrainThen::remove;
        wanted.drain_timeout = model::drain_time(drain);
        // One that was not checked and can not be, because its plugin is missing, is not waited for.
        auto step = backend_step(present, old->spec.name, old, wanted, backend);
        r.steps.push_back(step ? std::move(*step) : drop_backend(present, old, backend));
    });
    for (const Step& step : r.steps)
        ++(step.kind == Kind::drop_backend ? r.counts.removed : r.counts.changed);
    return r;
}

// ---- one function for each kind of change

Result<Resolved> resolve_one(const PutService& change, const Present& present) {
    const auto* found = present.snapshot.services.find(change.service.name);
    const model::ServicePtr old = found ? *found : nullptr;
    const std::string what = words(change.service.name);
    std::optional<std::string> tag;
    if (old) tag = present.etag(old->revision);
    if (auto ok = check_match(change.match, what, tag); !ok) return base::fail(ok.error());
    const model::Service wanted = as_said(change.service, old);
    if (old && !change.match && !(old->spec == wanted)) return base::fail(exists_with_other_content(what));
    return put_service(present, wanted, old, change.adopt);
}

Result<Resolved> resolve_one(const PatchService& change, const Present& present) {
    auto old = find_service(present.snapshot, change.service);
    if (!old) return base::fail(old.error());
    if (auto ok = check_match(change.match, words(change.service), present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    auto wanted = model::patch_service((*old)->spec, change.body);
    if (!wanted) return base::fail(wanted.error());
    return put_service(present, *wanted, *old, false);
}

Result<Resolved> resolve_one(const DeleteService& change, const Present& present) {
    auto old = find_service(present.snapshot, change.service);
    if (!old) return base::fail(old.error());
    if (auto ok = check_match(change.match, words(change.service), present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    if (change.drain > base::Nanos(0) && !(*old)->backends.empty())
        return leave_slowly(present, *old, change.drain);
    Resolved r;
    r.service = change.service;
    r.deletion = true;
    r.log = removed("virtual service removed", *old);
    r.steps.push_back(drop_service(present, *old));
    return r;
}

Result<Resolved> resolve_one(const PutBackend& change, const Present& present) {
    auto service = find_service(present.snapshot, change.service);
    if (!service) return base::fail(service.error());
    const auto* found = (*service)->backends.find(change.backend.name);
    const model::BackendPtr old = found ? *found : nullptr;
    const std::string what = words(change.service, change.backend.name);
    std::optional<std::string> tag;
    if (old) tag = present.etag(old->revision);
    if (auto ok = check_match(change.match, what, tag); !ok) return base::fail(ok.error());
    if (old && !change.match && !(old->spec == change.backend))
        return base::fail(exists_with_other_content(what));
    return put_backend(present, *service, change.backend, old, change.adopt);
}

Result<Resolved> resolve_one(const PatchBackend& change, const Present& present) {
    auto service = find_service(present.snapshot, change.service);
    if (!service) return base::fail(service.error());
    auto old = find_backend(**service, change.backend);
    if (!old) return base::fail(old.error());
    const std::string what = words(change.service, change.backend);
    if (auto ok = check_match(change.match, what, present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    auto wanted = model::patch_backend((*old)->spec, change.body);
    if (!wanted) return base::fail(wanted.error());
    return put_backend(present, *service, *wanted, *old, false);
}

Result<Resolved> resolve_one(const DeleteBackend& change, const Present& present) {
    auto service = find_service(present.snapshot, change.service);
    if (!service) return base::fail(service.error());
    auto old = find_backend(**service, change.backend);
    if (!old) return base::fail(old.error());
    const std::string what = words(change.service, change.backend);
    if (auto ok = check_match(change.match, what, present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    if (change.drain > base::Nanos(0)) {
        model::Backend wanted = (*old)->spec;
        wanted.admin = model::Admin::drain;
        wanted.drain_then = model::DrainThen::remove;
        wanted.drain_timeout = model::drain_time(change.drain);
        auto r = put_backend(present, *service, wanted, *old, false);
        if (r) r->later = true;
        if (r && !r->log.empty())
            r->log = removed("backend will be removed when its connections have ended", *service);
        return r;
    }
    Resolved r;
    r.service = change.service;
    r.backend = change.backend;
    r.deletion = true;
    r.log = removed("backend removed", *service);
    r.steps.push_back(drop_backend(present, *service, *old));
    return r;
}

Result<Resolved> resolve_one(const KeepService& change, const Present& present) {
    const auto* old = present.snapshot.services.find(change.service);
    if (!old || !is_called_off(**old)) return Resolved{};
    model::Service wanted = (*old)->spec;
    wanted.deleting = false;
    auto r = put_service(present, wanted, *old, false);
    if (r) r->log = "virtual service is not removed any more, since none of its backends leaves";
    return r;
}

Result<Resolved> resolve_one(const PutConfig& change, const Present& present) {
    if (auto ok = check_match(change.match, "the configuration", present.etag(present.snapshot.revision));
        !ok)
        return base::fail(ok.error());
    const auto is_leaving = [&](const model::ConfigService& wanted) {
        const auto* old = present.snapshot.services.find(wanted.spec.name);
        return old && (*old)->spec.deleting;
    };
    std::optional<model::Config> kept;  // there may be 100,000 backends, and seldom any of them leaves
    std::string note;
    if (std::ranges::any_of(change.config.services, is_leaving))
        note = keep_removals(kept.emplace(change.config), present.snapshot);
    const model::Config& config = kept ? *kept : change.config;
    auto r = become(present, config, {}, {});
    if (!r) return r;
    if (auto ok = check_foreign(present, config, *r); !ok) return base::fail(ok.error());
    r->note = std::move(note);
    r->log = "configuration replaced";
    const auto of_file = std::ranges::find_if(r->steps, [](const Step& step) {
        const bool drops = step.kind == Kind::drop_service || step.kind == Kind::drop_backend;
        return drops && step.old_service->origin == model::Origin::file;
    });
    if (of_file != r->steps.end())
        r->log = removed("configuration replaced, services or backends removed", of_file->old_service);
    return r;
}

Result<Resolved> resolve_one(const Declare& change, const Present& present) {
    const auto from_file = [](const model::ServiceEntry& s) { return s.origin == model::Origin::file; };
    if (auto ok = check_keys(present.snapshot, change.config, from_file); !ok) return base::fail(ok.error());
    const model::Config config = as_operated(change.config, present.snapshot);
    auto r = become(present, config, model::Origin::file,
                    [&](const model::ServiceEntry& s) { return from_file(s) && !goes_by_itself(s, config); });
    if (!r) return r;
    if (auto ok = check_foreign(present, config, *r); !ok) return base::fail(ok.error());
    r->log = "declarative files applied";
    return r;
}

Result<Resolved> resolve_one(const Adopt& change, const Present& present) {
    auto found = present.found(change);
    if (!found) return base::fail(found.error());
    if (present.snapshot.services.find(found->spec.name)) {
        return base::fail(Errc::exists, "there is a service " + in_quotes(found->spec.name) +
                                            " already: name the adopted one otherwise");
    }
    if (auto ok = store::check_service_key(present.snapshot, found->spec); !ok) return base::fail(ok.error());
    Resolved r;
    r.many = true;
    r.service = found->spec.name;
    r.log = "virtual service adopted";
    r.note = note_on_adopted(*found);
    auto put = put_service(present, found->spec, nullptr, true);
    if (!put) return put;
    append(r, std::move(*put));
    for (const model::Backend& backend : found->backends) {
        if (auto faults = model::backend_in_service_violations(found->spec, backend); !faults.empty())
            return base::fail(base::faults_error(std::move(faults)));
        auto step = backend_step(present, r.service, nullptr, backend, nullptr);
        if (!step) return base::fail(step.error());
        step->adopt = true;
        r.steps.push_back(std::move(*step));
    }
    r.counts.added = r.steps.size();
    return r;
}

}  // namespace

Result<Resolved> resolve(const Change& change, const Present& present) {
    return std::visit([&](const auto& c) { return resolve_one(c, present); }, change);
}

}  // namespace gorb::control
