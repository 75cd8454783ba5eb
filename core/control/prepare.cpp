#include "control/prepare.h"

#include <algorithm>

#include "model/rules.h"
#include "reconcile/records.h"
#include "store/transitions.h"

namespace gorb::control {

using base::Errc;
using base::Result;
using base::Status;
using ipvs::Op;

namespace {

std::string quoted(const std::string& name) {
    return "\"" + name + "\"";
}

Result<model::ServicePtr> find_service(const model::Snapshot& now, const std::string& name) {
    if (const auto* entry = now.services.find(name)) return *entry;
    return base::fail(Errc::not_found, "there is no service " + quoted(name));
}

Result<model::BackendPtr> find_backend(const model::ServiceEntry& service, const std::string& name) {
    if (const auto* entry = service.backends.find(name)) return *entry;
    return base::fail(Errc::not_found,
                      "service " + quoted(service.spec.name) + " has no backend " + quoted(name));
}

// RFC 9110, 13.1.1. `tag` is the object's present one, nullopt if there is no object.
Status check_match(const std::optional<Match>& match, const std::string& what,
                   const std::optional<std::string>& tag) {
    if (!match) return {};
    if (!tag) return base::fail(Errc::stale, "If-Match was given, but there is no " + what);
    if (match->any || std::ranges::find(match->tags, *tag) != match->tags.end()) return {};
    return base::fail(Errc::stale, what + " has changed: its ETag is \"" + *tag + "\"");
}

base::Error exists_with_other_content(const std::string& what) {
    return {Errc::exists, "specified object already exists: " + what +
                              " has other content; to replace it, send If-Match with its ETag or *, to "
                              "change single fields, PATCH it"};
}

// A destination operation with the whole service in it (see reconcile::Transaction).
Op dest_op(Op::Kind kind, const ipvs::ServiceRecord& service, const ipvs::DestRecord& dest) {
    return Op{kind, service, dest};
}

Result<Prepared> put_service(const Present& present, const model::Service& wanted,
                             const model::ServicePtr& old) {
    Prepared p;
    p.service = wanted.name;
    if (old && old->spec == wanted) {
        p.changed = false;
        return p;
    }
    if (auto ok = store::check_service_key(present.snapshot, wanted); !ok) return base::fail(ok.error());
    if (old) {
        std::vector<base::Fault> faults;
        old->backends.for_each([&](const std::string& name, const model::BackendPtr& backend) {
            if (faults.size() >= 8) return;
            for (base::Fault& fault : model::backend_in_service_violations(wanted, backend->spec)) {
                faults.push_back({"", "does not suit backend " + quoted(name) + ": " + fault.what});
            }
        });
        if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    }

    const ipvs::ServiceRecord record = present.service_record(wanted);
    if (!old) {
        p.transaction.make.push_back(Op::add(record));
        p.vip_acquire = wanted.key.vip.ip;
        p.log = "virtual service created";
    } else if (old->spec.key == wanted.key) {
        p.transaction.make.push_back(Op::edit(record));
        p.log = "virtual service changed";
    } else {
        // The key is the identity: the new service with all its destinations first, then the old one goes.
        p.transaction.make.push_back(Op::add(record));
        old->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            const Slot* slot = present.slot(backend->id);
            if (slot->present)
                p.transaction.make.push_back(dest_op(Op::Kind::add_dest, record, slot->record()));
        });
        p.transaction.remove.push_back(Op::remove(reconcile::kernel_key(old->spec.key)));
        p.vip_acquire = wanted.key.vip.ip;
        p.vip_release = old->spec.key.vip.ip;
        p.log = "virtual service replaced";
    }
    p.commit = [wanted](const model::Snapshot& now) { return store::with_service(now, wanted); };
    return p;
}

bool all_begin_up(const model::PulseList& pulses) {
    return std::ranges::all_of(pulses, [](const auto& p) { return p.initial == model::Initial::up; });
}

