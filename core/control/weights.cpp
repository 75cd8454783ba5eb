#include "control/weights.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/retry.h"
#include "reconcile/records.h"

namespace gorb::control {
namespace {

using ipvs::Op;

// Enough for a few full sends.
constexpr size_t made_at_once = 2048;

// The change of health that a freeze holds back: one of those that made the engine suspect this machine.
bool held(const health::Suspicion& suspicion, const Slot& slot) {
    return suspicion.frozen && slot.member.state == health::State::down &&
           slot.member.since >= suspicion.since;
}

// Suspicion holds back falls, not rises: of a recovery by history as well, whose failures now may be ours.
float ratio_of(const health::Suspicion& suspicion, const Slot& slot, double told) {
    const auto ratio = static_cast<float>(told);
    return suspicion.frozen ? std::max(slot.member.ratio, ratio) : ratio;
}

// They mostly come in order, each once.
void each_once(std::vector<model::BackendId>& ids) {
    if (std::ranges::adjacent_find(ids, std::greater_equal()) == ids.end()) return;
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

// Is it still coming back by history, even if something else decides over its weight for now?
bool recalls(const model::Service& service, health::Member member, uint64_t now) {
    if (member.back_since == 0 || service.pool.recovery != model::Recovery::history) return false;
    member.admin = model::Admin::ready;
    member.backup = member.held = false;
    member.configured = 100;  // a weight that shows it
    return health::decide(service, {}, member, now).cause == health::Cause::history;
}

}  // namespace

// Operations of one kind, and of each whose it is.
struct Weights::Changes {
    std::vector<Slot*> slots;
    std::vector<const model::Service*> services;

    // The next one's operation, with whatever was in it before: to make them all anew would be most of the
    // work.
    Op& add(Slot& slot, const model::Service& service) {
        slots.push_back(&slot);
        services.push_back(&service);
        if (ops_.size() < slots.size()) ops_.emplace_back();
        return ops_[slots.size() - 1];
    }
    size_t size() const { return slots.size(); }
    std::span<Op> ops() { return {ops_.data(), size()}; }
    void clear() {
        slots.clear();
        services.clear();
    }

  private:
    std::vector<Op> ops_;
};

// What is to be told to the kernel. Of ten thousands of weights it is told in parts, which bounds the memory;
// nothing goes before what replaces it is there, so removals wait for the end.
struct Weights::Batch {
    Changes make, remove;
    std::vector<Slot*> few;  // what reassess_few() looks at
    uint64_t now = 0;
    std::set<std::string> incomplete;  // services whose other destinations have to be put back
};

void Weights::forget(const std::string& service) {
    marked_.erase(service);
    kept_.erase(service);
    missing_.erase(service);
    steps_.erase(service);
    published_.with([&](auto& map) { map.erase(service); });
}

void Weights::missing(const model::ServiceEntry& service, const std::string& refusal) {
    const std::string& name = service.spec.name;
    if (refusal.empty()) {
        if (missing_.erase(name) == 0) return;
    } else if (std::string& known = missing_[name]; known != refusal) {
        known = refusal;
    } else {
        return;
    }
    const auto kept = kept_.find(name);
    if (kept == kept_.end()) return;
    tell(service.spec, pool(name), kept->second, service.backends.empty() || kept->second.tally.waits());
}

void Weights::made(const std::string& service) {
    if (missing_.erase(service) > 0) mark(service);
}

void Weights::health_changed(const health::Changed& change) {
    Slot* slot = slots_->find(change.id);
    if (!slot) return;                              // removed in the meantime
    if (change.since < slot->member.since) return;  // it has another address in the meantime
    // It may have fallen since the last look.
    if (held(suspicion_, *slot)) slot->held = true;
    set_state(*slot, change.state, change.since);
    slot->member.share = static_cast<uint8_t>(change.share);
    slot->member.ratio = ratio_of(suspicion_, *slot, change.ratio);
    mark(*slot->service, change.id);
}

void Weights::gone(const Slot& slot) {
    const auto kept = kept_.find(*slot.service);
    if (kept != kept_.end()) kept->second.tally.take_away(slot.counted);
    marked_[*slot.service];  // its pool is another
}

void Weights::suspect(const health::Suspicion& suspicion, const model::Snapshot& now) {
    const health::Suspicion before = std::exchange(suspicion_, suspicion);
    now.services.for_each([&](const std::string& name, const model::ServicePtr& service) {
        mark(name);
        service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            const Slot* slot = slots_->find(backend->id);
            const bool other = slot && held(before, *slot) != held(suspicion, *slot);
            if (other && ports_.remember) ports_.remember(*slot);
        });
    });
}

health::Member Weights::seen(const Slot& slot) const {
    health::Member member = slot.member;
    member.out = !slot.present;
    if (held(suspicion_, slot)) {
        member.state = slot.state_before;
        member.since = slot.since_before;
        member.held = true;
    }
    return member;
}

