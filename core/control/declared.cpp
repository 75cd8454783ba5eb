#include "control/declared.h"

#include <algorithm>
#include <set>

#include "control/words.h"
#include "model/rules.h"

namespace gorb::control {

using model::Admin;
using model::DrainThen;

namespace {

// As DELETE ?drain= has it.
bool leaves(const model::Backend& backend) {
    return backend.admin == Admin::drain && backend.drain_then == DrainThen::remove &&
           backend.drain_timeout.count() > 0;
}

void keep(model::Backend& said, const model::Backend& is) {
    said.admin = is.admin;
    said.drain_then = is.drain_then;
    said.drain_timeout = is.drain_timeout;
}

// `said` by a file of what `is`.
void keep_admin(model::Backend& said, const model::Backend& is) {
    // A drain that the file itself asks for, and that is over: to begin it at each start would never end.
    const bool over = said.admin == Admin::drain && is.admin == Admin::maint &&
                      said.drain_then == DrainThen::maint && is.drain_then == DrainThen::maint &&
                      said.drain_timeout.count() > 0 && said.drain_timeout == is.drain_timeout;
    if (over) said.admin = Admin::maint;
    if (said.admin == Admin::ready && is.admin != Admin::ready) keep(said, is);
}

// What no file has any more, and is on its way out, unless something else is in its place.
void keep_leaving(model::ConfigService& service, const model::ServiceEntry& now) {
    std::vector<const model::Backend*> leaving;
    now.backends.for_each([&](const std::string& name, const model::BackendPtr& backend) {
        if (leaves(backend->spec) &&
            !std::ranges::binary_search(service.backends, name, {}, &model::Backend::name))
            leaving.push_back(&backend->spec);
    });
    if (leaving.empty()) return;
    std::set<base::Endpoint> taken;
    for (const model::Backend& backend : service.backends) taken.insert(backend.address);
    for (const model::Backend* backend : leaving) {
        const bool suits = model::backend_in_service_violations(service.spec, *backend).empty();
        if (suits && !taken.contains(backend->address)) service.backends.push_back(*backend);
    }
    std::ranges::sort(service.backends, {}, &model::Backend::name);
}

}  // namespace

std::string keep_removals(model::Config& config, const model::Snapshot& now) {
    std::string first;
    size_t count = 0;
    for (model::ConfigService& service : config.services) {
        const auto* old = now.services.find(service.spec.name);
        if (!old || !(*old)->spec.deleting) continue;
        for (model::Backend& backend : service.backends) {
            const auto* was = (*old)->backends.find(backend.name);
            if (!was || !leaves((*was)->spec)) continue;
            model::Backend kept = backend;
            keep(kept, (*was)->spec);
            if (kept == backend) continue;
            backend = std::move(kept);
            if (count++ == 0) first = words(service.spec.name, backend.name);
        }
    }
    if (count == 0) return "";
    if (count > 1) first += " (and " + std::to_string(count - 1) + " more)";
    return first + ": goes on leaving, since its service is being removed, which no document undoes";
}

bool is_called_off(const model::ServiceEntry& service) {
    if (!service.spec.deleting || service.backends.empty()) return false;
    bool any = false;
    service.backends.for_each(
        [&](const std::string&, const model::BackendPtr& backend) { any = any || leaves(backend->spec); });
    return !any;
}

model::Config as_operated(model::Config config, const model::Snapshot& now) {
    for (model::ConfigService& service : config.services) {
        const auto* old = now.services.find(service.spec.name);
        const auto is_new = [&](const model::Backend& b) { return !old || !(*old)->backends.find(b.name); };
        // What a file has drained and then removed is gone, and so it stays; and so do those that have left a
        // service which is being removed.
        const bool closed = old && (*old)->spec.deleting;
        std::erase_if(service.backends, [&](const auto& b) { return is_new(b) && (closed || leaves(b)); });
        if (!old) continue;
        for (model::Backend& backend : service.backends) {
            if (const auto* was = (*old)->backends.find(backend.name)) keep_admin(backend, (*was)->spec);
        }
        keep_leaving(service, **old);
    }
    keep_removals(config, now);
    return config;
}

bool goes_by_itself(const model::ServiceEntry& service, const model::Config& config) {
    if (!service.spec.deleting) return false;
    bool all = true;
    service.backends.for_each(
        [&](const std::string&, const model::BackendPtr& backend) { all = all && leaves(backend->spec); });
    return all && std::ranges::find(
                      config.services, service.spec.key,
                      [](const auto& s) -> const auto& { return s.spec.key; }) == config.services.end();
}

}  // namespace gorb::control
