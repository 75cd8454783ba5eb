#include "control/prepare.h"

#include <algorithm>

#include "reconcile/records.h"

namespace gorb::control {

using ipvs::Op;
using Exists = reconcile::Transaction::Exists;

namespace {

// A destination operation with the whole service in it (see reconcile::Transaction).
Op dest_op(Op::Kind kind, const ipvs::ServiceRecord& service, const ipvs::DestRecord& dest) {
    return Op{kind, service, dest};
}

Exists if_there(const Step& step, const Known& known, const store::Leaving& entry) {
    if (known.leaving(entry)) return Exists::ours;
    return step.adopt ? Exists::adopt : Exists::refuse;
}

Prepared put_service(const Step& step, const Known& known) {
    Prepared p;
    const model::Service& wanted = step.service_row->spec;
    const model::ServicePtr& old = step.old_service;
    const ipvs::ServiceRecord record = reconcile::service_record(wanted);
    if (old && old->spec.key == wanted.key) {
        p.transaction.make.push_back(Op::edit(record));
        return p;
    }
    p.transaction.exists = if_there(step, known, {wanted.key, {}});
    p.transaction.make.push_back(Op::add(record));
    p.vip_acquire = wanted.key.vip.ip;
    if (!old) return p;
    // The key is the identity: the new service with all its destinations first, then the old one goes.
    old->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        const Slot* slot = known.slot(backend->id);
        if (slot->present) p.transaction.make.push_back(dest_op(Op::Kind::add_dest, record, slot->record()));
    });
    p.transaction.remove.push_back(Op::remove(reconcile::kernel_key(old->spec.key)));
    p.vip_release = old->spec.key.vip.ip;
    return p;
}

bool all_begin_up(const model::PulseList& pulses) {
    return std::ranges::all_of(pulses, [](const auto& p) { return p.initial == model::Initial::up; });
}

// What is known of a backend that becomes `spec`, from what was known of it.
Slot slot_for(model::BackendId id, const model::Backend& spec, const model::BackendPtr& old, const Slot& was,
              uint64_t now) {
    Slot slot;
    if (old && old->spec.address == spec.address) {
        slot = was;
        const bool same_question = old->spec.pulses.asks_as(spec.pulses);
        const bool back = old->spec.admin == model::Admin::maint && spec.admin != model::Admin::maint;
        if (spec.admin == model::Admin::maint || back) {
            // Nobody looks at it, so nothing is known but that it is no new one.
            slot.member = health::Member{};
            slot.member.unproven = was.member.unproven && was.member.before == 0;
            slot.state_before = health::State::unknown;
        } else if (!same_question) {
            // Its health is asked in another way from now on: until there is an answer it goes on as it is.
            // What panic or max-down alone has given it does not make it one that is up. Panic gives it to
            // whom nothing is known of as well; what max-down has given it keeps.
            const bool by_panic = slot.decision.cause == health::Cause::panic;
            // A backup that stands by and is up has no weight, and is up all the same.
            const bool stands_by = slot.decision.cause == health::Cause::standby;
            if (slot.member.state != health::State::unknown) {
                slot.member.before = slot.present && !by_panic ? slot.weight : 0;
                if (stands_by && slot.member.state == health::State::up) slot.member.before = spec.weight;
                slot.member.lent = slot.decision.cause == health::Cause::kept;
            }
            slot.member.state = health::State::unknown;
            slot.member.share = 100;
        }
    } else {
        // What was said of the address before, and is on its way, is not said of this one.
        if (old) slot.member.since = now;
        if (all_begin_up(spec.pulses)) slot.member.state = health::State::up;
        slot.member.unproven = slot.member.state != health::State::up;
    }
    slot.member.id = id;
    slot.member.configured = spec.weight;
    slot.member.admin = spec.admin;
    slot.member.backup = spec.backup;
    return slot;
}

}  // namespace

bool takes_over(const Step& step, const Slot& slot) {
    return step.adopt && slot.member.state == health::State::unknown &&
           slot.member.admin == model::Admin::ready;
}

