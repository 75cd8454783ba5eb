#include "app/installation.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <memory>

namespace gorb::app {

std::string version() {
    return GORB_VERSION;
}

namespace {

// The folder above the one of the program: /usr for /usr/sbin/gorbd, build/release for
// build/release/bin/gorbd.
std::filesystem::path prefix() {
    std::error_code error;
    return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().parent_path();
}

}  // namespace

std::optional<std::filesystem::path> usual_config() {
    std::error_code error;
    for (const std::filesystem::path& candidate :
         {prefix() / "etc/gorb/gorb.ini", std::filesystem::path("/etc/gorb/gorb.ini")}) {
        // What can not be looked at may be there; to start without it would be to start as somebody else.
        if (std::filesystem::exists(candidate, error) || error) return candidate;
    }
    return std::nullopt;
}

std::vector<std::filesystem::path> plugin_directories(const Settings& settings) {
    if (!settings.plugin_directories.empty()) return settings.plugin_directories;
    std::error_code error;
    for (const std::filesystem::path& candidate : {prefix() / "plugins", prefix() / GORB_PLUGIN_DIR}) {
        if (std::filesystem::is_directory(candidate, error)) return {candidate};
    }
    return {prefix() / GORB_PLUGIN_DIR};
}

std::optional<base::Ip> interface_address(const std::string& interface) {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return std::nullopt;
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, freeifaddrs);
    std::optional<base::Ip> v6;
    for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || interface != entry->ifa_name) continue;
        if (entry->ifa_addr->sa_family == AF_INET) {
            const auto* in = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
            return base::Ip::from_bytes(AF_INET, &in->sin_addr);
        }
        if (entry->ifa_addr->sa_family == AF_INET6 && !v6) {
            const auto* in6 = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
            if (!IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) v6 = base::Ip::from_bytes(AF_INET6, &in6->sin6_addr);
        }
    }
    return v6;
}

}  // namespace gorb::app
