#include "ipvs/refusal.h"

#include <linux/ip_vs.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

namespace gorb::ipvs {
namespace {

using Kind = Op::Kind;

bool carries_service(const Op& op) {
    return op.kind == Kind::add_service || op.kind == Kind::edit_service;
}
bool carries_dest(const Op& op) {
    return op.kind == Kind::add_dest || op.kind == Kind::edit_dest;
}

bool valid_key(const ServiceKey& key) {
    if (key.family == base::Ip::Family::none) return false;
    return key.fwmark != 0 || key.vip.ip.family == key.family;
}

// Apart, so that unspeakable() is short for the many operations on destinations.
[[gnu::noinline]] int unspeakable_settings(const ServiceRecord& service) {
    if (service.key.family == base::Ip::Family::v4 && service.netmask > 32) return EINVAL;
    // The kernel's fields are 16 bytes with their NUL; a longer name names nothing.
    const auto names_nothing = [](const std::string& name) {
        return name.size() >= IP_VS_SCHEDNAME_MAXLEN || name.find('\0') != std::string::npos;
    };
    if (names_nothing(service.scheduler) || names_nothing(service.pe_name)) return ENOENT;
    return service.scheduler.empty() ? ENOENT : 0;
}

std::string no_scheduler(const Op& op, std::string_view table) {
    std::string words(table);
    words += " has no scheduler \"" + op.service.scheduler + "\"";
    if (!op.service.pe_name.empty()) words += ", or no persistence engine \"" + op.service.pe_name + "\"";
    return words;
}

// Why the values may have been found wrong, where that can be told from them.
std::string wrong_values(const Op& op) {
    if (carries_service(op)) {
        const unsigned bits = op.service.key.family == base::Ip::Family::v6 ? 128 : 32;
        if (op.service.netmask > bits || (bits == 128 && op.service.netmask == 0)) {
            return "the netmask's prefix length " + std::to_string(op.service.netmask) + " is not in " +
                   (bits == 128 ? "1..128" : "0..32");
        }
        return "wrong value";
    }
    const DestRecord& d = op.dest;
    if (!d.address.ip) return "a destination needs an address";
    if (carries_dest(op)) {
        if (d.weight > static_cast<uint32_t>(std::numeric_limits<int32_t>::max())) {
            return "weight " + std::to_string(d.weight) + " is over 2147483647";
        }
        if (d.lower_threshold > d.upper_threshold) {
            return "the lower threshold " + std::to_string(d.lower_threshold) + " is over the upper one, " +
                   std::to_string(d.upper_threshold);
        }
        if (d.address.ip.family != op.service.key.family && d.forwarding != IP_VS_CONN_F_TUNNEL) {
            return "IPv4 and IPv6 meet only through tunnel forwarding";
        }
        if (d.tunnel_type == IP_VS_CONN_F_TUNNEL_TYPE_GUE && d.tunnel_port == 0) {
            return "a GUE tunnel needs its port";
        }
        // ip_vs_genl_set_cmd(): what it sends to the other director has no place for a second family.
        if (op.kind == Kind::add_dest && d.address.ip.family != op.service.key.family) {
            return "the kernel takes no destination of the other address family while it synchronises "
                   "connections (ipvsadm --start-daemon), nor one that no packets can be sent to from here";
        }
        // Also every IPv4 address in a network namespace that has no address itself.
        if (op.kind == Kind::add_dest) return "no packets can be sent to this address from here";
    }
    return "wrong value";
}

}  // namespace

int unspeakable(const Op& op) {
    if (!valid_key(op.service.key)) return EINVAL;
    if (carries_service(op)) return unspeakable_settings(op.service);
    const bool wrong = !op.dest.address.ip || op.dest.forwarding > IP_VS_CONN_F_FWD_MASK;
    return wrong && op.kind != Kind::remove_service ? EINVAL : 0;
}

base::Error refusal(const Op& op, int os_error, std::string_view table, std::string_view words) {
    base::Errc code = base::Errc::refused;
    std::string why;
    switch (os_error) {
        case EEXIST:
            code = base::Errc::exists;
            why = "it exists already";
            break;
        case ESRCH:
            code = base::Errc::not_found;
            why = "there is no such virtual service";
            break;
        case ENOENT:
            if (carries_service(op)) {
                code = base::Errc::unsupported;
                why = no_scheduler(op, table);
            } else {
                code = base::Errc::not_found;
                why = "there is no such destination";
            }
            break;
        case EINVAL:
        case ERANGE:
            code = base::Errc::invalid;
            why = wrong_values(op);
            break;
        case EAFNOSUPPORT:
            code = base::Errc::unsupported;
            why = std::string(table) + " does not have this address family";
            break;
        case EPERM:
        case EACCES:
            code = base::Errc::forbidden;
            why = "CAP_NET_ADMIN is needed";
            break;
        case ENOPROTOOPT:
        case ENODEV:
            code = base::Errc::unavailable;
            why = "IPVS is gone";
            break;
        default:
            why = std::string(table) + " refused";
    }
    base::Error error;
    error.code = code;
    error.os_error = os_error;
    error.sentence = op.text() + ": " + why;
    if (!words.empty()) error.sentence += " (" + std::string(words) + ")";
    if (code == base::Errc::refused) {
        error.sentence += ": " + std::string(std::strerror(os_error));
    }
    return error;
}

}  // namespace gorb::ipvs
