// The kernel's table with the owner of each entry, and what one needs to adopt a foreign one: JSON.
#pragma once
#include <functional>
#include <string_view>

#include "base/result.h"
#include "control/control.h"
#include "reconcile/table.h"
#include "rest/http.h"

namespace gorb::rest {

// {"services": [{"address", "protocol", "scheduler", ..., "owner": "gorb"|"foreign"|"leaving", "name",
//   "destinations": [{"address", "forwarding", "weight", ..., "owner", "name"}]}],
//  "differences": [{"entry", "wanted", "found", "since"}]}
Response kernel_response(const control::Control& control,
                         const std::function<base::Result<reconcile::Table>()>& read,
                         const control::Ownership& whose);

// {"address": "10.0.0.1", "port": 80, "protocol": "tcp", "name": "web", "pulse": {...}} of POST
// /kernel/adopt. `name` and `pulse` may be left out.
base::Result<control::Adopt> read_adopt(std::string_view body);

}  // namespace gorb::rest