// What the pool would be with this member as it would be: else the last primary would stand by as a backup
// until the next look at its service, and nobody would serve. Where a tally does not do, that look decides.
health::Assessment Weights::with(const model::Service& service, const Kept& kept,
                                 const health::Member& member) const {
    const Slot* old = slots_->find(member.id);
    if (!old || !health::counts(service)) return kept.assessment;
    health::Headcount tally = kept.tally;
    tally.take_away(old->counted);
    tally.add(health::Headcount::kind(member));
    return health::assess(service, tally, &kept.assessment.quorum_met);
}

health::Decision Weights::decide(const model::Service& service, const Slot& slot) const {
    const auto kept = kept_.find(service.name);
    // Nothing is known of a service that is new: as if it had this backend alone.
    const health::Member member = seen(slot);
    const health::Assessment pool = kept != kept_.end() ? with(service, kept->second, member)
                                                        : health::assess(service, {&member, 1}, nullptr);
    return health::decide(service, pool, member, ports_.clock->now());
}

std::vector<health::Decision> Weights::decide(const model::Service& service,
                                              std::span<const Slot> slots) const {
    std::vector<health::Member> members;
    members.reserve(slots.size());
    for (const Slot& slot : slots) members.push_back(seen(slot));
    const auto kept = kept_.find(service.name);
    const bool* was_met = kept == kept_.end() ? nullptr : &kept->second.assessment.quorum_met;
    const health::Assessment pool = health::assess(service, members, was_met);
    std::vector<health::Decision> decisions;
    decisions.reserve(members.size());
    for (const health::Member& member : members)
        decisions.push_back(health::decide(service, pool, member, ports_.clock->now()));
    return decisions;
}

void Weights::decide_all(const model::ServiceEntry& service) {
    marked_.erase(service.spec.name);
    reassess(service, ports_.clock->now(), nullptr);
}

std::vector<std::string> Weights::settle(const model::Snapshot& now) {
    const uint64_t time = ports_.clock->now();
    for (const auto& [service, at] : steps_) {
        if (at <= time) mark(service);
    }
    Batch batch;
    batch.now = time;
    for (auto& [name, marks] : std::exchange(marked_, {})) {
        const auto* service = now.services.find(name);
        if (!service) continue;
        each_once(marks.backends);
        if (marks.all || !reassess_few((*service)->spec, marks.backends, batch))
            reassess(**service, time, &batch);
    }
    apply(batch.make, batch);
    apply(batch.remove, batch);
    // What was refused just now is due later.
    for (const model::BackendId id : slots_->due(time)) {
        Slot& slot = *slots_->find(id);
        const auto* service = now.services.find(*slot.service);
        GORB_CHECK(service != nullptr);
        want((*service)->spec, slot, batch);
    }
    apply(batch.make, batch);
    apply(batch.remove, batch);
    return {batch.incomplete.begin(), batch.incomplete.end()};
}

uint64_t Weights::next() const {
    uint64_t first = slots_->next_retry();
    for (const auto& [service, at] : steps_) first = first ? std::min(first, at) : at;
    return first;
}

// Before it is looked at: what has come since the last look.
void Weights::bring_up_to_date(const model::Service& service, Slot& slot) const {
    slot.held = held(suspicion_, slot);
    if (slot.member.back_since > 0 && service.pool.recovery == model::Recovery::history) ask_ratio(slot);
}

[[gnu::noinline]] void Weights::ask_ratio(Slot& slot) const {
    if (const auto view = ports_.health_of(slot.member.id))
        slot.member.ratio = ratio_of(suspicion_, slot, view->ratio);
}

// When a backend that came back is to be looked at again; 0: not for its own sake.
[[gnu::noinline]] uint64_t Weights::recover(const model::Service& service, const health::Decision& decision,
                                            const health::Member& member, Slot& slot, uint64_t now) const {
    if (decision.cause == health::Cause::history) return now + base::second;
    const uint64_t at = health::next_step(service, member, now);
    // Nothing is left to recover from: from now on it is one that was here all along.
    if (at == 0 && member.state == health::State::up && !recalls(service, member, now)) {
        slot.member.back_since = 0;
        if (ports_.remember) ports_.remember(slot);
    }
    return at;
}

// Decides for one backend, and puts what has to change into the batch, if there is one. When it is to be
// looked at again; 0: not for its own sake.
uint64_t Weights::give(const model::Service& service, const health::Assessment& pool, Slot& slot,
                       uint64_t now, Batch* batch) {
    const health::Member member = seen(slot);
    const health::Decision decision = health::decide(service, pool, member, now);
    const uint64_t at = member.back_since > 0 ? recover(service, decision, member, slot, now) : 0;
    const bool other = slot.present != decision.present ||
                       (slot.present && slot.weight != decision.effective) || !(decision == slot.decision);
    slot.decision = decision;
    if (other && batch) want(service, slot, *batch);
    return at;
}

