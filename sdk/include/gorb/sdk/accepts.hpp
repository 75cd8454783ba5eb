// What a host takes of the tables that plugins fill in, in one place: gorbd and the test kit's FakeHost
// refuse the same, in the same words. Not for plugins.
//
// Header-only C++17 on top of gorb/abi.h. Threads: any; pure.
#ifndef GORB_SDK_ACCEPTS_HPP
#define GORB_SDK_ACCEPTS_HPP
#include <gorb/sdk/values.hpp>

#include <cstddef>
#include <string>

namespace gorb::sdk::accepts {

// How far a table must reach at least: to the last member of the version that brought the table. Never its
// sizeof, which grows with the next member, and then plugins of today would be refused.
inline constexpr size_t entry = offsetof(gorb_entry, unload) + sizeof(gorb_entry::unload);
inline constexpr size_t plugin = offsetof(gorb_plugin, ops) + sizeof(gorb_plugin::ops);
inline constexpr size_t pulse_ops = offsetof(gorb_pulse_ops, cancel) + sizeof(gorb_pulse_ops::cancel);
inline constexpr size_t result = offsetof(gorb_result, detail) + sizeof(gorb_result::detail);
inline constexpr size_t conn_options =
    offsetof(gorb_conn_options, deadline_ns) + sizeof(gorb_conn_options::deadline_ns);
inline constexpr size_t conn_events = offsetof(gorb_conn_events, closed) + sizeof(gorb_conn_events::closed);
inline constexpr size_t tls_peer = offsetof(gorb_tls_peer, subject) + sizeof(gorb_tls_peer::subject);

// Of one library; a list that is longer is taken for one without its end.
inline constexpr size_t most_plugins = 64;

// Of open()'s tables: "" when they can be read, else a sentence for -EINVAL.
inline std::string unreadable(const gorb_conn_options* options, const gorb_conn_events* events) {
    if (!options || options->struct_size < conn_options)
        return "gorb_conn_options is too small: is struct_size set?";
    if (!events || events->struct_size < conn_events)
        return "gorb_conn_events is too small: is struct_size set?";
    return "";
}

inline bool known_family(const gorb_addr& addr) {
    return addr.family == 0 || addr.family == 4 || addr.family == 6;
}

// Of options that can be read: "" when a connection of this sort may be had, else a sentence for -EINVAL.
inline std::string refusal(const gorb_conn_options& options) {
    if (options.transport < GORB_TCP || options.transport > GORB_TLS)
        return "transport " + std::to_string(options.transport) + " is unknown";
    if (!known_family(options.peer) || !known_family(options.source))
        return "an address is of no known family";
    if (options.peer.family == 0) return "a connection needs the address of a peer";
    // Somebody's answer (the kernel's: refused) would be taken for the target's.
    if (options.peer.port == 0)
        return "there is no port to check: the backend's is 0, the client's, and the pulse names none";
    if ((options.flags & GORB_CONN_PROBE) != 0 && options.transport != GORB_TCP)
        return "GORB_CONN_PROBE is for TCP only";
    if (options.source.family != 0 && options.source.family != options.peer.family)
        return "source " + to_string(options.source) + " and peer " + to_string(options.peer) +
               " are of different families";
    return "";
}

}  // namespace gorb::sdk::accepts
#endif  // GORB_SDK_ACCEPTS_HPP
