// What a client may cost the server, in bytes, connections and time.
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rest/room.h"

namespace gorb::rest {

struct Limits {
    size_t body_bytes = 1 << 20;             // 413 above it, but for what takes_large() says
    size_t header_bytes = 16 << 10;          // 431 above it: request line and headers together
    size_t line_bytes = 8 << 10;             // 414 above it: the request line
    size_t connections = 4096;               // above it ConnTable::make_room(), else 503 and close
    std::chrono::milliseconds idle{60'000};  // keep-alive without a request
    // From a request's first byte to its last: 408. Of a larger body, for each body_bytes of it.
    std::chrono::milliseconds request{10'000};
    std::chrono::milliseconds write{30'000};  // for a client to take an answer, or body_bytes of a larger one
    // So much of answers is kept for clients that have not taken them; above it, who has taken nothing for
    // longest is cut off.
    size_t answer_bytes = size_t{512} << 20;
    // After an answer that ends a connection early, what the client still sends is read and thrown away for
    // so long and so many bytes: closing at once would reset the connection, and the reset can overtake the
    // answer.
    std::chrono::milliseconds linger{2'000};
    size_t linger_bytes = 16 << 20;

    // Of web pages that may do more than read (page_refusal()): others are told by the head of their request,
    // so that they keep nobody else's body out.
    std::vector<std::string> web_origins;

    // Requests whose body may have large_body_bytes (413 above it). Null: none.
    bool (*takes_large)(std::string_view method, std::string_view path) = nullptr;
    size_t large_body_bytes = 64 << 20;
    // So many requests may have a body above body_bytes in memory at once, and all bodies so many bytes. One
    // more large body is 503; so is, above the bytes, whose body has not come for longest. Copies of these
    // limits share the count.
    size_t large_bodies = 2;
    size_t all_body_bytes = size_t{256} << 20;
    std::shared_ptr<Bodies> bodies = std::make_shared<Bodies>();
};

}  // namespace gorb::rest
