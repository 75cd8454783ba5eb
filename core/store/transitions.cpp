#include "store/transitions.h"

#include "base/check.h"

namespace gorb::store {

using model::BackendEntry;
using model::ServiceEntry;
using model::Snapshot;

namespace {

// The state with `entry` in place of the service of that name.
Snapshot put_entry(const Snapshot& now, ServiceEntry entry) {
    Snapshot next = now;
    const auto* old = now.services.find(entry.spec.name);
    if (!old || (*old)->spec.key != entry.spec.key) {
        // Two services may be exchanging their keys: then the other one has this one's already.
        if (old) {
            const std::string* owner = now.by_key.find((*old)->spec.key);
            if (owner && *owner == entry.spec.name) next.by_key = next.by_key.erase((*old)->spec.key);
        }
        next.by_key = next.by_key.insert(entry.spec.key, entry.spec.name);
    }
    next.services = next.services.insert(std::make_shared<const ServiceEntry>(std::move(entry)));
    return next;
}

const ServiceEntry& must_find(const Snapshot& now, const std::string& service) {
    const auto* entry = now.services.find(service);
    GORB_CHECK(entry != nullptr);
    return **entry;
}

}  // namespace

base::Status check_service_key(const Snapshot& now, const model::Service& service) {
    const std::string* other = now.by_key.find(service.key);
    if (!other || *other == service.name) return {};
    return base::fail(base::Errc::exists, "service \"" + *other + "\" has the address, port and protocol " +
                                              service.key.text() + " already");
}

base::Status check_backend_address(const ServiceEntry& service, const model::Backend& backend) {
    const auto* other = service.by_address.find(backend.address);
    if (!other || (*other)->spec.name == backend.name) return {};
    return base::fail(base::Errc::exists, "backend \"" + (*other)->spec.name + "\" of service \"" +
                                              service.spec.name + "\" has the address and port " +
                                              backend.address.text() + " already");
}

Snapshot with_service(const Snapshot& now, const model::Service& service) {
    const auto* old = now.services.find(service.name);
    ServiceEntry entry = old ? **old : ServiceEntry{};
    entry.spec = service;
    entry.revision = now.revision + 1;
    Snapshot next = put_entry(now, std::move(entry));
    next.revision = now.revision + 1;
    return next;
}

Snapshot without_service(const Snapshot& now, const std::string& name) {
    Snapshot next = now;
    next.by_key = next.by_key.erase(must_find(now, name).spec.key);
    next.services = next.services.erase(name);
    next.revision = now.revision + 1;
    return next;
}

Snapshot with_backend(const Snapshot& now, const std::string& service, const model::Backend& backend,
                      model::BackendId id) {
    ServiceEntry entry = must_find(now, service);
    auto made = std::make_shared<const BackendEntry>(BackendEntry{backend, id, now.revision + 1});
    const auto* old = entry.backends.find(backend.name);
    if (old && (*old)->spec.address != backend.address) {
        const auto* owner = entry.by_address.find((*old)->spec.address);
        if (owner && *owner == old->get())  // else another backend has taken it over
            entry.by_address = entry.by_address.erase((*old)->spec.address);
    }
    entry.by_address = entry.by_address.insert(made.get());
    entry.backends = entry.backends.insert(std::move(made));
    Snapshot next = put_entry(now, std::move(entry));
    next.revision = now.revision + 1;
    return next;
}

Snapshot without_backend(const Snapshot& now, const std::string& service, const std::string& backend) {
    ServiceEntry entry = must_find(now, service);
    const auto* old = entry.backends.find(backend);
    GORB_CHECK(old != nullptr);
    entry.by_address = entry.by_address.erase((*old)->spec.address);
    entry.backends = entry.backends.erase(backend);
    Snapshot next = put_entry(now, std::move(entry));
    next.revision = now.revision + 1;
    return next;
}

}  // namespace gorb::store
