#include "control/changer.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "control/change_log.h"
#include "control/declared.h"
#include "control/foreign.h"
#include "control/retry.h"
#include "control/rows.h"
#include "control/touched.h"
#include "reconcile/records.h"

namespace gorb::control {

using base::Errc;
using base::Result;

namespace {

constexpr size_t batch_limit = 512;

}  // namespace

void Changer::take(std::vector<Submitted>&& changes) {
    for (Submitted& submitted : changes) waiting_.push_back(std::move(submitted));
}

void Changer::answer(Batch& batch) {
    for (Item& item : batch.items) {
        if (!*item.result && end_of_removal(item.resolved.service)) {
            Ending& ending = endings_[item.resolved.service];
            ending.at = p_->clock.now() + retry_after(ending.refusals++);
        }
        answers_.emplace_back(std::move(item.done), std::move(*item.result));
    }
}

void Changer::go_on() {
    end_removals_again();
    while (!under_way_ && !waiting_.empty()) {
        const size_t count = std::min(waiting_.size(), batch_limit);
        std::vector<Submitted> changes(
            std::make_move_iterator(waiting_.begin()),
            std::make_move_iterator(waiting_.begin() + static_cast<ptrdiff_t>(count)));
        auto batch = std::make_shared<Batch>();
        const size_t taken = resolve_some(changes, *batch);
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(taken));
        for (size_t i = changes.size(); i > taken; --i) waiting_[i - taken - 1] = std::move(changes[i - 1]);
        if (batch->write.empty()) {
            answer(*batch);
            continue;
        }
        under_way_ = true;
        p_->keeper.write(batch->write, [this, batch](const base::Status& status) {
            under_way_ = false;
            durable(batch, status);
        });
    }
}

// Resolves as many of the first changes as do not touch each other, and says how many those were.
size_t Changer::resolve_some(std::span<Submitted> changes, Batch& batch) {
    const model::SnapshotPtr now = p_->store.snapshot();
    const Present present = this->present(*now);
    Touched touched(*now);
    size_t taken = 0;
    std::vector<base::Ip> vips;
    for (Submitted& submitted : changes) {
        const bool many = concerns_many(submitted.change);
        if (many && taken > 0) break;
        if (!many && !touched.add(submitted.change)) break;
        ++taken;
        auto resolved = resolve(submitted.change, present);
        if (resolved && resolved->many) {
            if (auto ok = guard(submitted.change, *resolved); !ok) resolved = base::fail(ok.error());
        }
        Item item;
        item.done = std::move(submitted.done);
        if (!resolved) {
            item.result = base::fail(resolved.error());
        } else {
            item.resolved = std::move(*resolved);
            for (const Step& step : item.resolved.steps) {
                write(batch.write, step);
                if (step.kind == Step::Kind::put_service && (!step.old_service || rekeys(step)))
                    vips.push_back(step.service_row->spec.key.vip.ip);
            }
            if (item.resolved.steps.empty()) item.result = outcome(item.resolved);
            if (item.resolved.many) item.change = std::move(submitted.change);
        }
        batch.items.push_back(std::move(item));
        if (many) break;
    }
    batch.write.vips_added = p_->vips.missing(vips);
    p_->vips.expect(vips);
    return taken;
}

void Changer::durable(const std::shared_ptr<Batch>& batch, const base::Status& status) {
    const bool many = batch->items.front().resolved.many;
    if (status && many && !still_free(batch)) return;
    if (status) p_->intend_vips(batch->write.vips_added);
    if (status && many) {
        apply_many(batch->items.front());
        answer(*batch);
    } else if (status) {
        apply_ones(batch);
    } else {
        for (Item& item : batch->items) {
            if (item.result) continue;
            log_change(base::LogLevel::warning, "a change could not be stored", item.resolved,
                       status.error().sentence);
            item.result = base::fail(status.error());
        }
        p_->vips.expect({});
        answer(*batch);
    }
}

// While it was written somebody else may have made in the kernel what is to be new. One object is seen to be
// in the way when it is made; so this asks of one of which nothing may be made.
base::Status Changer::still_free(const Step& step, const Present& present) {
    const bool is_new = step.kind == Step::Kind::put_backend && (!step.old_backend || moves(step));
    if (!is_new || step.adopt || !may_wait(step.old_service->spec, step.backend_row->spec)) return {};
    return check_free(present, *step.old_service, step.backend_row->spec);
}

// The same of a change of many, which then is taken back before anything is done.
bool Changer::still_free(const std::shared_ptr<Batch>& batch) {
    Item& item = batch->items.front();
    const model::SnapshotPtr now = p_->store.snapshot();
    const base::Status free = check_foreign(present(*now), item.change, item.resolved);
    if (free) return true;
    log_change(base::LogLevel::warning, "a change was refused", item.resolved, free.error().sentence);
    item.result = base::fail(free.error());
    p_->vips.expect({});
    undo(batch, batch->write.vips_added);
    return false;
}

