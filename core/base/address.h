// IP addresses and endpoints as values. Numeric forms only: nothing here asks a resolver.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gorb::base {

// An IPv4 or IPv6 address. Text of an IPv4-mapped IPv6 address (::ffff:a.b.c.d) is read as IPv4, so that one
// address has one form; from_bytes() keeps what the kernel says.
struct Ip {
    enum class Family : uint8_t { none = 0, v4 = 4, v6 = 6 };

    Family family = Family::none;
    std::array<uint8_t, 16> bytes{};  // network order; IPv4 uses the first four, the rest is zero

    bool v4() const { return family == Family::v4; }
    bool v6() const { return family == Family::v6; }
    explicit operator bool() const { return family != Family::none; }
    bool unspecified() const { return bytes == std::array<uint8_t, 16>{}; }  // 0.0.0.0, ::, or none
    bool loopback() const;                                                   // 127.0.0.0/8, ::1
    // 224.0.0.0/4, ff00::/8, 255.255.255.255
    bool multicast_or_broadcast() const;
    // 32, 128, or 0 for none
    unsigned bits() const { return v4() ? 32 : v6() ? 128 : 0; }
    int af() const;  // AF_INET, AF_INET6, AF_UNSPEC

    // "10.0.0.1", "2001:db8::1". Errc::invalid otherwise (also for zones, prefixes and host names).
    static Result<Ip> parse(std::string_view text);
    // From a 4 or 16 byte array in network order, by address family (AF_INET, AF_INET6).
    static Ip from_bytes(int af, const void* data);
    // RFC 5952 for IPv6; "" for none
    std::string text() const;

    auto operator<=>(const Ip&) const = default;
};

// An address and a port (host order).
struct Endpoint {
    Ip ip;
    uint16_t port = 0;

    // "10.0.0.1:80", "[2001:db8::1]:80"
    static Result<Endpoint> parse(std::string_view text);
    std::string text() const;

    auto operator<=>(const Endpoint&) const = default;
};

size_t hash_value(const Endpoint& endpoint);

}  // namespace gorb::base

template <>
struct std::hash<gorb::base::Endpoint> {
    size_t operator()(const gorb::base::Endpoint& e) const { return gorb::base::hash_value(e); }
};
