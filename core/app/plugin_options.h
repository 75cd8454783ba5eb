// The options of plugins' instances, from the sections [plugin.NAME] of the configuration.
#pragma once
#include "app/settings.h"
#include "base/result.h"
#include "health/checker.h"
#include "plugin/registry.h"

namespace gorb::app {

// Errc::invalid names file, section and key: a plugin that is not there, an option that it does not have, a
// wrong value.
base::Result<health::PulseOptions> pulse_options(const plugin::Registry& registry, const Settings& settings);

// Are the folders of plugins there, those that were named? A start goes on without what is missing.
base::Status check_directories(const Settings& settings);

// Does each plugin take its options? Only its create() knows, so an instance of each is made, for no target
// and on a loop that never runs. Errc::invalid has the plugin's words.
base::Status try_options(const plugin::Registry& registry, const Settings& settings,
                         const health::PulseOptions& options);

}  // namespace gorb::app
