// What a client may cost the server, in bytes, connections and time.
#pragma once
#include <chrono>
#include <cstddef>

namespace gorb::rest {

struct Limits {
    size_t body_bytes = 1 << 20;     // 413 above it
    size_t header_bytes = 16 << 10;  // 431 above it: request line and headers together
    size_t line_bytes = 8 << 10;     // 414 above it: the request line
    size_t connections = 4096;       // above it the connection idle for longest is closed, else 503 and close
    std::chrono::milliseconds idle{60'000};     // keep-alive without a request
    std::chrono::milliseconds request{10'000};  // from a request's first byte to its last: 408
    std::chrono::milliseconds write{30'000};    // for a client to take an answer
    // After an answer that ends a connection early, what the client still sends is read and thrown away for
    // so long and so many bytes: closing at once would reset the connection, and the reset can overtake the
    // answer.
    std::chrono::milliseconds linger{2'000};
    size_t linger_bytes = 16 << 20;
};

}  // namespace gorb::rest
