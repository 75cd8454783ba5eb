#include "control/slots.h"

#include <algorithm>

#include "health/weight.h"

namespace gorb::control {

health::Weight wanted_weight(const Slot& slot) {
    return health::weight(slot.configured, slot.state, slot.share, slot.reason, slot.before);
}

Slot* Slots::find(model::BackendId id) {
    auto it = slots_.find(id);
    return it == slots_.end() ? nullptr : &it->second;
}

void Slots::put(model::BackendId id, Slot slot) {
    slots_.insert_or_assign(id, std::move(slot));
    publish(id);
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
    EffectiveWeight weight{slot.configured, slot.record.weight, "", slot.not_applied};
    if (weight.configured != weight.effective) {
        const health::Weight wanted = wanted_weight(slot);
        weight.why =
            wanted.effective == weight.effective ? wanted.why : "the kernel did not take another weight";
    }
    published_.with([&](auto& map) { map.insert_or_assign(id, std::move(weight)); });
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

EffectiveWeight Slots::published(model::BackendId id) const {
    return published_.with([&](const auto& map) {
        auto it = map.find(id);
        return it == map.end() ? EffectiveWeight{} : it->second;
    });
}

}  // namespace gorb::control
