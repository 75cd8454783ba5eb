#include "control/weights.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace gorb::control {
namespace {

using ipvs::Op;

constexpr uint64_t second = 1'000'000'000;
constexpr uint64_t longest_retry = 60 * second;

// The change of health that a freeze holds back: one of those that made the engine suspect this machine.
bool held(const health::Suspicion& suspicion, const Slot& slot) {
    return suspicion.frozen && slot.member.state == health::State::down &&
           slot.member.since >= suspicion.since;
}

}  // namespace

// What is to be told to the kernel in one go, and of whom.
struct Weights::Batch {
    struct Of {
        model::BackendId id;
        bool present;  // what it will be
        const model::Service* service;
    };
    std::vector<Of> of;
    std::vector<reconcile::Transaction> transactions;
};

void Weights::forget(const std::string& service) {
    marked_.erase(service);
    kept_.erase(service);
    steps_.erase(service);
    published_.with([&](auto& map) { map.erase(service); });
}

void Weights::health_changed(const health::Changed& change) {
    Slot* slot = slots_->find(change.id);
    if (!slot) return;  // removed in the meantime
    set_state(*slot, change.state, change.since);
    slot->member.share = change.share;
    slot->member.ratio = change.ratio;
    mark(slot->service);
}

void Weights::suspect(const health::Suspicion& suspicion, const model::Snapshot& now) {
    suspicion_ = suspicion;
    now.services.for_each([&](const std::string& name, const model::ServicePtr&) { mark(name); });
}

health::Member Weights::seen(const Slot& slot) const {
    health::Member member = slot.member;
    if (held(suspicion_, slot)) {
        member.state = slot.state_before;
        member.since = slot.since_before;
    }
    return member;
}

health::Decision Weights::decide(const model::Service& service, const Slot& slot) const {
    const auto kept = kept_.find(service.name);
    // Nothing is known of a service that is new: as if it had this backend alone.
    const health::Member member = seen(slot);
    const health::Assessment pool =
        kept != kept_.end() ? kept->second.assessment : health::assess(service, {&member, 1}, nullptr);
    return health::decide(service, pool, member, ports_.clock->now());
}

std::vector<std::string> Weights::settle(const model::Snapshot& now) {
    const uint64_t time = ports_.clock->now();
    for (const auto& [service, at] : steps_) {
        if (at <= time) marked_.insert(service);
    }
    Batch batch;
    for (const std::string& name : std::exchange(marked_, {})) {
        if (const auto* service = now.services.find(name)) reassess(**service, time, batch);
    }
    for (const model::BackendId id : slots_->due(time)) {
        const Slot& slot = *slots_->find(id);
        const auto* service = now.services.find(slot.service);
        GORB_CHECK(service != nullptr);
        const bool in = std::ranges::any_of(batch.of, [&](const Batch::Of& of) { return of.id == id; });
        if (!in) want((*service)->spec, id, *slots_->find(id), batch);
    }
    std::set<std::string> incomplete;
    apply(batch, incomplete);
    return {incomplete.begin(), incomplete.end()};
}

uint64_t Weights::next() const {
    uint64_t first = slots_->next_retry();
    for (const auto& [service, at] : steps_) first = first ? std::min(first, at) : at;
    return first;
}

// Looks at a whole service and puts what has to change into the batch.
void Weights::reassess(const model::ServiceEntry& entry, uint64_t now, Batch& batch) {
    const model::Service& service = entry.spec;
    std::vector<std::pair<model::BackendId, Slot*>> backends;
    std::vector<health::Member> members;
    entry.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        Slot* slot = slots_->find(backend->id);
        GORB_CHECK(slot != nullptr);
        backends.emplace_back(backend->id, slot);
        if (service.pool.recovery == model::Recovery::history && slot->member.back_since > 0) {
            if (const auto view = ports_.health_of(backend->id)) slot->member.ratio = view->ratio;
        }
        members.push_back(seen(*slot));
    });

    const auto kept = kept_.find(service.name);
    const bool known = kept != kept_.end();
    const bool was_met = known && kept->second.assessment.quorum_met;
    const health::Assessment pool = health::assess(service, members, known ? &was_met : nullptr);
    const std::optional<Pool> before = this->pool(service.name);
    kept_[service.name].assessment = pool;
    tell(service, before, pool);

    uint64_t step = 0;
    for (size_t i = 0; i < backends.size(); ++i) {
        Slot& slot = *backends[i].second;
        const health::Decision decision = health::decide(service, pool, members[i], now);
        uint64_t at = health::next_step(service, members[i], now);
        if (decision.cause == health::Cause::history) at = now + second;
        // It has all of its weight: from now on it is one that was here all along.
        if (at == 0 && members[i].state == health::State::up) slot.member.back_since = 0;
        if (at > 0) step = step ? std::min(step, at) : at;
        const bool same = decision == slot.decision;
        slot.decision = decision;
        if (!same || slot.present != decision.present ||
            (slot.present && slot.record.weight != decision.effective))
            want(service, backends[i].first, slot, batch);
    }
    if (step > 0) {
        steps_[service.name] = step;
    } else {
        steps_.erase(service.name);
    }
}

