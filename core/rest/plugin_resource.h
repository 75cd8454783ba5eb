// GET /plugins: what is loaded, with its options and their help, and what was refused and why.
#pragma once
#include <span>

#include "base/json.h"
#include "plugin/registry.h"

namespace gorb::rest {

void write_plugins(base::JsonWriter& out, std::span<const plugin::Plugin* const> plugins,
                   std::span<const plugin::Refused> refused);

}  // namespace gorb::rest
