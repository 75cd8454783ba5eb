// The options of plugins' instances, from the sections [plugin.NAME] of the configuration.
#pragma once
#include <string>
#include <vector>

#include "app/settings.h"
#include "base/result.h"
#include "health/checker.h"
#include "plugin/registry.h"

namespace gorb::app {

// Errc::invalid names file, section and key: a plugin that is not there, an option that it does not have, a
// wrong value. What is for a plugin that may be one of the refused ones is left out.
base::Result<health::PulseOptions> pulse_options(const plugin::Registry& registry, const Settings& settings);

// What a start goes on with all the same, in a sentence each: sections of plugins that may be refused ones,
// and plugins without an option that they need, since perhaps nobody uses them.
std::vector<std::string> option_warnings(const plugin::Registry& registry, const Settings& settings);

// Are the folders of plugins there, those that were named? A start goes on without what is missing.
base::Status check_directories(const Settings& settings);

// Does each plugin take its options? Only its create() knows, so an instance of each is made, for no target
// and on a loop that never runs. Errc::invalid has the plugin's words.
base::Status try_options(const plugin::Registry& registry, const Settings& settings,
                         const health::PulseOptions& options);

}  // namespace gorb::app
