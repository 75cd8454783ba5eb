#include "model/scheduler.h"

namespace gorb::model {

namespace {

// A short name as a number, so that it can be switched on: this is asked for each decision about a weight.
constexpr uint32_t number_of(std::string_view name) {
    if (name.size() > sizeof(uint32_t)) return 0;
    uint32_t number = 0;
    for (const char c : name) number = number << 8 | static_cast<unsigned char>(c);
    return number;
}

}  // namespace

SchedulerTraits scheduler_traits(std::string_view scheduler) {
    switch (number_of(scheduler)) {
        case number_of("sh"):
            return {WeightUse::hash_share, true, flag_fallback, 256};
        case number_of("mh"):
            return {WeightUse::hash_share, true, flag_fallback, 0};
        case number_of("dh"):
            return {WeightUse::zero_only, true, 0, 0};
        case number_of("rr"):
        case number_of("lc"):
            return {WeightUse::zero_only, false, 0, 0};
        case number_of("fo"):
            return {WeightUse::rank, false, 0, 0};
        case number_of("ovf"):
            return {WeightUse::capacity, false, 0, 0};
        default:
            return {};
    }
}

OnDown effective_on_down(const Service& service, const SchedulerTraits& traits) {
    if (traits.zero_swallows && traits.fallback_flag == 0) return OnDown::remove;
    return service.pool.on_down;
}

OnDown effective_on_down(const Service& service) {
    return effective_on_down(service, scheduler_traits(service.scheduler));
}

uint32_t effective_flags(const Service& service) {
    if (service.pool.refuse_fallback) return service.flags;
    return service.flags | scheduler_traits(service.scheduler).fallback_flag;
}

bool absent_at_zero(const Service& service, const SchedulerTraits& traits) {
    if (!traits.zero_swallows) return false;
    const bool helped = (effective_flags(service) & traits.fallback_flag) != 0;
    return !helped && effective_on_down(service, traits) == OnDown::remove;
}

bool absent_at_zero(const Service& service) {
    return absent_at_zero(service, scheduler_traits(service.scheduler));
}

}  // namespace gorb::model
