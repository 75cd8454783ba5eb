// The start: from what the store has to a state, slots, a kernel that is as it should be, and checks.
#pragma once
#include "base/result.h"
#include "control/parts.h"
#include "store/database.h"

namespace gorb::control {

struct Started {
    size_t services = 0, backends = 0;
    SyncCounts kernel;
};

// Once, before the control runs. What the kernel refuses, and a pulse whose plugin is missing, is
// logged and shown, and does not keep the rest from starting; an error is that the kernel's table can not be
// read. `force`: past the guard against mass deletion, which else holds what is leaving (Sync::hold).
// `declares`: there are declarative files; without them, what came of some is from REST from then on.
base::Result<Started> start_from(Parts& parts, store::Loaded loaded, bool force, bool declares);

}  // namespace gorb::control
