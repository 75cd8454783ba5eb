// What a step of the desired state means for the kernel and for the checks, worked out against what is known
// of its backends now. Pure.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "control/resolve.h"
#include "control/slots.h"
#include "model/snapshot.h"
#include "reconcile/applier.h"
#include "store/database.h"

namespace gorb::control {

// What a step is worked out against.
struct Known {
    std::function<health::Decision(const model::Service&, const Slot&)> decide;
    std::function<const Slot*(model::BackendId)> slot;
    std::function<bool(const store::Leaving&)> leaving;  // is it one that is still to go
    uint64_t now = 0;                                    // monotonic ns
};

struct Prepared {
    reconcile::Transaction transaction;
    std::optional<base::Ip> vip_acquire, vip_release;
    // Of a backend put; what is applied completes it, and its backend is set when that is committed.
    std::optional<Slot> slot;
    std::optional<health::Target> check;           // set when the checks begin or change
    std::optional<model::BackendId> forget_check;  // set when they end and the backend stays
    std::vector<model::BackendId> forget;          // backends that are gone
};

// Of a backend that is new, or at another address: may it be one that somebody made, and that keeps the
// weight that it has in the kernel until it has been checked?
bool takes_over(const Step& step, const Slot& slot);

// `service`: as it is when the step is taken (of put_service, whatever).
Prepared prepare(const Step& step, const model::Service& service, const Known& known);

}  // namespace gorb::control
