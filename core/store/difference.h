// What has to change for one desired state to become another: pure.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/snapshot.h"

namespace gorb::store {

// Names, each ascending. A service that goes takes its backends with it: they stand in drop_backends too.
struct Difference {
    std::vector<std::string> add_services, edit_services, drop_services;
    std::vector<std::pair<std::string, std::string>> add_backends, edit_backends, drop_backends;
    bool empty() const;
};

// From `now` to exactly `wanted`. Apply drops, then edits, then additions (of services before backends): a
// key or an address may go from one object to another. Only services for which `concerns` holds are dropped
// (those that are not in `wanted`); an empty function: all.
Difference difference(const model::Snapshot& now, const model::Config& wanted,
                      const std::function<bool(const model::ServiceEntry&)>& concerns = {});

}  // namespace gorb::store
