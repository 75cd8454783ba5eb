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
};
using BackendPtr = std::shared_ptr<const BackendEntry>;

struct ServiceEntry {
    Service spec;
    uint64_t revision = 0;  // of the last change to the service's own fields
    base::PersistentMap<std::string, BackendPtr> backends;
    base::PersistentMap<base::Endpoint, std::string> by_address;  // -> backend name
};
using ServicePtr = std::shared_ptr<const ServiceEntry>;

struct Snapshot {
    uint64_t revision = 0;
    base::PersistentMap<std::string, ServicePtr> services;
    base::PersistentMap<ServiceKey, std::string> by_key;  // -> service name
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace gorb::model

template <>
struct std::hash<gorb::model::ServiceKey> {
    size_t operator()(const gorb::model::ServiceKey& k) const {
        return std::hash<gorb::base::Endpoint>{}(k.vip) * 31 + static_cast<size_t>(k.protocol);
    }
};