void Changer::apply_ones(const std::shared_ptr<Batch>& batch) {
    const Known known = p_->known();
    const model::SnapshotPtr before = p_->store.snapshot();
    const Present present = this->present(*before);
    struct Work {
        Item* item;
        Prepared prepared;
    };
    std::vector<Work> asked, works;
    std::vector<reconcile::Transaction> transactions;
    bool refused = false;
    const auto refuse = [&](Item& item, const base::Error& error) {
        log_change(base::LogLevel::warning, "a change was refused", item.resolved, error.sentence);
        item.result = base::fail(error);
        refused = true;
    };
    std::vector<base::Ip> vips;
    for (Item& item : batch->items) {
        if (item.result) continue;
        const Step& step = item.resolved.steps.front();
        const model::Service& service = step.old_service ? step.old_service->spec : step.service_row->spec;
        if (auto free = still_free(step, present); !free) {
            refuse(item, free.error());
            continue;
        }
        asked.push_back({&item, prepare(step, service, known)});
        if (const auto& vip = asked.back().prepared.vip_acquire) vips.push_back(*vip);
    }
    const std::vector<base::Status> added = p_->vips.acquire(vips);
    auto next = added.begin();
    for (Work& work : asked) {
        const base::Status vip = work.prepared.vip_acquire ? *next++ : base::Status{};
        if (!vip) {
            refuse(*work.item, vip.error());
            continue;
        }
        transactions.push_back(std::move(work.prepared.transaction));
        works.push_back(std::move(work));
    }
    p_->vips.expect({});
    const std::vector<Result<reconcile::Applied>> applied = p_->applier.apply(transactions);
    std::set<std::string> incomplete, changed;
    for (size_t i = 0; i < works.size(); ++i) {
        auto& [item, prepared] = works[i];
        if (applied[i]) {
            accept(*item, prepared, *applied[i]);
            changed.insert(item->resolved.service);
            if (applied[i]->service_was_missing) incomplete.insert(item->resolved.service);
        } else {
            if (prepared.vip_acquire) p_->vips.release(*prepared.vip_acquire);
            refuse(*item, applied[i].error());
        }
    }
    // What was made and could not be undone stays ours until it is gone; what was edited is set right.
    const model::SnapshotPtr now = p_->store.snapshot();
    for (const ipvs::Op& op : p_->applier.not_undone()) {
        const model::ServiceKey key{static_cast<model::Protocol>(op.service.key.protocol),
                                    op.service.key.vip};
        const auto* owner = now->by_key.find(key);
        const bool dest = op.kind == ipvs::Op::Kind::remove_dest;
        if (!owner && op.kind == ipvs::Op::Kind::remove_service) p_->leaving.insert({key, {}});
        if (dest && !(owner && (*now->services.find(*owner))->by_address.find(op.dest.address)))
            p_->leaving.insert({key, op.dest.address});
        if (owner) incomplete.insert(*owner);
    }
    for (const std::string& service : changed) end_removal(service);
    // Not before all is as it should be now.
    for (const std::string& service : incomplete) p_->restore_destinations(service);
    if (refused) p_->sync.leave(*now);
    if (refused) {
        undo(batch, {});
    } else {
        answer(*batch);
    }
}

// The rows of what the kernel refused are taken back before anybody is told. `vips`: noted, and not added.
void Changer::undo(const std::shared_ptr<Batch>& batch, const std::vector<base::Ip>& vips) {
    store::Write undo;
    undo.vips_removed = vips;
    for (const Item& item : batch->items) {
        if (*item.result) continue;
        model::ServicePtr in;
        for (const Step& step : item.resolved.steps) {
            unwrite(undo, step);
            // The row was its claim: what of it is in the kernel all the same goes on being claimed. Backends
            // of a service that is new come after it.
            if (step.service_row) {
                in = step.service_row;
            } else if (step.old_service) {
                in = step.old_service;
            }
            const auto claimed = [&](const store::Leaving& entry) {
                const auto at = p_->leaving.find(entry);
                if (at != p_->leaving.end()) undo.leaving.push_back(*at);
            };
            if (step.service_row) claimed({in->spec.key, {}});
            if (step.backend_row) claimed({in->spec.key, step.backend_row->spec.address});
            // The row of what was known of its health went with its own, or with its address.
            const auto known = [&](const model::BackendPtr& backend) {
                p_->remember_health(*p_->slots.find(backend->id));
            };
            if (step.kind == Step::Kind::drop_backend || moves(step)) known(step.old_backend);
            if (step.kind == Step::Kind::drop_service)
                step.old_service->backends.for_each([&](const auto&, const auto& b) { known(b); });
        }
    }
    ++undoing_;
    p_->keeper.write(undo, [this, undo, batch](const base::Status& status) {
        --undoing_;
        if (!status) p_->keeper.owe_undo(undo);
        answer(*batch);
    });
}

