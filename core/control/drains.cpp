#include "control/drains.h"

#include <algorithm>
#include <map>

#include "base/duration.h"
#include "base/log.h"
#include "control/retry.h"
#include "reconcile/records.h"

namespace gorb::control {
namespace {

std::string left(const DrainView& view) {
    if (!view.counted) return "not known: " + view.trouble;
    std::string words = std::to_string(view.active) + " active and " + std::to_string(view.inactive) +
                        " inactive connections, " + std::to_string(view.templates) + " persistence templates";
    if (!view.trouble.empty()) words += " at the last count: " + view.trouble;
    return words;
}

// By address: all of a service may drain.
base::Result<reconcile::Dests> read_dests(ipvs::Driver& driver, const model::Service& service) {
    auto dests = driver.dests(reconcile::kernel_key(service.key));
    if (!dests) return base::fail(std::move(dests.error()));
    return reconcile::dests_of(std::move(*dests));
}

}  // namespace

void Drains::follow(const std::string& service, const model::BackendEntry& backend) {
    if (backend.spec.admin != model::Admin::drain) {
        forget(backend.id);
        return;
    }
    const auto [it, begins] = drains_.try_emplace(backend.id);
    Drain& drain = it->second;
    if (begins) {
        drain.service = service;
        drain.backend = backend.spec.name;
        next_ = clock_->now();
    }
    const base::Nanos timeout = backend.spec.drain_timeout;
    const bool said = drain.view.since_wall != backend.drain_since || drain.timeout != timeout ||
                      drain.then != backend.spec.drain_then;
    if (begins || said) {
        drain.timeout = timeout;
        drain.then = backend.spec.drain_then;
        drain.view.since_wall = backend.drain_since;
        // Somebody may have set the clock since, and the wait is neither to be longer for it nor negative.
        const base::Nanos passed = base::Nanos(clock_->wall() - backend.drain_since);
        const base::Nanos left = timeout - std::clamp(passed, base::Nanos(0), timeout);
        const bool ends = timeout > base::Nanos(0);
        drain.deadline = ends ? clock_->now() + base::ns_of(left) : 0;
        drain.view.deadline_wall = ends ? clock_->wall() + left.count() : 0;
    }
    drain.over = false;
    drain.told_again = 0;
    drain.refusals = 0;
    published_.with([&](auto& map) { map[backend.id] = drain.view; });
}

void Drains::forget(model::BackendId id) {
    if (drains_.erase(id) == 0) return;
    published_.with([&](auto& map) { map.erase(id); });
    if (drains_.empty()) next_ = 0;
}

void Drains::again(model::BackendId id) {
    const auto it = drains_.find(id);
    if (it == drains_.end() || !it->second.over) return;
    it->second.over = false;
    it->second.told_again = clock_->now() + retry_after(it->second.refusals++);
}

uint64_t Drains::next() const {
    return next_;
}

void Drains::count(Drain& drain, const base::Result<reconcile::Dests>& dests,
                   const model::BackendEntry& backend) {
    DrainView& view = drain.view;
    if (!dests) {
        view.trouble = dests.error().sentence;
        return;
    }
    const auto found = dests->find(backend.spec.address);
    if (found == dests->end() && slots_->published(backend.id).present) {
        view.trouble = "somebody has removed the destination from the kernel";
        return;
    }
    view.trouble.clear();
    view.counted = true;
    view.active = view.inactive = view.templates = 0;
    if (found != dests->end()) {
        view.active = found->second.active;
        view.inactive = found->second.inactive;
        view.templates = found->second.persistent;
    }
    const bool empty = view.active == 0 && view.inactive == 0 && view.templates == 0;
    if (empty && !view.finished) {
        view.finished_wall = clock_->wall();
        base::log_info("drain finished: no connections are left",
                       {{"service", drain.service}, {"backend", drain.backend}});
    }
    view.finished = empty;
}

std::vector<Drains::Over> Drains::look(const model::Snapshot& now, ipvs::Driver& driver) {
    std::vector<Over> over;
    const uint64_t time = clock_->now();
    if (next_ == 0 || next_ > time) return over;
    next_ = time + period;
    std::map<std::string, base::Result<reconcile::Dests>> read;  // by service
    for (auto& [id, drain] : drains_) {
        const auto* service = now.services.find(drain.service);
        const auto* backend = service ? (*service)->backends.find(drain.backend) : nullptr;
        if (!backend) continue;
        auto dests = read.find(drain.service);
        if (dests == read.end()) {
            dests = read.emplace(drain.service, read_dests(driver, (*service)->spec)).first;
        }
        count(drain, dests->second, **backend);

        const model::Backend& spec = (*backend)->spec;
        const bool ends = drain.deadline > 0;
        const bool late = ends && time >= drain.deadline;
        const bool told = drain.over || time < drain.told_again;
        if (ends && !told && (drain.view.finished || late)) {
            drain.over = true;
            if (!drain.view.finished && drain.refusals == 0) {
                base::log_warning("drain ended by its time-out",
                                  {{"service", drain.service},
                                   {"backend", drain.backend},
                                   {"drain-timeout", base::duration_text(spec.drain_timeout)},
                                   {"left", left(drain.view)}});
            }
            over.push_back({id, drain.service, drain.backend, spec.drain_then, (*backend)->revision});
        }
        published_.with([key = id, view = drain.view](auto& map) { map[key] = view; });
    }
    return over;
}

std::optional<DrainView> Drains::view(model::BackendId id) const {
    return published_.with([&](const auto& map) -> std::optional<DrainView> {
        const auto it = map.find(id);
        if (it == map.end()) return std::nullopt;
        return it->second;
    });
}

}  // namespace gorb::control
