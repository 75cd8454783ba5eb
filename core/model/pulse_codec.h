// Pulses: JSON to value and back, for the codec of backends.
#pragma once
#include <string_view>

#include "base/json.h"
#include "model/fields.h"
#include "model/service.h"

namespace gorb::model {

// The members `pulse` and `pulses` of a backend's document, on top of what `pulses` holds. Both may be there
// when `pulse` is the first of `pulses`, as write_pulses() leaves them.
void read_pulses(base::ObjectReader& doc, Mode mode, PulseList& pulses);

// What every pulse has, whatever its type, for sentences: "type, interval, ...". All else is the plugin's.
std::string_view pulse_members();

// `pulse`, the first, and `pulses`, all, when there are several. What policy has by default is left out.
void write_pulses(base::JsonWriter& out, const PulseList& pulses);

}  // namespace gorb::model
