// The whole desired state at one revision, immutable. Whoever holds one sees one state, for as long as he
// likes.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/persistent_map.h"
#include "model/service.h"

namespace gorb::model {

// Names a backend's life from its creation to its removal. Never reused within a process, never 0.
using BackendId = uint64_t;

struct BackendEntry {
    Backend spec;
    BackendId id = 0;
    uint64_t revision = 0;  // of the last change to this backend
    // Since when it drains as it does now: its admin state, drain-timeout or drain-then was last set then.
    // Wall ns, so that a restart does not begin the time anew; 0: it does not drain.
    int64_t drain_since = 0;
};
using BackendPtr = std::shared_ptr<const BackendEntry>;

struct NameOf {
    template <class Entry>
    const std::string& operator()(const std::shared_ptr<const Entry>& entry) const {
        return entry->spec.name;
    }
};
struct AddressOf {
    const base::Endpoint& operator()(const BackendEntry* entry) const { return entry->spec.address; }
};

// Where a service comes from. The numbers are those of the store's file.
enum class Origin : uint8_t {
    api,   // REST, or imported
    file,  // a declarative file, which is applied again at every start and SIGHUP
};

struct ServiceEntry {
    Service spec;
    uint64_t revision = 0;  // of the last change to the service's own fields
    Origin origin = Origin::api;
    base::PersistentMap<std::string, BackendPtr, NameOf> backends;
    base::PersistentMap<base::Endpoint, const BackendEntry*, AddressOf> by_address;  // those of `backends`
};
using ServicePtr = std::shared_ptr<const ServiceEntry>;

struct Snapshot {
    uint64_t revision = 0;
    base::PersistentMap<std::string, ServicePtr, NameOf> services;
    base::PersistentMap<ServiceKey, std::string> by_key;  // -> service name
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace gorb::model
