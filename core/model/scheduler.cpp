#include "model/scheduler.h"

namespace gorb::model {

SchedulerTraits scheduler_traits(std::string_view scheduler) {
    if (scheduler == "sh") return {WeightUse::hash_share, true, flag_fallback, 256};
    if (scheduler == "mh") return {WeightUse::hash_share, true, flag_fallback, 0};
    if (scheduler == "dh") return {WeightUse::zero_only, true, 0, 0};
    if (scheduler == "rr" || scheduler == "lc") return {WeightUse::zero_only, false, 0, 0};
    if (scheduler == "fo") return {WeightUse::rank, false, 0, 0};
    if (scheduler == "ovf") return {WeightUse::capacity, false, 0, 0};
    return {};
}

OnDown effective_on_down(const Service& service) {
    const SchedulerTraits traits = scheduler_traits(service.scheduler);
    if (traits.zero_swallows && traits.fallback_flag == 0) return OnDown::remove;
    return service.pool.on_down;
}

uint32_t effective_flags(const Service& service) {
    if (service.pool.refuse_fallback || service.pool.on_down != OnDown::weight_zero) return service.flags;
    return service.flags | scheduler_traits(service.scheduler).fallback_flag;
}

}  // namespace gorb::model
