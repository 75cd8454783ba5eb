// What this installation and host have: version, plugin directories, interface addresses.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/settings.h"
#include "base/address.h"

namespace gorb::app {

std::string version();  // "0.1.0"

// Which of etc/gorb/gorb.ini of the installation the program stands in and /etc/gorb/gorb.ini are there, in
// this order: the first is to be read.
std::vector<std::filesystem::path> usual_configs();

// Those of the settings; without any, the one of the build tree (../plugins beside the program) or of the
// installation the program stands in.
std::vector<std::filesystem::path> plugin_directories(const Settings& settings);

// The first IPv4 address of an interface that has a network (a VIP has none, and comes first when the other
// one was taken away and given back), else its first one without, else its first IPv6 address that is neither
// link-local nor deprecated (the kernel shows the newest first, which a VIP may be); nullopt for none.
std::optional<base::Ip> interface_address(const std::string& interface);

}  // namespace gorb::app