// Looks at a whole service and puts what has to change into the batch, if there is one.
void Weights::reassess(const model::ServiceEntry& entry, uint64_t now, Batch* batch) {
    const model::Service& service = entry.spec;
    std::vector<Slot*> slots;
    std::vector<health::Member> members;
    slots.reserve(entry.backends.size());
    members.reserve(entry.backends.size());
    uint64_t newest = 0;
    health::Headcount tally;
    entry.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        Slot* slot = slots_->find(backend->id);
        GORB_CHECK(slot != nullptr);
        slots.push_back(slot);
        bring_up_to_date(service, *slot);
        members.push_back(seen(*slot));
        const health::Member& member = members.back();
        if (!member.backup && member.state != health::State::unknown) newest = std::max(newest, member.since);
        slot->counted = health::Headcount::kind(members.back());
        tally.add(slot->counted);
    });

    const auto [place, fresh] = kept_.try_emplace(service.name);
    Kept& kept = place->second;
    const bool was_met = kept.assessment.quorum_met;
    const health::Assessment pool = health::assess(service, members, fresh ? nullptr : &was_met);
    kept.assessment = pool;
    kept.tally = tally;
    kept.newest = newest;
    tell(service, this->pool(service.name), kept, entry.backends.empty() || tally.waits());

    uint64_t step = 0;
    for (size_t i = 0; i < slots.size(); ++i) {
        const uint64_t at = give(service, pool, *slots[i], now, batch);
        if (at > 0) step = step ? std::min(step, at) : at;
    }
    if (step > 0) {
        steps_[service.name] = step;
    } else {
        steps_.erase(service.name);
    }
}

// The same for these backends alone. False where that does not do, since the others are concerned too.
bool Weights::reassess_few(const model::Service& service, const std::vector<model::BackendId>& ids,
                           Batch& batch) {
    const auto kept = kept_.find(service.name);
    if (kept == kept_.end() || !health::counts(service)) return false;
    batch.few.clear();
    for (const model::BackendId id : ids) {
        Slot* slot = slots_->find(id);
        if (!slot) continue;
        bring_up_to_date(service, *slot);
        batch.few.push_back(slot);
        const uint8_t kind = health::Headcount::kind(seen(*slot));
        if (kind == slot->counted) continue;
        kept->second.tally.take_away(slot->counted);
        kept->second.tally.add(kind);
        slot->counted = kind;
    }
    const health::Assessment was = kept->second.assessment;
    const health::Assessment pool = health::assess(service, kept->second.tally, &was.quorum_met);
    if (pool.quorum_met != was.quorum_met || pool.panic != was.panic) return false;
    kept->second.assessment = pool;
    if (!(pool == was) || !kept->second.said)
        tell(service, this->pool(service.name), kept->second, kept->second.tally.waits());
    for (Slot* slot : batch.few) {
        const uint64_t at = give(service, pool, *slot, batch.now, &batch);
        if (at == 0) continue;
        uint64_t& step = steps_[service.name];
        step = step ? std::min(step, at) : at;
    }
    return true;
}

// The operation, if one is needed, that gives the backend what was decided for it.
void Weights::want(const model::Service& service, Slot& slot, Batch& batch) {
    const bool present = slot.decision.present;
    const uint32_t weight = present ? slot.decision.effective : 0;
    const bool settled = present == slot.present && (!present || weight == slot.weight) &&
                         slot.trouble.get().not_applied.empty();
    if (settled || (!present && !slot.present)) {
        slot.weight = weight;
        slot.trouble.clear();
        slots_->publish(slot);
        return;
    }
    Changes& changes = present ? batch.make : batch.remove;
    Op& op = changes.add(slot, service);
    op.kind = !present ? Op::Kind::remove_dest : slot.present ? Op::Kind::edit_dest : Op::Kind::add_dest;
    op.service.key = reconcile::kernel_key(service.key);
    reconcile::write(slot.backend->spec, weight, op.dest);
    if (present && changes.size() >= made_at_once) apply(changes, batch);
}

