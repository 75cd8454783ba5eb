#include "health.h"

#include <nghttp2/nghttp2.h>

#include <array>

namespace pulse_grpc {
namespace {

constexpr size_t frame_header = 5;

void put_varint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    out += static_cast<char>(value);
}

// Reads a protobuf message field by field.
class Fields {
  public:
    explicit Fields(std::string_view bytes) : rest_(bytes) {}
    bool empty() const { return rest_.empty(); }

    std::optional<uint64_t> varint() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 70 && !rest_.empty(); shift += 7) {
            const auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            if (shift == 63 && byte > 1) return std::nullopt;
            value |= static_cast<uint64_t>(byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
        return std::nullopt;
    }
    // The content of a field of this wire type; false: it is cut, or of a type that is no more.
    bool skip(uint64_t wire_type) {
        switch (wire_type) {
            case 0:
                return varint().has_value();
            case 1:
                return drop(8);
            case 2: {
                const auto size = varint();
                return size && drop(*size);
            }
            case 5:
                return drop(4);
            default:
                return false;
        }
    }

  private:
    bool drop(uint64_t size) {
        if (size > rest_.size()) return false;
        rest_.remove_prefix(static_cast<size_t>(size));
        return true;
    }
    std::string_view rest_;
};

std::string status_name(int status) {
    static constexpr std::array<const char*, 17> names = {
        "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED"};
    if (status >= 0 && static_cast<size_t>(status) < names.size()) return names[static_cast<size_t>(status)];
    return "grpc-status " + std::to_string(status);
}

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}
std::string percent_decoded(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
            out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string of(std::string_view service) {
    return service.empty() ? "the server" : "service \"" + printable(service, 80) + "\"";
}

// `word` is what the server calls it.
std::string not_known(std::string_view service, const std::string& word) {
    if (service.empty())
        return "the server has no health of itself as a whole: name a \"service\" (" + word + ")";
    return of(service) + " is not known to the server (" + word + ")";
}

Judgement judge_health(const Outcome& outcome, std::string_view service) {
    const auto status = decode_response(outcome.body);
    if (!status) return {false, 0, "the answer is no HealthCheckResponse"};
    switch (*status) {
        case 0:
            return {false, 0, of(service) + " does not know its own health (UNKNOWN)"};
        case 1:
            return {true, 0, service.empty() ? "SERVING" : of(service) + " is SERVING"};
        case 2:
            return {false, 0, of(service) + " is NOT_SERVING"};
        case 3:
            return {false, 0, not_known(service, "SERVICE_UNKNOWN")};
        default:
            return {false, 0, of(service) + " has the unknown health " + std::to_string(*status)};
    }
}

}  // namespace

std::string printable(std::string_view text, size_t most) {
    std::string out;
    for (const char c : text.substr(0, most)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return text.size() > most ? out + "..." : out;
}

std::string encode_request(std::string_view service) {
    std::string message;
    if (!service.empty()) {
        message += '\x0a';  // field 1, bytes
        put_varint(message, service.size());
        message += service;
    }
    std::string out(frame_header, '\0');
    for (size_t i = 0; i < 4; ++i) out[1 + i] = static_cast<char>(message.size() >> (8 * (3 - i)) & 0xff);
    return out + message;
}

std::optional<uint64_t> decode_response(std::string_view framed) {
    if (framed.size() < frame_header || framed[0] != 0)
        return std::nullopt;  // compressed: we offered no such thing
    uint64_t size = 0;
    for (size_t i = 1; i < frame_header; ++i) size = size << 8 | static_cast<unsigned char>(framed[i]);
    if (framed.size() != frame_header + size) return std::nullopt;
    Fields fields(framed.substr(frame_header));
    uint64_t status = 0;  // protobuf's default, not sent
    while (!fields.empty()) {
        const auto tag = fields.varint();
        if (!tag || *tag >> 3 == 0) return std::nullopt;
        if (*tag == (1u << 3)) {
            const auto value = fields.varint();
            if (!value) return std::nullopt;
            status = *value;
        } else if (!fields.skip(*tag & 7)) {
            return std::nullopt;
        }
    }
    return status;
}

Judgement judge(const Outcome& outcome, std::string_view service) {
    if (!outcome.grpc_status) {
        if (outcome.http_status == 0 || (outcome.reset != 0 && outcome.http_status == 200)) {
            if (!outcome.goodbye.empty()) return {false, 0, outcome.goodbye};
            return {false, 0,
                    std::string("the server ended the call: ") + nghttp2_http2_strerror(outcome.reset)};
        }
        if (outcome.http_status != 200)
            return {false, 0,
                    "HTTP status " + std::to_string(outcome.http_status) +
                        ", and no grpc-status: no gRPC server?"};
        if (outcome.content_type.rfind("application/grpc", 0) != 0)
            return {false, 0,
                    "no gRPC answer (content type \"" + printable(outcome.content_type, 60) + "\")"};
        return {false, 0, "the answer has no grpc-status"};
    }
    const int status = *outcome.grpc_status;
    if (status == 0) return judge_health(outcome, service);
    if (status == 12) return {false, status, "the server has no grpc.health.v1 (UNIMPLEMENTED)"};
    if (status == 5) return {false, status, not_known(service, "NOT_FOUND")};
    std::string words = status_name(status);
    const std::string message = printable(percent_decoded(outcome.grpc_message), 140);
    if (!message.empty()) words += ": " + message;
    return {false, status, words};
}

}  // namespace pulse_grpc
