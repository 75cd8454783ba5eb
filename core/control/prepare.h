// What a change means, worked out against the present state: what the kernel has to be told, and the state
// after.
//
// Nothing is changed here; a change that is not allowed comes back as its Error. Functions of their
// arguments, but for the check() of the pulses' plugins.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/control.h"
#include "control/pulse_pool.h"
#include "control/slots.h"
#include "model/snapshot.h"
#include "reconcile/applier.h"

namespace gorb::control {

// What a change is checked against.
struct Present {
    const model::Snapshot& snapshot;
    std::function<base::Result<std::shared_ptr<const Pulses>>(const model::PulseList&)> pulses;
    std::function<health::Decision(const model::Service&, const Slot&)> decide;
    std::function<std::string(uint64_t revision)> etag;
    std::function<const Slot*(model::BackendId)> slot;
    std::function<ipvs::ServiceRecord(const model::Service&)>
        service_record;  // with what the kernel has beyond the spec
    std::function<model::BackendId()> new_id;
};

struct Prepared {
    bool changed = true;           // false: nothing to do, the state is so already
    std::string service, backend;  // names; backend is "" for changes of a service
    bool deletion = false;
    reconcile::Transaction transaction;
    std::optional<base::Ip> vip_acquire, vip_release;
    std::function<model::Snapshot(const model::Snapshot&)> commit;
    // Of a backend put; what is applied completes it, and its backend is set when that is committed.
    std::optional<Slot> slot;
    std::optional<health::Target> check;           // set when the checks begin or change
    std::optional<model::BackendId> forget_check;  // set when they end and the backend stays
    std::vector<model::BackendId> forget;          // backends that are gone
    std::string log;                               // "virtual service created"
};

// The names of the service and of the backend that a change is about; the latter is "" for changes of a
// service.
const std::string& service_name(const Change& change);
const std::string& backend_name(const Change& change);

base::Result<Prepared> prepare(const Change& change, const Present& present);

}  // namespace gorb::control