// What is known of a backend that becomes `spec`, from what was known of it.
Slot slot_for(model::BackendId id, const model::Backend& spec, const model::BackendPtr& old,
              const Slot& was) {
    Slot slot;
    if (old && old->spec.address == spec.address) {
        slot = was;
        slot.trouble.clear();
        const bool same_question = std::ranges::equal(old->spec.pulses, spec.pulses, {},
                                                      &model::PulseSpec::type, &model::PulseSpec::type);
        const bool back = old->spec.admin == model::Admin::maint && spec.admin != model::Admin::maint;
        if (spec.admin == model::Admin::maint || back) {
            // Nobody looks at it, so nothing is known.
            slot.member = health::Member{};
            slot.state_before = health::State::unknown;
        } else if (!same_question) {
            // Its health is asked in another way from now on: until there is an answer it goes on as it is.
            slot.member.state = health::State::unknown;
            slot.member.before = slot.present ? slot.weight : 0;
            slot.member.share = 100;
        }
    } else if (all_begin_up(spec.pulses)) {
        slot.member.state = health::State::up;
    }
    slot.member.id = id;
    slot.member.configured = spec.weight;
    slot.member.admin = spec.admin;
    slot.member.backup = spec.backup;
    return slot;
}

Result<Prepared> put_backend(const Present& present, const model::ServiceEntry& service,
                             const model::Backend& wanted, const model::BackendPtr& old) {
    Prepared p;
    p.service = service.spec.name;
    p.backend = wanted.name;
    if (old && old->spec == wanted) {
        p.changed = false;
        return p;
    }
    if (auto faults = model::backend_in_service_violations(service.spec, wanted); !faults.empty()) {
        return base::fail(base::faults_error(std::move(faults)));
    }
    auto pulses = present.pulses(wanted.pulses);
    if (!pulses) return base::fail(pulses.error());
    if (auto ok = store::check_backend_address(service, wanted); !ok) return base::fail(ok.error());

    model::Backend spec = wanted;
    spec.pulses = list_of(*pulses);  // the copy that all share
    const model::BackendId id = old ? old->id : present.new_id();
    const bool moves = !old || old->spec.address != spec.address;
    const Slot was = old ? *present.slot(id) : Slot{};
    Slot slot = slot_for(id, spec, old, was);
    slot.decision = present.decide(service.spec, slot);
    slot.present = slot.decision.present;
    const ipvs::DestRecord record = reconcile::dest_record(spec, slot.decision.effective);

    const ipvs::ServiceRecord in = present.service_record(service.spec);
    if (moves) {
        if (slot.present) p.transaction.make.push_back(dest_op(Op::Kind::add_dest, in, record));
        if (old) p.transaction.remove.push_back(Op::remove(in.key, old->spec.address));
        p.transaction.keep_weight_up_to = spec.admin == model::Admin::ready ? spec.weight : 0;
        p.log = old ? "backend replaced" : "backend created";
        slot.took(record);
    } else {
        const ipvs::DestRecord before = was.record();
        const ipvs::DestRecord edited = reconcile::keeping(record, before);
        // A change of the pulse alone is none of the kernel's business.
        if (slot.present && !was.present) {
            p.transaction.make.push_back(dest_op(Op::Kind::add_dest, in, edited));
        } else if (!slot.present && was.present) {
            p.transaction.remove.push_back(Op::remove(in.key, spec.address));
        } else if (slot.present && !edited.same_settings(before)) {
            p.transaction.make.push_back(dest_op(Op::Kind::edit_dest, in, edited));
        }
        p.log = "backend changed";
        slot.took(edited);
    }
    const bool checked = spec.admin != model::Admin::maint;
    const bool was_checked = old && old->spec.admin != model::Admin::maint;
    if (checked && (moves || !was_checked || !(old->spec.pulses == spec.pulses))) {
        p.check =
            health::Target{id, service.spec.name, spec.name, spec.address, spec.pulses, (*pulses)->args};
    }
    if (!checked && was_checked) p.forget_check = id;
    p.slot = std::move(slot);
    p.commit = [name = service.spec.name, spec, id](const model::Snapshot& now) {
        return store::with_backend(now, name, spec, id);
    };
    return p;
}

// ---- one function for each kind of change

Result<Prepared> prepare_one(const PutService& change, const Present& present) {
    const auto* found = present.snapshot.services.find(change.service.name);
    const model::ServicePtr old = found ? *found : nullptr;
    const std::string what = "service " + quoted(change.service.name);
    std::optional<std::string> tag;
    if (old) tag = present.etag(old->revision);
    if (auto ok = check_match(change.match, what, tag); !ok) return base::fail(ok.error());
    if (old && !change.match && !(old->spec == change.service))
        return base::fail(exists_with_other_content(what));
    return put_service(present, change.service, old);
}

