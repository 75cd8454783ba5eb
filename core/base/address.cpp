#include "base/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace gorb::base {
namespace {

constexpr std::array<uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const Ip& ip) {
    return ip.v6() && std::memcmp(ip.bytes.data(), mapped_prefix.data(), mapped_prefix.size()) == 0;
}

std::string v4_text(const uint8_t* b) {
    char text[16];
    char* at = text;
    for (int i = 0; i < 4; ++i) {
        if (i) *at++ = '.';
        at = std::to_chars(at, std::end(text), b[i]).ptr;
    }
    return {text, at};
}

// Not inet_ntop: it writes ::1:2 as ::0.1.0.2, and RFC 5952 wants one form for each address.
std::string v6_text(const std::array<uint8_t, 16>& bytes) {
    uint16_t groups[8];
    for (size_t i = 0; i < 8; ++i) groups[i] = static_cast<uint16_t>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    int best = -1, best_length = 1;  // the first longest run of at least two zero groups becomes "::"
    for (int i = 0; i < 8;) {
        int end = i;
        while (end < 8 && groups[end] == 0) ++end;
        if (end - i > best_length) {
            best = i;
            best_length = end - i;
        }
        i = end + 1;
    }
    std::string out;
    for (int i = 0; i < 8; ++i) {
        if (i == best) {
            out += "::";
            i += best_length - 1;
            continue;
        }
        if (!out.empty() && out.back() != ':') out += ':';
        char hex[5];
        const auto end = std::to_chars(hex, hex + sizeof hex, groups[i], 16).ptr;
        out.append(hex, end);
    }
    return out;
}

tl::unexpected<Error> not_an_endpoint(std::string_view text) {
    return fail(Errc::invalid,
                "\"" + std::string(text.substr(0, 64)) +
                    "\" is not an address with a port, such as 10.0.0.1:80 or [2001:db8::1]:80");
}

}  // namespace

bool Ip::loopback() const {
    if (v4()) return bytes[0] == 127;
    if (!v6()) return false;
    std::array<uint8_t, 16> one{};
    one[15] = 1;
    return bytes == one;
}

bool Ip::multicast_or_broadcast() const {
    if (v6()) return bytes[0] == 0xff;
    if (!v4()) return false;
    return (bytes[0] & 0xf0) == 0xe0 || (bytes[0] & bytes[1] & bytes[2] & bytes[3]) == 0xff;
}

int Ip::af() const {
    return v4() ? AF_INET : v6() ? AF_INET6 : AF_UNSPEC;
}

Result<Ip> Ip::parse(std::string_view text) {
    char buffer[INET6_ADDRSTRLEN];
    if (text.size() < sizeof buffer && text.find('\0') == std::string_view::npos) {
        std::memcpy(buffer, text.data(), text.size());
        buffer[text.size()] = '\0';
        Ip ip;
        if (inet_pton(AF_INET, buffer, ip.bytes.data()) == 1) {
            ip.family = Family::v4;
            return ip;
        }
        if (inet_pton(AF_INET6, buffer, ip.bytes.data()) == 1) {
            ip.family = Family::v6;
            if (is_mapped(ip)) return from_bytes(AF_INET, ip.bytes.data() + mapped_prefix.size());
            return ip;
        }
    }
    return fail(Errc::invalid, "\"" + std::string(text.substr(0, 64)) +
                                   "\" is not a numeric IP address, such as 10.0.0.1 or 2001:db8::1");
}

Ip Ip::from_bytes(int af, const void* data) {
    Ip ip;
    if (af == AF_INET) {
        ip.family = Family::v4;
        std::memcpy(ip.bytes.data(), data, 4);
    } else if (af == AF_INET6) {
        ip.family = Family::v6;
        std::memcpy(ip.bytes.data(), data, 16);
    }
    return ip;
}

std::string Ip::text() const {
    if (v4()) return v4_text(bytes.data());
    if (!v6()) return {};
    if (is_mapped(*this)) return "::ffff:" + v4_text(bytes.data() + mapped_prefix.size());
    return v6_text(bytes);
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return not_an_endpoint(text);
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    const bool brackets = host.front() == '[';
    if (brackets) {
        if (host.back() != ']') return not_an_endpoint(text);
        host = host.substr(1, host.size() - 2);
    }
    // IPv6 in brackets and nothing else in brackets: "::1:80" would be an address without a port.
    if (brackets != (host.find(':') != std::string_view::npos)) return not_an_endpoint(text);
    const auto ip = Ip::parse(host);
    Endpoint endpoint;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
    if (!ip || digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
        return not_an_endpoint(text);
    }
    endpoint.ip = *ip;
    return endpoint;
}

std::string Endpoint::text() const {
    std::string out = ip.v6() ? "[" + ip.text() + "]" : ip.text();
    out += ':';
    return out += std::to_string(port);
}

size_t hash_value(const Endpoint& endpoint) {
    // 64-bit FNV-1a steps over words, finished by a multiply-shift, so that neighbours land far apart.
    uint64_t words[2];
    std::memcpy(words, endpoint.ip.bytes.data(), sizeof words);
    uint64_t h = 0xcbf29ce484222325ULL;
    for (const uint64_t word :
         {words[0], words[1], uint64_t{endpoint.port} << 8 | uint64_t(endpoint.ip.family)}) {
        h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
    }
    return static_cast<size_t>(h);
}

}  // namespace gorb::base
