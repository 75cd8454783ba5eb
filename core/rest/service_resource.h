// A virtual service as JSON: upstream gorb's {"options", "health", "backends"} with its name and ETag; and
// lists of services.
#pragma once
#include <cstddef>
#include <optional>

#include "base/json.h"
#include "control/control.h"
#include "model/snapshot.h"

namespace gorb::rest {

enum class Backends { names, objects };

// Health of a service of `count` backends, whose healths (share of passes among the last results) add up to
// `sum`: their mean. It is 1 without backends: healthy, albeit useless, as upstream has it.
double mean_health(double sum, size_t count);

// How a service is, or was before it went.
struct ServiceStatus {
    double health = 1;
    control::PoolStatus pool;
};
ServiceStatus status_of(const control::Control& control, const model::ServiceEntry& service);

// `note`: what else is to be said of it, "" for nothing. `was`: of a service that is gone; nullptr: as it is.
void write_service(base::JsonWriter& out, const control::Control& control, const model::ServiceEntry& service,
                   Backends backends, std::string_view note = "", const ServiceStatus* was = nullptr);

// Array of names, as upstream gorb has it.
void write_service_names(base::JsonWriter& out, const model::Snapshot& snapshot);
// Array of objects as write_service() writes them.
void write_services(base::JsonWriter& out, const control::Control& control, const model::Snapshot& snapshot);

}  // namespace gorb::rest
