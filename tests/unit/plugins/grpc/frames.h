// HTTP/2 as a server writes it, byte for byte, for tests that need it wrong as well.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace plugin_test::h2 {

enum Type : uint8_t {
    data = 0,
    headers = 1,
    rst_stream = 3,
    settings = 4,
    ping = 6,
    goaway = 7,
    continuation = 9
};
enum Flag : uint8_t { end_stream = 1, ack = 1, end_headers = 4 };

inline std::string u32(uint32_t n) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift & 0xff);
    return out;
}
inline std::string frame(Type type, unsigned flags, uint32_t stream, const std::string& payload = "") {
    return u32(static_cast<uint32_t>(payload.size())).substr(1) + static_cast<char>(type) +
           static_cast<char>(flags) + u32(stream) + payload;
}
// A header without compression; both under 127 bytes.
inline std::string header(std::string_view name, std::string_view value) {
    std::string out(1, '\0');
    out += static_cast<char>(name.size());
    out += name;
    out += static_cast<char>(value.size());
    out += value;
    return out;
}
const std::string hello = frame(settings, 0, 0) + frame(settings, ack, 0);
const std::string ok = "\x88";  // :status 200

// A whole answer: headers, a HealthCheckResponse, trailers.
inline std::string answer(uint32_t stream, char status = 1, std::string_view grpc_status = "0") {
    return frame(headers, end_headers, stream, ok + header("content-type", "application/grpc")) +
           frame(data, 0, stream, std::string("\0\0\0\0\2\x08", 6) + status) +
           frame(headers, end_headers | end_stream, stream, header("grpc-status", grpc_status));
}

}  // namespace plugin_test::h2