namespace {

Prepared put_backend(const Step& step, const Known& known, const model::Service& service) {
    Prepared p;
    const model::Backend& spec = step.backend_row->spec;
    const model::BackendPtr& old = step.old_backend;
    const model::BackendId id = step.backend_row->id;
    const bool moves = !old || old->spec.address != spec.address;
    const Slot was = old ? *known.slot(id) : Slot{};
    Slot slot = slot_for(id, spec, old, was, known.now);
    // It begins in the kernel, which so says whether it takes it, unless a weight of 0 would swallow clients.
    // Of a change of many, which is not taken back for that, it begins outside where on-down is to remove who
    // is not up (Changer::put_slot()). What is to be taken over is there, or it is seen when it is made.
    const bool ready = spec.admin == model::Admin::ready;
    if (moves && (step.adopt || (ready && !model::absent_at_zero(service)))) slot.present = true;
    slot.decision = known.decide(service, slot);
    slot.present = slot.decision.present;
    ipvs::DestRecord record = reconcile::dest_record(spec, slot.decision.effective);
    // Whether what is to be taken over is there is seen when it is made. If it is not, it begins like any
    // other, and goes again where it has no place with a weight of 0.
    if (moves && takes_over(step, slot)) {
        slot.present = true;
        record.weight = 0;
    }

    const ipvs::ServiceRecord in = reconcile::service_record(service);
    if (moves) {
        p.transaction.exists = if_there(step, known, {service.key, spec.address});
        if (slot.present) p.transaction.make.push_back(dest_op(Op::Kind::add_dest, in, record));
        // Also what is taken over to be in maintenance where weight 0 would swallow clients.
        if (step.adopt && !slot.present) p.transaction.remove.push_back(Op::remove(in.key, spec.address));
        if (old) p.transaction.remove.push_back(Op::remove(in.key, old->spec.address));
        p.transaction.keep_weight_up_to = spec.admin == model::Admin::ready ? spec.weight : 0;
    } else {
        // A change of the pulse alone is none of the kernel's business.
        if (slot.present && !was.present) {
            p.transaction.make.push_back(dest_op(Op::Kind::add_dest, in, record));
        } else if (!slot.present && was.present) {
            p.transaction.remove.push_back(Op::remove(in.key, spec.address));
        } else if (slot.present && !record.same_settings(was.record())) {
            p.transaction.make.push_back(dest_op(Op::Kind::edit_dest, in, record));
        }
        p.transaction.exists = Exists::ours;
        // What was refused before goes on being tried, unless all of it goes to the kernel now.
        if (!p.transaction.make.empty() || !p.transaction.remove.empty()) slot.trouble.clear();
    }
    slot.weight = record.weight;
    const bool checked = spec.admin != model::Admin::maint;
    const bool was_checked = old && old->spec.admin != model::Admin::maint;
    if (checked && (moves || !was_checked || !(old->spec.pulses == spec.pulses))) {
        p.check = health::Target{id, service.name, spec.name, spec.address, spec.pulses, step.pulses->args};
    }
    if (!checked && was_checked) p.forget_check = id;
    p.slot = std::move(slot);
    return p;
}

}  // namespace

Prepared prepare(const Step& step, const model::Service& service, const Known& known) {
    Prepared p;
    switch (step.kind) {
        case Step::Kind::put_service:
            return put_service(step, known);
        case Step::Kind::put_backend:
            return put_backend(step, known, service);
        case Step::Kind::drop_service:
            p.transaction.remove.push_back(Op::remove(reconcile::kernel_key(step.old_service->spec.key)));
            p.vip_release = step.old_service->spec.key.vip.ip;
            step.old_service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
                p.forget.push_back(backend->id);
            });
            return p;
        case Step::Kind::drop_backend:
            p.transaction.remove.push_back(Op::remove(reconcile::kernel_key(step.old_service->spec.key),
                                                      step.old_backend->spec.address));
            p.forget.push_back(step.old_backend->id);
            return p;
    }
    return p;
}

}  // namespace gorb::control