// What a step means for the slots, the drains and the checks that end, once it is part of the state.
void Changer::follow_up(const Step& step, Prepared& prepared) {
    if (prepared.vip_release) p_->vips.release(*prepared.vip_release);
    if (step.kind == Step::Kind::drop_service) {
        endings_.erase(step.service);
        p_->records.erase(step.service);
        p_->sync.forget(step.service);
        p_->weights.forget(step.service);
    } else if (step.kind == Step::Kind::put_backend) {
        p_->weights.mark(step.service, step.backend_row->id);
    } else if (step.kind == Step::Kind::put_service) {
        if (!step.service_row->spec.deleting) endings_.erase(step.service);
        p_->weights.mark(step.service);
    }
    for (const model::BackendId id : prepared.forget) {
        const Slot& slot = *p_->slots.find(id);
        p_->keeper.forget_health({step.service, slot.backend->spec.name});
        if (step.kind != Step::Kind::drop_service) p_->weights.gone(slot);
        p_->slots.erase(id);
        p_->drains.forget(id);
        if (p_->engine) p_->engine->remove(id);
    }
    if (step.kind == Step::Kind::drop_service) p_->slots.forget_name(step.service);
    if (prepared.forget_check && p_->engine) p_->engine->remove(*prepared.forget_check);
    if (step.kind == Step::Kind::put_backend) p_->drains.follow(step.service, *step.backend_row);
}

// Once the kernel has it: ten thousand first checks would only take the processors from that.
void Changer::begin_check(const Prepared& prepared) {
    if (prepared.check && p_->engine) p_->engine->put(*prepared.check);
}

// A service that is being removed goes when its last backend has, and stays when those that are left do: what
// is to be done with one that has come to that.
std::optional<Change> Changer::end_of_removal(const std::string& name) const {
    const model::SnapshotPtr now = p_->store.snapshot();
    const auto* service = now->services.find(name);
    if (!service || !(*service)->spec.deleting) return std::nullopt;
    if ((*service)->backends.empty()) return DeleteService{name, {}, base::Nanos(0)};
    if (is_called_off(**service)) return KeepService{name};
    return std::nullopt;
}

void Changer::end_removal(const std::string& name) {
    if (auto end = end_of_removal(name))
        waiting_.push_front({std::move(*end), [](const Result<Outcome>&) {}});
}

void Changer::end_removals_again() {
    for (auto& [name, ending] : endings_) {
        if (ending.at == 0 || ending.at > p_->clock.now()) continue;
        ending.at = 0;
        end_removal(name);
    }
}

uint64_t Changer::next() const {
    uint64_t at = 0;
    for (const auto& [name, ending] : endings_) at = base::earlier(at, ending.at);
    return at;
}

// Is what is known of it something else than what is remembered? Of one that is new, or has another address
// since, nothing is.
bool Changer::is_other_health(const Step& step, const Slot* old, const Slot& slot) {
    const bool known = old && !moves(step);
    const health::State state = known ? old->member.state : health::State::unknown;
    const bool unproven = known ? old->member.unproven : true;
    return slot.member.state != state || slot.member.unproven != unproven;
}

// The kernel has it: the state follows, and the health engine.
void Changer::accept(Item& item, Prepared& prepared, const reconcile::Applied& applied) {
    Resolved& r = item.resolved;
    const Step& step = r.steps.front();
    Outcome result;
    if (r.deletion) result = outcome(r);  // the object as it was
    // The slot first: who sees the backend in the state also sees its weight.
    if (prepared.slot) {
        Slot& slot = *prepared.slot;
        if (!applied.dests.empty()) slot.weight = applied.dests.back().weight;
        const bool is_new = !step.old_backend || moves(step);
        if (is_new && takes_over(step, slot)) slot.member.before = slot.weight;
        slot.backend = step.backend_row;
        slot.service = p_->slots.name_of(r.service);
        const Slot* old = p_->slots.find(slot.member.id);
        if (old) slot.counted = old->counted;
        const bool other = is_other_health(step, old, slot);
        const Slot& put = p_->slots.put(std::move(slot));
        if (other) p_->remember_health(put);
    }
    p_->store.commit(after(*p_->store.snapshot(), step));
    if (applied.service) {
        p_->records[r.service] = *applied.service;
        p_->sync.made_at_last(r.service);
    }
    p_->left(leaving_of(step));
    if (step.kind == Step::Kind::drop_service || rekeys(step)) p_->service_left(step.old_service->spec.key);
    if (step.kind == Step::Kind::put_service) p_->wanted(step.service_row->spec.key);
    follow_up(step, prepared);
    begin_check(prepared);
    if (!r.deletion) result = outcome(r);
    result.snapshot = p_->store.snapshot();
    result.changed = true;
    log_change(base::LogLevel::info, r.log, r);
    item.result = std::move(result);
}

