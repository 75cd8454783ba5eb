// A backend as JSON: upstream gorb's {"options", "metrics"}, and beside them what gorb knows beyond.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "control/control.h"
#include "health/health.h"
#include "model/snapshot.h"

namespace gorb::rest {

// What is known of a backend beyond its entry, at one instant.
struct BackendStatus {
    std::optional<health::View> health;  // nullopt: nobody checks it
    control::EffectiveWeight weight;
    std::optional<control::DrainView> drain;  // nullopt: it is not drained
    std::string note;                         // what else is to be said of it, "" for nothing
};
BackendStatus status_of(const control::Control& control, const model::Service& service,
                        const model::BackendEntry& backend);

// Upstream's number for the state: 0 up, 1 down. Unknown is 1 as well: it gets no traffic before its first
// result, and upstream's clients read 0 as "in service".
int upstream_status(health::State state);

// Durations are numbers of ns, as upstream's uptime is; times are RFC 3339.
void write_backend(base::JsonWriter& out, std::string_view service, const model::BackendEntry& backend,
                   const BackendStatus& status, std::string_view etag);

}  // namespace gorb::rest
