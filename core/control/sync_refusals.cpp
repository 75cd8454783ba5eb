// What the kernel refused of Sync: when it is tried again, what is shown of it, and what the log has.
#include <algorithm>

#include "control/retry.h"
#include "control/sync.h"

namespace gorb::control {

// All that a start wants may be refused.
void Sync::not_made(std::string_view what, std::initializer_list<base::LogField> fields) {
    refusal_lines_.tell(
        ports_.clock->now(), [&] { base::log_error(what, fields); },
        [] { base::log_error("more could not be made than is written out here: GET has each"); });
}

void Sync::refuse(const std::string& service, const std::string& words) {
    Refusal& refusal = refusals_[service];
    refusal.words = words;
    refusal.retry_at = ports_.clock->now() + retry_after(refusal.attempts);
    if (refusal.attempts++ == 0) {
        not_made("virtual service could not be made or looked at, trying again",
                 {{"service", service}, {"error", words}});
        ports_.events->add({0, ports_.clock->wall(), "refused", service, "", "", words});
    }
    shown_.with([&](auto& map) { map[service] = words; });
}

// What the kernel has of its backends now is not known: they are not applied until it is.
void Sync::unknown(const model::ServiceEntry& service, const std::string& words) {
    service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        Slot& slot = *ports_.slots->find(backend->id);
        slot.trouble.change().not_applied = words;
        ports_.slots->publish(slot);
    });
}

void Sync::made_at_last(const std::string& service) {
    ports_.weights->made(service);
    const auto at = refusals_.find(service);
    if (at == refusals_.end()) return;
    const std::string tries = std::to_string(at->second.attempts + 1);
    base::log_info("virtual service is made at last", {{"service", service}, {"attempts", tries}});
    ports_.events->add({0, ports_.clock->wall(), "made", service, "", "", "made at attempt " + tries});
    forget(service);
}

void Sync::forget(const std::string& service) {
    if (refusals_.erase(service) > 0) shown_.with([&](auto& map) { map.erase(service); });
}

std::vector<std::string> Sync::due(uint64_t now) const {
    std::vector<std::string> names;
    for (const auto& [name, refusal] : refusals_) {
        if (refusal.retry_at <= now) names.push_back(name);
    }
    return names;
}

uint64_t Sync::next() const {
    uint64_t first = leave_at_;
    for (const auto& [name, refusal] : refusals_)
        first = first ? std::min(first, refusal.retry_at) : refusal.retry_at;
    return first;
}

std::string Sync::refused(const std::string& service) const {
    return shown_.with([&](const auto& map) {
        const auto at = map.find(service);
        return at == map.end() ? std::string() : at->second;
    });
}

}  // namespace gorb::control