// Is nothing about it new to the kernel but a weight, and was nothing refused before? Then it need not be
// asked what it has.
bool Changer::only_weighs(const Step& step) const {
    if (step.kind != Step::Kind::put_backend || !step.old_backend) return false;
    const ipvs::DestRecord is = reconcile::dest_record(step.backend_row->spec, 0);
    return is.same_settings(reconcile::dest_record(step.old_backend->spec, 0)) &&
           p_->slots.find(step.old_backend->id)->trouble.get().not_applied.empty();
}

// The slot of what a change of many puts: the kernel has as yet what it had of it. What is new has not begun
// there, and so stays out until its first pass where who is not up is removed.
Slot Changer::put_slot(const Step& step, Slot slot) const {
    const Slot* old = p_->slots.find(slot.member.id);
    slot.present = old && !moves(step) && old->present;
    slot.weight = slot.present ? old->weight : 0;
    slot.backend = step.backend_row;
    if (old) slot.counted = old->counted;
    return slot;
}

// The state first, then the kernel, service by service.
void Changer::apply_many(Item& item) {
    Resolved& r = item.resolved;
    model::Snapshot now = *p_->store.snapshot();
    const Known known = p_->known();
    std::set<std::string> touched;          // services that are looked at in the kernel
    std::vector<model::BackendId> weighed;  // of other services, backends with another weight
    std::vector<std::pair<const Step*, Prepared>> done;
    done.reserve(r.steps.size());
    std::vector<std::pair<std::string, base::Ip>> vips;
    for (const Step& step : r.steps) {
        const auto* service = now.services.find(step.service);
        const bool weighs = only_weighs(step);
        Prepared prepared = prepare(step, service ? (*service)->spec : step.service_row->spec, known);
        if (prepared.vip_acquire) vips.emplace_back(step.service, *prepared.vip_acquire);
        if (prepared.slot) {
            Slot slot = put_slot(step, std::move(*prepared.slot));
            slot.service = p_->slots.name_of(step.service);
            const Slot* old = p_->slots.find(slot.member.id);
            const bool other = is_other_health(step, old, slot);
            const Slot& put = p_->slots.put(std::move(slot));
            if (other) p_->remember_health(put);
        }
        for (const store::Leaving& entry : leaving_of(step)) p_->leave(entry);
        if (step.kind == Step::Kind::drop_service) {
            touched.erase(step.service);
        } else if (weighs) {
            weighed.push_back(step.backend_row->id);
        } else {
            touched.insert(step.service);
        }
        now = after(now, step);
        done.emplace_back(&step, std::move(prepared));
    }
    r.counts.refused += p_->acquire_vips(vips);
    p_->vips.expect({});
    p_->store.commit(std::move(now));
    // Services may have exchanged their keys: what one has left, another wants.
    for (const auto& [step, prepared] : done)
        if (step->kind == Step::Kind::put_service) p_->wanted(step->service_row->spec.key);
    for (auto& [step, prepared] : done) follow_up(*step, prepared);

    const model::SnapshotPtr then = p_->store.snapshot();
    std::vector<model::ServicePtr> services;
    services.reserve(touched.size());
    for (const std::string& name : touched) services.push_back(*then->services.find(name));
    SyncCounts counts = p_->bring(services);
    counts.add(p_->sync.leave(*then));
    if (!weighed.empty()) {
        const uint64_t begin = p_->clock.now();
        for (const std::string& name : p_->weights.settle(*then)) p_->restore_destinations(name);
        counts.ns += p_->clock.now() - begin;
        counts.refused += static_cast<size_t>(std::ranges::count_if(weighed, [&](model::BackendId id) {
            const Slot& slot = *p_->slots.find(id);
            return !touched.contains(*slot.service) && !slot.trouble.get().not_applied.empty();
        }));
    }
    for (const auto& [step, prepared] : done) begin_check(prepared);
    r.counts.refused += counts.refused;
    log_change(base::LogLevel::info, r.log, r, {}, counts.ns);
    Outcome result = outcome(r);
    result.changed = true;
    item.result = std::move(result);
    for (const std::string& name : touched) end_removal(name);
}

Outcome Changer::outcome(const Resolved& resolved) const {
    Outcome result;
    result.snapshot = p_->store.snapshot();
    result.later = resolved.later;
    result.counts = resolved.counts;
    result.note = resolved.note;
    if (const auto* service = result.snapshot->services.find(resolved.service)) {
        result.service = *service;
        if (const auto* backend = (*service)->backends.find(resolved.backend)) result.backend = *backend;
    }
    return result;
}

}  // namespace gorb::control
