#include "control/slots.h"

#include <algorithm>
#include <utility>

namespace gorb::control {

void set_state(Slot& slot, health::State state, uint64_t since) {
    if (slot.member.state == state) return;
    slot.state_before = std::exchange(slot.member.state, state);
    slot.since_before = std::exchange(slot.member.since, since);
    // One that was taken over from the kernel was here all along.
    const bool served = slot.state_before == health::State::up ||
                        (slot.state_before == health::State::unknown && slot.member.before > 0);
    if (state == health::State::up && !served) slot.member.back_since = since;
    if (state != health::State::unknown) slot.member.before = 0;
}

Slot* Slots::find(model::BackendId id) {
    auto it = slots_.find(id);
    return it == slots_.end() ? nullptr : &it->second;
}

Slot& Slots::put(model::BackendId id, Slot slot) {
    Slot& here = slots_.insert_or_assign(id, std::move(slot)).first->second;
    publish(id);
    return here;
}

void Slots::erase(model::BackendId id) {
    slots_.erase(id);
    retries_.erase(id);
    published_.with([&](auto& map) { map.erase(id); });
}

void Slots::publish(model::BackendId id) {
    const Slot& slot = slots_.at(id);
    if (slot.retry_at) {
        retries_[id] = slot.retry_at;
    } else {
        retries_.erase(id);
    }
    Published published{slot.decision, slot.present ? slot.record.weight : 0, slot.present, slot.not_applied};
    published_.with([&](auto& map) { map.insert_or_assign(id, std::move(published)); });
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
    return published_.with([&](const auto& map) {
        auto it = map.find(id);
        return it == map.end() ? Published{} : it->second;
    });
}

}  // namespace gorb::control
