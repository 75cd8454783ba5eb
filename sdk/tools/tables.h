// Checks of what a library declares: pure reading of its tables, no call into it.
#pragma once
#include <gorb/abi.h>

#include "findings.h"

namespace gorb::check {

// The entry and every plugin's table. Returns whether it is safe to go on and call into the library.
bool check_entry(const gorb_entry& entry, Findings& findings);
bool check_plugin(const gorb_plugin& plugin, Findings& findings);

// The option tables as Markdown, the way a plugin's README shows them.
std::string options_markdown(const gorb_entry& entry);

}  // namespace gorb::check
