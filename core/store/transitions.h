// The steps from one desired state to the next, as pure functions: a Snapshot in, a new Snapshot out.
//
// Each gives the new state the next revision. Whether a step is allowed is asked first, by the check_*
// functions. Within a larger change that ends well, keys and addresses may be taken over by edits before
// their present owner has been given another; what is dropped is dropped before.
#pragma once
#include <string>

#include "base/result.h"
#include "model/snapshot.h"

namespace gorb::store {

// Errc::exists naming the other service if one with another name has the same address, port and protocol.
base::Status check_service_key(const model::Snapshot& now, const model::Service& service);
// Errc::exists naming the other backend of the same service if one has the same address and port.
base::Status check_backend_address(const model::ServiceEntry& service, const model::Backend& backend);

// Creates the service or replaces its own fields, keeping its backends.
model::Snapshot with_service(const model::Snapshot& now, const model::Service& service);
model::Snapshot without_service(const model::Snapshot& now, const std::string& name);

// Creates or replaces a backend of a service that exists.
model::Snapshot with_backend(const model::Snapshot& now, const std::string& service,
                             const model::Backend& backend, model::BackendId id);
model::Snapshot without_backend(const model::Snapshot& now, const std::string& service,
                                const std::string& backend);

}  // namespace gorb::store
