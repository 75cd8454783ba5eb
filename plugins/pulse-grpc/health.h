// The messages of grpc.health.v1 (two protobuf messages of one field each) and what an answer means. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pulse_grpc {

// HealthCheckRequest{service}, as gRPC frames it: a byte for the compression, the length, the message.
std::string encode_request(std::string_view service);

// The status of a framed HealthCheckResponse; fields that are not known are skipped. nullopt: it is none.
std::optional<uint64_t> decode_response(std::string_view framed);

// What a call brought.
struct Outcome {
    int http_status = 0;             // 0: no headers came
    std::optional<int> grpc_status;  // of the trailers
    std::string grpc_message;        // as sent, percent-encoded
    std::string content_type;
    std::string body;
    uint32_t reset = 0;   // HTTP/2 error code with which the server ended the stream
    std::string goodbye;  // what it said when it ended the connection (GOAWAY), in words; "" for nothing
};

struct Judgement {
    bool pass = false;
    int code = 0;       // grpc-status
    std::string words;  // printable ASCII, under 256 bytes
};
Judgement judge(const Outcome& outcome, std::string_view service);

// Printable ASCII, cut after `most` bytes.
std::string printable(std::string_view text, size_t most);

}  // namespace pulse_grpc
