// The steps from one desired state to the next, as pure functions: a Snapshot in, a new Snapshot out.
//
// Whether a step is allowed is asked first, by the check_* functions.
#pragma once
#include <optional>
#include <string>

#include "base/result.h"
#include "model/snapshot.h"
#include "store/database.h"

namespace gorb::store {

// Errc::exists naming the other service if one with another name has the same address, port and protocol.
base::Status check_service_key(const model::Snapshot& now, const model::Service& service);
// Errc::exists naming the other backend of the same service if one has the same address and port.
base::Status check_backend_address(const model::ServiceEntry& service, const model::Backend& backend);

// Is what was to leave the kernel wanted: by what made it leave, or again since? `service` is the one that
// has its key.
bool wants(const model::Snapshot& now, const Leaving& entry);
bool wants(const model::ServiceEntry& service, const Leaving& entry);

// Each gives the new state the revision of what it puts, or the one it is given; revisions only grow, but
// need not be without gaps.

// Creates the service or replaces its own fields, keeping its backends; `row`'s backends are not looked at.
model::Snapshot with_service(const model::Snapshot& now, const model::ServiceEntry& row);
model::Snapshot without_service(const model::Snapshot& now, const std::string& name, uint64_t revision);

// Creates or replaces a backend of a service that exists.
model::Snapshot with_backend(const model::Snapshot& now, const std::string& service,
                             const model::BackendPtr& row);
model::Snapshot without_backend(const model::Snapshot& now, const std::string& service,
                                const std::string& backend, uint64_t revision);

// A state from nothing, service by service with all that is in them.
class Builder {
  public:
    void add(model::Service spec, uint64_t revision, model::Origin origin);
    void add(model::BackendPtr backend);  // to the service added last
    model::Snapshot finish(uint64_t revision);

  private:
    void close();
    model::Snapshot made_;
    std::optional<model::ServiceEntry> open_;
};

}  // namespace gorb::store