void Weights::apply(Changes& changes, Batch& batch) {
    const std::span<Op> ops = changes.ops();
    if (ops.empty()) return;
    const auto done = ports_.applier->apply_singles(
        ops, [&](size_t i) { return reconcile::service_record(*changes.services[i]); });
    for (size_t i = 0; i < ops.size(); ++i) {
        Slot& slot = *changes.slots[i];
        if (const base::Status& status = done.statuses[i]; !status) {
            refused(slot, status.error(), batch.now);
            continue;
        }
        const Op& op = ops[i];
        // Of a ramp its beginning and its end are news.
        const bool step = slot.present && slot.weight > 0 && slot.decision.cause == health::Cause::ramp;
        slot.present = op.kind != Op::Kind::remove_dest;
        if (slot.present) {
            slot.weight = op.dest.weight;
        } else {
            slot.weight = 0;
        }
        slot.trouble.clear();
        applied(step ? base::LogLevel::debug : base::LogLevel::info, *changes.services[i], slot, batch.now);
    }
    slots_->publish(changes.slots);
    for (const size_t i : done.without_service) batch.incomplete.insert(*changes.slots[i]->service);
    changes.clear();
}

// Says what was done, of thousands only of some.
void Weights::applied(base::LogLevel level, const model::Service& service, const Slot& slot, uint64_t now) {
    if (!base::log_wants(level)) return;
    const auto write = [&] {
        std::vector<base::LogField> fields{{"service", *slot.service},
                                           {"backend", slot.backend->spec.name},
                                           {"weight", std::to_string(slot.weight)},
                                           {"configured", std::to_string(slot.member.configured)}};
        if (slot.decision.cause != health::Cause::none) {
            const auto view = ports_.health_of(slot.member.id);
            fields.push_back({"why", health::words(service, slot.decision, view ? view->because : "")});
        }
        base::log(level, slot.present ? "weight set" : "destination removed", fields);
    };
    lines_.tell(now, write, [] {
        base::log_info(
            "more weights are set than are written out here: GET /service/NAME?expand=backends has each");
    });
}

void Weights::refused(Slot& slot, const base::Error& error, uint64_t now) {
    Trouble& trouble = slot.trouble.change();
    trouble.not_applied = error.sentence;
    trouble.retry_at = now + retry_after(trouble.attempts);
    if (trouble.attempts++ > 0) return;
    const auto write = [&] {
        base::log_error("weight could not be set, trying again", {{"service", *slot.service},
                                                                  {"backend", slot.backend->spec.name},
                                                                  {"error", trouble.not_applied}});
    };
    refusal_lines_.tell(now, write, [] {
        base::log_error(
            "more weights could not be set than are written out here: GET /service/NAME?expand=backends has "
            "each");
    });
}

std::string words(const model::Service& service, const Pool& pool) {
    return pool.missing.empty() ? health::pool_words(service, pool.assessment)
                                : "the kernel does not have it: " + pool.missing;
}

// Publishes what the service is as a whole, and says in the log what has changed about it. Of one that is new
// it is no news that it is up; nor that it is not, while it `waits` for what its checks say.
void Weights::tell(const model::Service& service, const std::optional<Pool>& before, Kept& kept, bool waits) {
    const auto absent = missing_.find(service.name);
    Pool pool{kept.assessment, 0, absent == missing_.end() ? std::string() : absent->second};
    health::Assessment& after = pool.assessment;
    if (!pool.missing.empty()) after.state = health::PoolState::down;
    const bool first = !before, up = after.state == health::PoolState::up;
    const bool changed = first || before->assessment.state != after.state;
    const bool news = (changed && !first) || (!kept.said && !up && !waits);
    kept.said = kept.said || news || up;
    const uint64_t time = ports_.clock->now();
    const uint64_t ago = first && kept.newest > 0 ? time - std::min(kept.newest, time) : 0;
    pool.since_wall = changed ? ports_.clock->wall() - static_cast<int64_t>(ago) : before->since_wall;
    published_.with([&](auto& map) { map[service.name] = pool; });
    // What is worse is not hidden by thousands that come up at a start.
    const auto say = [&](base::LogLevel level, std::string_view message) {
        if (!base::log_wants(level)) return;
        const auto write = [&] {
            const base::LogField fields[] = {{"service", service.name},
                                             {"state", std::string(health::pool_state_text(after.state))},
                                             {"reason", words(service, pool)}};
            base::log(level, message, fields);
        };
        base::LineLimit& lines = level == base::LogLevel::info ? up_lines_ : pool_lines_;
        lines.tell(ports_.clock->now(), write, [level] {
            base::log(level,
                      "more virtual services change their state than are written out here: GET /service/NAME "
                      "has it of each");
        });
    };
    if (news) {
        say(up ? base::LogLevel::info : base::LogLevel::warning,
            "virtual service is " + std::string(health::pool_state_text(after.state)));
    }
    if (after.panic != (before && before->assessment.panic)) {
        say(base::LogLevel::warning, after.panic ? "too few backends are up: all of them serve"
                                                 : "panic is over: backends that are down stop serving");
    }
}

std::optional<Pool> Weights::pool(const std::string& service) const {
    return published_.with([&](const auto& map) -> std::optional<Pool> {
        const auto it = map.find(service);
        if (it == map.end()) return std::nullopt;
        return it->second;
    });
}

}  // namespace gorb::control
