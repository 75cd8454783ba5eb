#include "store/transitions.h"

#include <algorithm>

#include "base/check.h"

namespace gorb::store {

using model::ServiceEntry;
using model::Snapshot;

namespace {

using ByKey = decltype(Snapshot::by_key);

// Without the service's key, unless another service has taken it over since: when many change together two
// may change places.
ByKey without_key(const ByKey& by_key, const model::Service& service) {
    const std::string* owner = by_key.find(service.key);
    return owner && *owner == service.name ? by_key.erase(service.key) : by_key;
}

using ByAddress = decltype(ServiceEntry::by_address);

ByAddress without_address(const ByAddress& by_address, const model::Backend& backend) {
    const auto* owner = by_address.find(backend.address);
    return owner && (*owner)->spec.name == backend.name ? by_address.erase(backend.address) : by_address;
}

// The state with `entry` in place of the service of that name.
Snapshot put_entry(const Snapshot& now, ServiceEntry entry) {
    Snapshot next = now;
    const auto* old = now.services.find(entry.spec.name);
    if (!old || (*old)->spec.key != entry.spec.key) {
        if (old) next.by_key = without_key(next.by_key, (*old)->spec);
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

bool wants(const ServiceEntry& service, const Leaving& entry) {
    return !entry.backend || service.by_address.find(*entry.backend);
}

bool wants(const Snapshot& now, const Leaving& entry) {
    const std::string* owner = now.by_key.find(entry.service);
    return owner && wants(**now.services.find(*owner), entry);
}

Snapshot with_service(const Snapshot& now, const ServiceEntry& row) {
    const auto* old = now.services.find(row.spec.name);
    ServiceEntry entry = old ? **old : ServiceEntry{};
    entry.spec = row.spec;
    entry.revision = row.revision;
    entry.origin = row.origin;
    Snapshot next = put_entry(now, std::move(entry));
    next.revision = std::max(now.revision, row.revision);
    return next;
}

Snapshot without_service(const Snapshot& now, const std::string& name, uint64_t revision) {
    Snapshot next = now;
    next.by_key = without_key(next.by_key, must_find(now, name).spec);
    next.services = next.services.erase(name);
    next.revision = std::max(now.revision, revision);
    return next;
}

Snapshot with_backend(const Snapshot& now, const std::string& service, const model::BackendPtr& row) {
    ServiceEntry entry = must_find(now, service);
    const auto* old = entry.backends.find(row->spec.name);
    if (old && (*old)->spec.address != row->spec.address)
        entry.by_address = without_address(entry.by_address, (*old)->spec);
    entry.by_address = entry.by_address.insert(row.get());
    entry.backends = entry.backends.insert(row);
    Snapshot next = put_entry(now, std::move(entry));
    next.revision = std::max(now.revision, row->revision);
    return next;
}

Snapshot without_backend(const Snapshot& now, const std::string& service, const std::string& backend,
                         uint64_t revision) {
    ServiceEntry entry = must_find(now, service);
    const auto* old = entry.backends.find(backend);
    GORB_CHECK(old != nullptr);
    entry.by_address = without_address(entry.by_address, (*old)->spec);
    entry.backends = entry.backends.erase(backend);
    Snapshot next = put_entry(now, std::move(entry));
    next.revision = std::max(now.revision, revision);
    return next;
}

void Builder::add(model::Service spec, uint64_t revision, model::Origin origin) {
    close();
    open_.emplace();
    open_->spec = std::move(spec);
    open_->revision = revision;
    open_->origin = origin;
}

void Builder::add(model::BackendPtr backend) {
    GORB_CHECK(open_.has_value());
    open_->by_address = open_->by_address.insert(backend.get());
    open_->backends = open_->backends.insert(std::move(backend));
}

Snapshot Builder::finish(uint64_t revision) {
    close();
    made_.revision = revision;
    return std::move(made_);
}

void Builder::close() {
    if (!open_) return;
    made_.by_key = made_.by_key.insert(open_->spec.key, open_->spec.name);
    made_.services = made_.services.insert(std::make_shared<const ServiceEntry>(std::move(*open_)));
    open_.reset();
}

}  // namespace gorb::store
