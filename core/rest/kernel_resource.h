// The kernel's table with the owner of each entry, and what one needs to adopt a foreign one: JSON.
#pragma once
#include <string_view>

#include "base/result.h"
#include "control/control.h"
#include "reconcile/table.h"
#include "rest/http.h"

namespace gorb::rest {

struct KernelReading {
    control::Ownership before;  // whose what was when the table began to be read
    reconcile::Table wanted;    // what was wanted of it then
    reconcile::Table table;
};

// {"services": [{"address", "protocol", "scheduler", ..., "owner": "gorb"|"foreign"|"leaving", "name",
//   "destinations": [{"address", "forwarding", "weight", ..., "owner", "name"}]}],
//  "differences": [{"entry", "wanted", "found", "since"}]}
// `after`: whose what was when the table had been read.
Response kernel_response(const control::Control& control, const KernelReading& reading,
                         const control::Ownership& after);

// {"address": "10.0.0.1", "port": 80, "protocol": "tcp", "name": "web", "pulse": {...}} of POST
// /kernel/adopt. `name` and `pulse` may be left out.
base::Result<control::Adopt> read_adopt(std::string_view body);

}  // namespace gorb::rest
