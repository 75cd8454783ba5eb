// Decisions about weights, in words.
#include "base/duration.h"
#include "health/pool.h"

namespace gorb::health {
namespace {

std::string percent(uint32_t n) {
    return std::to_string(n) + " %";
}

std::string with(std::string words, const std::string& because) {
    return because.empty() ? words : std::move(words) + ": " + because;
}

std::string count(uint32_t n, const char* one, const char* many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
}

// Of a scheduler to which a part of a weight is no part of the traffic.
std::string not_in_proportion(const model::Service& service) {
    return " has no effect with scheduler " + service.scheduler +
           ", which does not send traffic in proportion to weights";
}

// Of what makes no difference for rounding.
std::string no_less(const model::SchedulerTraits& traits, const Decision& d) {
    return " has no effect: there is no less than the " + std::to_string(d.effective) + " it has" +
           (traits.slots > 0
                ? ", since the weights of the service are divided by their greatest common divisor"
                : "");
}

std::string share_words(const model::Service& service, const Decision& d) {
    if (!d.idle_share) return "its pulse asks for " + percent(d.share) + " of the weight";
    const model::SchedulerTraits traits = model::scheduler_traits(service.scheduler);
    const std::string asks = "that its pulse asks for a part of the weight";
    if (!traits.scales()) return asks + not_in_proportion(service);
    return asks + no_less(traits, d);
}

std::string ramp_words(const model::Service& service, const Decision& d) {
    return "it came back a short time ago: " + percent(d.ramp) + " of the weight, all of it " +
           base::duration_text(service.pool.slow_start) + " after its return";
}

std::string idle_recovery_words(const model::Service& service, const Decision& d) {
    return "that it came back a short time ago" + no_less(model::scheduler_traits(service.scheduler), d);
}

// Of its health, where `why` may be about something else that is in the way of its weight.
std::string health_words(const Decision& d, const std::string& why, const std::string& because) {
    if (d.cause == Cause::ramp) return percent(d.health) + " of its last checks passed";
    if (d.admin == 100 && d.pool == 100 && d.cause != Cause::zero) return why;
    return because.empty() ? "no check has finished yet" : "not up: " + because;
}

}  // namespace

std::string words(const model::Service& service, const Decision& d, const std::string& because) {
    switch (d.cause) {
        case Cause::none:
            break;
        case Cause::divided:
            return "all weights of the service are divided by their greatest common divisor, since "
                   "scheduler " +
                   service.scheduler + " has one slot for each unit of weight";
        case Cause::zero:
            return "its configured weight is 0";
        case Cause::drain:
            return "drained by the operator";
        case Cause::maint:
            return "taken out for maintenance by the operator";
        case Cause::down:
            return with(d.present ? "down" : "down, and its destination is removed", because);
        case Cause::unchecked:
            return because.empty() ? "no check has finished yet" : "no check has counted yet: " + because;
        case Cause::before:
            return (because.empty() ? "no check has finished yet" : "no check has counted yet: " + because) +
                   "; until then it keeps the weight it had in the kernel";
        case Cause::standby:
            return "a backup, and the primaries make the quorum of " + std::to_string(service.pool.quorum) +
                   (service.pool.hysteresis > 0
                        ? ", or have not lost it (hysteresis " + std::to_string(service.pool.hysteresis) + ")"
                        : "");
        case Cause::panic:
            return with("not up, but it serves, because fewer than " + percent(service.pool.panic_threshold) +
                            " of the backends are up (panic-threshold)",
                        because);
        case Cause::kept:
            return with("down, but it serves, because no more may be out (max-down " +
                            percent(service.pool.max_down) + ")",
                        because);
        case Cause::held:
            return with("down, but it keeps its weight, because gorbd suspects its own machine (GET /readyz)",
                        because);
        case Cause::ramp:
            return ramp_words(service, d);
        case Cause::history:
            return percent(d.health) + " of its last checks passed";
        case Cause::share:
            return share_words(service, d);
    }
    return "";
}

FactorWords factor_words(const model::Service& service, const Decision& d, const std::string& because) {
    FactorWords w;
    if (d.share < 100 || d.idle_share) w.share = share_words(service, d);
    if (d.idle_recovery)
        (service.pool.recovery == model::Recovery::history ? w.health : w.ramp) =
            idle_recovery_words(service, d);
    if (d.cause == Cause::none || d.cause == Cause::divided) return w;  // no factor is less then
    const std::string why = words(service, d, because);
    if (d.admin < 100) w.admin = why;
    if (d.health < 100) w.health = health_words(d, why, because);
    if (d.ramp < 100) w.ramp = ramp_words(service, d);
    if (d.cause == Cause::held) w.health = why;
    if (d.pool < 100 || d.cause == Cause::panic || d.cause == Cause::kept) w.pool = why;
    return w;
}

std::vector<std::string> pool_warnings(const model::Service& service, const Assessment& pool) {
    std::vector<std::string> all;
    const model::SchedulerTraits traits = model::scheduler_traits(service.scheduler);
    const model::PoolPolicy& policy = service.pool;
    if (traits.slots > 0 && pool.slot_sum > traits.slots) {
        all.push_back(
            "the weights add up to " + std::to_string(pool.slot_sum) +
            " after division by their greatest common divisor, and scheduler " + service.scheduler +
            " has a table of " + std::to_string(traits.slots) +
            " slots: the last backends get fewer clients than their weight says, or none; use smaller "
            "weights, or scheduler mh");
    }
    if (traits.zero_swallows && traits.fallback_flag != 0 && policy.refuse_fallback) {
        all.push_back("fallback is refused: clients hashed to a backend of weight 0 get no destination");
    }
    if (traits.zero_swallows && traits.fallback_flag == 0) {
        all.push_back(
            "scheduler " + service.scheduler +
            " gives clients hashed to a backend of weight 0 no destination: one that is down, in "
            "maintenance or not checked yet is not in the kernel instead, and draining one turns its clients "
            "away");
    }
    // Weight 0 ends nothing that binds a client to its server, and each packet of the client renews that:
    // ip_vs_check_template(), ip_vs_in_hook(). Said where there is one that is not up: README has it of all.
    const bool some_down = pool.primaries_up + pool.backups_up < pool.primaries + pool.backups;
    const bool stays = some_down && model::effective_on_down(service, traits) != model::OnDown::remove;
    if (stays && service.persistence_s > 0) {
        all.push_back(
            "clients that persistence binds to a backend are sent to it while it is down as well, for as "
            "long as they go on asking: on-down \"remove\" gives them another one at once, and so does "
            "net.ipv4.vs.expire_quiescent_template = 1, which cuts their drains short too");
    }
    if (stays && service.key.protocol == model::Protocol::udp) {
        all.push_back(
            "a client that goes on sending from one port stays with its backend while that is down as well: "
            "on-down \"remove\" gives it another one, at once where net.ipv4.vs.expire_nodest_conn is 1, "
            "else "
            "when the kernel forgets it (5 minutes)");
    }
    if (policy.recovery != model::Recovery::immediate && !traits.ramps()) {
        const std::string what = "recovery " + std::string(model::recovery_text(policy.recovery));
        all.push_back(traits.use == model::WeightUse::hash_share
                          ? what + " has no effect with scheduler " + service.scheduler +
                                ", whose every change of weight moves clients"
                          : what + not_in_proportion(service));
    }
    if (pool.idle_shares > 0) {
        const std::string what = "that " + count(pool.idle_shares, "backend asks", "backends ask") +
                                 " for a part of the weight by the pulse";
        all.push_back(
            traits.scales()
                ? what +
                      " has no effect: after division by their greatest common divisor the weight is 1, "
                      "which has no parts; with scheduler mh it has"
                : what + not_in_proportion(service));
    }
    if (policy.quorum > pool.primaries && pool.primaries > 0) {
        all.push_back("the quorum is " + std::to_string(policy.quorum) + " and there " +
                      count(pool.primaries, "primary is", "primaries are") +
                      " in service: it can not be met");
    }
    return all;
}

std::string pool_words(const model::Service& service, const Assessment& pool) {
    const model::PoolPolicy& policy = service.pool;
    std::string text = std::to_string(pool.primaries_up) + " of " +
                       count(pool.primaries, "primary is", "primaries are") + " up, ";
    if (pool.held > 0) text += "of which " + count(pool.held, "is", "are") + " held (GET /readyz), ";
    text += "the quorum is " + std::to_string(policy.quorum);
    const std::string hysteresis = " (hysteresis " + std::to_string(policy.hysteresis) + ")";
    if (pool.quorum_met && pool.primaries_up < policy.quorum)
        text += " and not lost until fewer than " + std::to_string(policy.quorum - policy.hysteresis) +
                " are up" + hysteresis;
    if (!pool.quorum_met && pool.primaries_up >= policy.quorum)
        text +=
            " and reached again at " + std::to_string(quorum_regained(policy, pool.primaries)) + hysteresis;
    if (pool.backups_serve() && pool.backups_up > 0)
        text += "; " + count(pool.backups_up, "backup serves", "backups serve");
    if (pool.panic) text += "; all serve, because too few are up (panic-threshold)";
    if (pool.kept > 0)
        text +=
            "; " + count(pool.kept, "backend that is", "backends that are") + " down must serve (max-down)";
    return text;
}

}  // namespace gorb::health
