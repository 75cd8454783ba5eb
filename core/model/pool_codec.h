// The pool policy of a service: members of its document, and back.
#pragma once
#include "base/json.h"
#include "model/fields.h"
#include "model/service.h"

namespace gorb::model {

// On top of what `pool` holds. `slow-start` alone means recovery "ramp"; "ramp" alone a slow start of 60 s;
// another recovery ends a slow start.
void read_pool(base::ObjectReader& doc, PoolPolicy& pool);

// Members of the object that is open. What is as by default is left out.
void write_pool(base::JsonWriter& out, const PoolPolicy& pool);

}  // namespace gorb::model
