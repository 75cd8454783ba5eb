// Echo requests and what comes back for them, RFC 792 and RFC 4443: pure, bytes in and values out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pulse_icmp {

constexpr size_t echo_header = 8;  // type, code, checksum, id, sequence

struct Echo {
    bool request = false;
    uint16_t id = 0, sequence = 0;
    std::string_view payload;  // of the bytes that were read
};

// An echo request with its checksum. (For ICMPv6 the kernel replaces it, as it needs the addresses.)
std::string echo_request(bool v6, uint16_t id, uint16_t sequence, std::string_view payload);

// The bytes of a payload: as much of the token as there is room for, then a pattern.
std::string payload_of(uint64_t token, size_t size);

// An echo reply or request in `message`; nullopt for anything else. with_ip: an IPv4 header stands in front,
// as a raw socket has it. Cut messages, as errors quote them, have a shorter payload.
std::optional<Echo> parse_echo(bool v6, bool with_ip, std::string_view message);

// Does an ICMP error of this type say that the request it quotes was lost? A redirect says that it was
// forwarded and that there is a shorter way, a source quench as much.
bool tells_of_loss(bool v6, uint8_t type);

// What an ICMP error means, in words: "host unreachable", "time to live exceeded on the way".
std::string error_words(bool v6, uint8_t type, uint8_t code);

}  // namespace pulse_icmp
