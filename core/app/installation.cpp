#include "app/installation.h"

#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <netinet/in.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

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

// Of IPv6, as the VIPs that gorbd has added are.
std::set<base::Ip> deprecated_addresses() {
    std::set<base::Ip> out;
    std::ifstream list("/proc/thread-self/net/if_inet6");
    for (std::string line; std::getline(list, line);) {
        std::istringstream fields(line);
        std::string address, index, prefix, scope;
        unsigned marks = 0;
        fields >> address >> index >> prefix >> scope >> std::hex >> marks;
        if ((marks & IFA_F_DEPRECATED) == 0 || address.size() != 32) continue;
        std::array<uint8_t, 16> bytes{};
        for (size_t i = 0; i < bytes.size(); ++i)
            std::from_chars(address.data() + 2 * i, address.data() + 2 * i + 2, bytes[i], 16);
        out.insert(base::Ip::from_bytes(AF_INET6, bytes.data()));
    }
    return out;
}

}  // namespace

std::vector<std::filesystem::path> usual_configs() {
    std::vector<std::filesystem::path> out;
    for (const std::filesystem::path& candidate :
         {prefix() / "etc/gorb/gorb.ini", std::filesystem::path("/etc/gorb/gorb.ini")}) {
        if (is_configured(candidate) && (out.empty() || out.front() != candidate)) out.push_back(candidate);
    }
    return out;
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
    const std::set<base::Ip> deprecated = deprecated_addresses();
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return std::nullopt;
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, freeifaddrs);
    std::optional<base::Ip> host, v6;  // an IPv4 address without a network around it, as VIPs are
    for (const ifaddrs* entry = list; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || interface != entry->ifa_name) continue;
        if (entry->ifa_addr->sa_family == AF_INET) {
            const auto* in = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
            const auto* mask = reinterpret_cast<const sockaddr_in*>(entry->ifa_netmask);
            const auto ip = base::Ip::from_bytes(AF_INET, &in->sin_addr);
            if (mask && mask->sin_addr.s_addr != INADDR_NONE) return ip;
            if (!host) host = ip;
        }
        if (entry->ifa_addr->sa_family == AF_INET6 && !v6) {
            const auto* in6 = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
            const auto ip = base::Ip::from_bytes(AF_INET6, &in6->sin6_addr);
            if (!IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) && !deprecated.contains(ip)) v6 = ip;
        }
    }
    return host ? host : v6;
}

}  // namespace gorb::app
