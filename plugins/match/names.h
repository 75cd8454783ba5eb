// Names of servers among a pulse's arguments. Pure.
#pragma once
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <gorb/sdk/values.hpp>
#include <string>
#include <string_view>
#include <system_error>

namespace pulse_match {

inline constexpr size_t longest_name = 255;

inline bool is_address(std::string_view text, int family) {
    unsigned char ip[16];
    return inet_pton(family, std::string(text).c_str(), ip) == 1;
}

// Visible ASCII, and nothing that ends a name in a URL, a header or a certificate: neither a second line of a
// header nor a byte that a server might read in its own way.
inline bool is_plain_name(std::string_view text) {
    return !text.empty() && text.size() <= longest_name &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; }) &&
           text.find_first_of("/?#@,\\\"<>") == std::string_view::npos;
}

// An IPv6 address, with a zone or without.
inline bool is_bare_ipv6(std::string_view text) {
    return is_address(text.substr(0, text.find('%')), AF_INET6);
}

// "name", "name:port", "[address]:port"; an IPv6 address without brackets and port as well.
inline bool is_authority(std::string_view text) {
    if (!is_plain_name(text)) return false;
    if (is_bare_ipv6(text)) return true;
    const bool bracket = text.front() == '[';
    const size_t end = text.find(bracket ? ']' : ':');
    if (end == std::string_view::npos) return !bracket;
    if (end == (bracket ? 1 : 0)) return false;
    std::string_view rest = text.substr(end + (bracket ? 1 : 0));
    if (rest.empty()) return true;
    if (rest.front() != ':') return false;
    rest.remove_prefix(1);
    unsigned port = 0;
    const auto [after, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
    return error == std::errc() && after == rest.data() + rest.size() && port >= 1 && port <= 65535;
}

// As it is sent: an IPv6 address that came without brackets gets them, and loses its zone, which means
// something on this machine only. What came in brackets goes as it is.
// Throws sdk::Error in the option's name.
inline std::string authority(const std::string& option, std::string_view text) {
    if (!is_authority(text))
        throw gorb::sdk::Error("\"" + option +
                               "\" must be a name or address (IPv6 in brackets), with a port at most, of " +
                               std::to_string(longest_name) + " visible ASCII characters at most");
    if (is_bare_ipv6(text)) return "[" + std::string(text.substr(0, text.find('%'))) + "]";
    return std::string(text);
}

// Of "tls-name": no certificate is for a name with a port.
inline void check_tls_name(std::string_view text) {
    const bool good = is_plain_name(text) &&
                      (text.find_first_of(":[]") == std::string_view::npos || is_address(text, AF_INET6));
    if (!good)
        throw gorb::sdk::Error("\"tls-name\" must be a name or address, without a port or brackets, of " +
                               std::to_string(longest_name) + " visible ASCII characters at most");
}

}  // namespace pulse_match
