// Is what a library exports something this host can work with? Pure: looks at the entry and calls nothing in
// it.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "gorb/abi.h"
#include "plugin/registry.h"

namespace gorb::plugin {

// What a library exports, a gorb_entry.
inline constexpr const char* entry_symbol = "gorb_plugin_entry";

struct Offered {
    // A plugin that can not be used, or is of a foreign kind.
    struct Bad {
        std::string name, why;
    };
    std::vector<Plugin> plugins;
    std::vector<Bad> refused;
};

// Errc::unsupported when the whole library is of no use: another major, a newer minor, a truncated entry, no
// table.
base::Result<Offered> read_entry(const gorb_entry& entry, const std::filesystem::path& file);

}  // namespace gorb::plugin