Result<Prepared> prepare_one(const PatchService& change, const Present& present) {
    auto old = find_service(present.snapshot, change.service);
    if (!old) return base::fail(old.error());
    const std::string what = "service " + quoted(change.service);
    if (auto ok = check_match(change.match, what, present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    auto wanted = model::patch_service((*old)->spec, change.body);
    if (!wanted) return base::fail(wanted.error());
    return put_service(present, *wanted, *old);
}

Result<Prepared> prepare_one(const DeleteService& change, const Present& present) {
    auto old = find_service(present.snapshot, change.service);
    if (!old) return base::fail(old.error());
    const std::string what = "service " + quoted(change.service);
    if (auto ok = check_match(change.match, what, present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    Prepared p;
    p.service = change.service;
    p.deletion = true;
    p.transaction.remove.push_back(Op::remove(reconcile::kernel_key((*old)->spec.key)));
    p.vip_release = (*old)->spec.key.vip.ip;
    (*old)->backends.for_each(
        [&](const std::string&, const model::BackendPtr& backend) { p.forget.push_back(backend->id); });
    p.commit = [name = change.service](const model::Snapshot& now) {
        return store::without_service(now, name);
    };
    p.log = "virtual service removed";
    return p;
}

Result<Prepared> prepare_one(const PutBackend& change, const Present& present) {
    auto service = find_service(present.snapshot, change.service);
    if (!service) return base::fail(service.error());
    const auto* found = (*service)->backends.find(change.backend.name);
    const model::BackendPtr old = found ? *found : nullptr;
    const std::string what =
        "backend " + quoted(change.backend.name) + " of service " + quoted(change.service);
    std::optional<std::string> tag;
    if (old) tag = present.etag(old->revision);
    if (auto ok = check_match(change.match, what, tag); !ok) return base::fail(ok.error());
    if (old && !change.match && !(old->spec == change.backend))
        return base::fail(exists_with_other_content(what));
    return put_backend(present, **service, change.backend, old);
}

Result<Prepared> prepare_one(const PatchBackend& change, const Present& present) {
    auto service = find_service(present.snapshot, change.service);
    if (!service) return base::fail(service.error());
    auto old = find_backend(**service, change.backend);
    if (!old) return base::fail(old.error());
    const std::string what = "backend " + quoted(change.backend) + " of service " + quoted(change.service);
    if (auto ok = check_match(change.match, what, present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    auto wanted = model::patch_backend((*old)->spec, change.body);
    if (!wanted) return base::fail(wanted.error());
    return put_backend(present, **service, *wanted, *old);
}

Result<Prepared> prepare_one(const DeleteBackend& change, const Present& present) {
    auto service = find_service(present.snapshot, change.service);
    if (!service) return base::fail(service.error());
    auto old = find_backend(**service, change.backend);
    if (!old) return base::fail(old.error());
    const std::string what = "backend " + quoted(change.backend) + " of service " + quoted(change.service);
    if (auto ok = check_match(change.match, what, present.etag((*old)->revision)); !ok)
        return base::fail(ok.error());
    Prepared p;
    p.service = change.service;
    p.backend = change.backend;
    p.deletion = true;
    p.transaction.remove.push_back(
        Op::remove(reconcile::kernel_key((*service)->spec.key), (*old)->spec.address));
    p.forget.push_back((*old)->id);
    p.commit = [s = change.service, b = change.backend](const model::Snapshot& now) {
        return store::without_backend(now, s, b);
    };
    p.log = "backend removed";
    return p;
}

}  // namespace

const std::string& service_name(const Change& change) {
    struct Name {
        const std::string& operator()(const PutService& c) const { return c.service.name; }
        const std::string& operator()(const PutBackend& c) const { return c.service; }
        const std::string& operator()(const PatchService& c) const { return c.service; }
        const std::string& operator()(const PatchBackend& c) const { return c.service; }
        const std::string& operator()(const DeleteService& c) const { return c.service; }
        const std::string& operator()(const DeleteBackend& c) const { return c.service; }
    };
    return std::visit(Name{}, change);
}

const std::string& backend_name(const Change& change) {
    static const std::string none;
    struct Name {
        const std::string& operator()(const PutBackend& c) const { return c.backend.name; }
        const std::string& operator()(const PatchBackend& c) const { return c.backend; }
        const std::string& operator()(const DeleteBackend& c) const { return c.backend; }
        const std::string& operator()(const PutService&) const { return none; }
        const std::string& operator()(const PatchService&) const { return none; }
        const std::string& operator()(const DeleteService&) const { return none; }
    };
    return std::visit(Name{}, change);
}

Result<Prepared> prepare(const Change& change, const Present& present) {
    return std::visit([&](const auto& c) { return prepare_one(c, present); }, change);
}

}  // namespace gorb::control