// The operation, if one is needed, that gives the backend what was decided for it.
void Weights::want(const model::Service& service, model::BackendId id, Slot& slot, Batch& batch) {
    const bool present = slot.decision.present;
    ipvs::DestRecord wanted = slot.record;
    wanted.weight = present ? slot.decision.effective : 0;
    const bool settled = present == slot.present && (!present || wanted.same_settings(slot.record)) &&
                         slot.not_applied.empty();
    if (settled || (!present && !slot.present)) {
        slot.record.weight = wanted.weight;
        slot.not_applied.clear();
        slot.retry_at = 0;
        slots_->publish(id);
        return;
    }
    reconcile::Transaction transaction;
    const ipvs::ServiceRecord in = ports_.record_of(service);
    if (!present) {
        transaction.remove.push_back(Op::remove(in.key, slot.record.address));
    } else {
        const auto kind = slot.present ? Op::Kind::edit_dest : Op::Kind::add_dest;
        transaction.make.push_back(Op{kind, in, wanted});
    }
    batch.of.push_back({id, present, &service});
    batch.transactions.push_back(std::move(transaction));
}

void Weights::apply(Batch& batch, std::set<std::string>& incomplete) {
    const auto applied = ports_.applier->apply(batch.transactions);
    for (size_t i = 0; i < batch.of.size(); ++i) {
        const auto [id, present, service] = batch.of[i];
        Slot& slot = *slots_->find(id);
        if (applied[i]) {
            slot.present = present;
            if (present) {
                slot.record = applied[i]->dests.back();
            } else {
                slot.record.weight = 0;
            }
            slot.not_applied.clear();
            slot.attempts = 0;
            slot.retry_at = 0;
            std::vector<base::LogField> fields{{"service", slot.service},
                                               {"backend", slot.backend},
                                               {"weight", std::to_string(slot.record.weight)},
                                               {"configured", std::to_string(slot.member.configured)}};
            if (slot.decision.cause != health::Cause::none) {
                const auto view = ports_.health_of(id);
                fields.push_back({"why", health::words(*service, slot.decision, view ? view->because : "")});
            }
            base::log(base::LogLevel::info, present ? "weight set" : "destination removed", fields);
            if (applied[i]->service_was_missing) incomplete.insert(slot.service);
        } else {
            slot.not_applied = applied[i].error().sentence;
            slot.retry_at =
                ports_.clock->now() + std::min(longest_retry, second << std::min<uint32_t>(slot.attempts, 6));
            if (slot.attempts++ == 0) {
                base::log_error(
                    "weight could not be set, trying again",
                    {{"service", slot.service}, {"backend", slot.backend}, {"error", slot.not_applied}});
            }
        }
        slots_->publish(id);
    }
}

// Publishes what the service is as a whole, and says in the log what has changed about it.
void Weights::tell(const model::Service& service, const std::optional<Pool>& before,
                   const health::Assessment& after) {
    const bool first = !before;
    const bool changed = first || before->assessment.state != after.state;
    const Pool pool{after, changed ? ports_.clock->wall() : before->since_wall};
    published_.with([&](auto& map) { map[service.name] = pool; });
    if (first) return;
    const auto say = [&](base::LogLevel level, std::string_view message) {
        const base::LogField fields[] = {{"service", service.name},
                                         {"state", std::string(health::pool_state_text(after.state))},
                                         {"reason", health::pool_words(service, after)}};
        base::log(level, message, fields);
    };
    if (changed) {
        const bool up = after.state == health::PoolState::up;
        say(up ? base::LogLevel::info : base::LogLevel::warning,
            "virtual service is " + std::string(health::pool_state_text(after.state)));
    }
    if (before->assessment.panic != after.panic) {
        say(base::LogLevel::warning, after.panic
                                         ? "too few backends are up: all of them serve"
                                         : "enough backends are up again: those that are down stop serving");
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
