#include "control/slots.h"

#include <algorithm>

#include "base/check.h"
#include "reconcile/records.h"

namespace gorb::control {

ipvs::DestRecord Slot::record() const {
    GORB_CHECK(backend != nullptr);
    return reconcile::dest_record(backend->spec, weight);
}

void as_found(Slot& slot, const reconcile::Dests& found) {
    const bool asked = slot.member.state == health::State::unknown && !slot.present &&
                       slot.member.admin == model::Admin::ready;
    const auto dest = found.find(slot.backend->spec.address);
    slot.present = dest != found.end();
    if (asked && slot.present) slot.member.before = std::min(dest->second.weight, slot.member.configured);
}

void set_state(Slot& slot, health::State state, uint64_t since) {
    if (slot.member.state == state) return;
    // One that was taken over from the kernel was here all along.
    const auto served = [&slot](health::State as) {
        return as == health::State::up ||
               (as == health::State::unknown && slot.member.before > 0 && !slot.member.lent);
    };
    // A fall that never became a weight is none to come back from: a freeze held it back, or max-down had it
    // serve on, asked in another way meanwhile or not.
    const health::State was = slot.member.state;
    const bool kept = was == health::State::down && slot.decision.cause == health::Cause::kept;
    const bool lent = was == health::State::unknown && slot.member.before > 0 && slot.member.lent;
    const bool never_fell =
        kept || lent || (slot.held && was == health::State::down && served(slot.state_before));
    slot.held = false;
    slot.state_before = std::exchange(slot.member.state, state);
    slot.since_before = std::exchange(slot.member.since, since);
    if (state == health::State::up && !never_fell && !served(slot.state_before))
        slot.member.back_since = since;
    // A freeze may hold back its first fall: then it goes on with that weight.
    const bool fell_first = slot.state_before == health::State::unknown && state == health::State::down;
    if (state == health::State::up || slot.member.before > 0) slot.member.unproven = false;
    if (fell_first) return;
    slot.member.before = 0;
    slot.member.lent = false;
}

Slot* Slots::find(model::BackendId id) {
    return slots_.find(id);
}

Slot& Slots::put(Slot slot) {
    remember(slot);
    const std::lock_guard lock(lock_);
    Record& record = slots_.insert(Record(std::move(slot)));
    show(record);
    return record;
}

void Slots::erase(model::BackendId id) {
    retries_.erase(id);
    const std::lock_guard lock(lock_);
    slots_.erase(id);
    refusals_.erase(id);
}

void Slots::publish(Slot& slot) {
    Slot* const one = &slot;
    publish({&one, 1});
}

void Slots::publish(std::span<Slot* const> slots) {
    for (const Slot* slot : slots) remember(*slot);
    const std::lock_guard lock(lock_);
    for (Slot* slot : slots) show(static_cast<Record&>(*slot));
}

[[gnu::noinline]] void Slots::note_retry(const Slot& slot) {
    if (const uint64_t at = slot.trouble.get().retry_at) {
        retries_[slot.member.id] = at;
    } else {
        retries_.erase(slot.member.id);
    }
}

void Slots::show(Record& record) {
    record.shown.decision = record.decision;
    record.shown.weight = record.present ? record.weight : absent;
    if (record.trouble || !refusals_.empty()) note_refusal(record);
}

[[gnu::noinline]] void Slots::note_refusal(const Slot& slot) {
    const std::string& refusal = slot.trouble.get().not_applied;
    if (refusal.empty()) {
        refusals_.erase(slot.member.id);
    } else {
        refusals_[slot.member.id] = refusal;
    }
}

uint64_t Slots::next_retry() const {
    uint64_t first = 0;
    for (const auto& [id, at] : retries_) first = first ? std::min(first, at) : at;
    return first;
}

std::vector<model::BackendId> Slots::due(uint64_t now) const {
    std::vector<model::BackendId> ids;
    for (const auto& [id, at] : retries_) {
        if (at <= now) ids.push_back(id);
    }
    return ids;
}

Slots::Published Slots::published(model::BackendId id) const {
    const std::lock_guard lock(lock_);
    const Record* record = slots_.find(id);
    if (!record) return {};
    const auto refusal = refusals_.find(id);
    const bool present = record->shown.weight != absent;
    return {record->shown.decision, present ? record->shown.weight : 0, present,
            refusal == refusals_.end() ? "" : refusal->second};
}

}  // namespace gorb::control
