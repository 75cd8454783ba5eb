#include "echo.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

namespace pulse_icmp {
namespace {

unsigned u8(std::string_view bytes, size_t at) {
    return static_cast<unsigned char>(bytes[at]);
}
unsigned u16(std::string_view bytes, size_t at) {
    return u8(bytes, at) << 8 | u8(bytes, at + 1);
}
void put16(std::string& out, size_t at, unsigned value) {
    out[at] = static_cast<char>(value >> 8 & 0xff);
    out[at + 1] = static_cast<char>(value & 0xff);
}

unsigned checksum(std::string_view bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += u16(bytes, i);
    if (bytes.size() % 2) sum += u8(bytes, bytes.size() - 1) << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

std::string words_of_4(uint8_t type, uint8_t code) {
    if (type == ICMP_TIME_EXCEEDED)
        return code == ICMP_EXC_FRAGTIME ? "fragments did not all arrive in time"
                                         : "time to live exceeded on the way";
    if (type == ICMP_PARAMETERPROB) return "a header was not understood";
    if (type != ICMP_DEST_UNREACH) return {};
    switch (code) {
        case ICMP_NET_UNREACH:
        case ICMP_NET_UNKNOWN:
            return "network unreachable";
        case ICMP_HOST_UNREACH:
        case ICMP_HOST_UNKNOWN:
        case ICMP_HOST_ISOLATED:
            return "host unreachable";
        case ICMP_PROT_UNREACH:
            return "protocol unreachable";
        case ICMP_PORT_UNREACH:
            return "port unreachable";
        case ICMP_FRAG_NEEDED:
            return "too big for the way there";
        case ICMP_SR_FAILED:
            return "source route failed";
        case ICMP_NET_UNR_TOS:
        case ICMP_HOST_UNR_TOS:
            return "unreachable for this type of service";
        case ICMP_NET_ANO:
        case ICMP_HOST_ANO:
        case ICMP_PKT_FILTERED:
            return "prohibited by an administrator";
        default:
            return "unreachable (code " + std::to_string(code) + ")";
    }
}

std::string words_of_6(uint8_t type, uint8_t code) {
    if (type == ICMP6_TIME_EXCEEDED)
        return code == ICMP6_TIME_EXCEED_REASSEMBLY ? "fragments did not all arrive in time"
                                                    : "hop limit exceeded on the way";
    if (type == ICMP6_PACKET_TOO_BIG) return "too big for the way there";
    if (type == ICMP6_PARAM_PROB) return "a header was not understood";
    if (type != ICMP6_DST_UNREACH) return {};
    switch (code) {
        case ICMP6_DST_UNREACH_NOROUTE:
            return "no route to it on the way";
        case ICMP6_DST_UNREACH_ADMIN:
        case 5:  // source address failed the policy
            return "prohibited by an administrator";
        case ICMP6_DST_UNREACH_BEYONDSCOPE:
            return "beyond the scope of the source address";
        case ICMP6_DST_UNREACH_ADDR:
            return "address unreachable";
        case ICMP6_DST_UNREACH_NOPORT:
            return "port unreachable";
        case 6:
            return "route rejected";
        default:
            return "unreachable (code " + std::to_string(code) + ")";
    }
}

}  // namespace

std::string echo_request(bool v6, uint16_t id, uint16_t sequence, std::string_view payload) {
    std::string out(echo_header, '\0');
    out[0] = static_cast<char>(v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO);
    put16(out, 4, id);
    put16(out, 6, sequence);
    out += payload;
    if (!v6) put16(out, 2, checksum(out));
    return out;
}

std::string payload_of(uint64_t token, size_t size) {
    std::string out(size, '\0');
    for (size_t i = 0; i < size; ++i)
        out[i] = static_cast<char>(i < sizeof token ? token >> (8 * i) & 0xff : i & 0xff);
    return out;
}

std::optional<Echo> parse_echo(bool v6, bool with_ip, std::string_view message) {
    if (with_ip) {
        if (message.size() < 20 || u8(message, 0) >> 4 != 4) return std::nullopt;
        const size_t header = (u8(message, 0) & 15u) * 4;
        if (header < 20 || message.size() < header || u8(message, 9) != IPPROTO_ICMP) return std::nullopt;
        message.remove_prefix(header);
    }
    if (message.size() < echo_header || u8(message, 1) != 0) return std::nullopt;
    const unsigned type = u8(message, 0);
    const unsigned request = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
                   reply = v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
    if (type != request && type != reply) return std::nullopt;
    return Echo{type == request, static_cast<uint16_t>(u16(message, 4)),
                static_cast<uint16_t>(u16(message, 6)), message.substr(echo_header)};
}

bool tells_of_loss(bool v6, uint8_t type) {
    return v6 || (type != ICMP_REDIRECT && type != ICMP_SOURCE_QUENCH);
}

std::string error_words(bool v6, uint8_t type, uint8_t code) {
    std::string words = v6 ? words_of_6(type, code) : words_of_4(type, code);
    if (!words.empty()) return words;
    return "ICMP error " + std::to_string(type) + ", code " + std::to_string(code);
}

}  // namespace pulse_icmp
