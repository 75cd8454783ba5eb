// HTTP as values: what a handler is given and what it answers. The server (server.h) does the rest.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rest/room.h"

namespace gorb::rest {

// One whole request. The body has been read to its end and is within the limit.
struct Request {
    std::string method;    // "GET"; HEAD comes as GET, and the server leaves out the answer's body
    std::string path;      // as sent, before the "?", still percent-encoded
    std::string query;     // after the "?", "" for none
    std::string if_match;  // the header's value, "" when absent
    std::optional<std::string> if_none_match;  // nullopt when absent
    std::string content_type;                  // the header's value, "" when absent
    std::string origin;  // of the web page for which a browser sends it (RFC 6454), "" for none
    std::string body;
    std::string peer;            // "127.0.0.1:54321", for logs
    std::shared_ptr<Room> room;  // what a body that is not small holds of the server's memory
};

struct Response {
    int status = 200;
    std::string content_type = "application/json";
    std::string etag;                                          // without quotes, "" for none
    std::vector<std::pair<std::string, std::string>> headers;  // further ones
    std::string body;
};

// Where the answer goes. Called exactly once, by any thread, now or later; a call after the client has gone
// is harmless. When the last copy goes without having been called, the client gets a 500 and the log a line.
using Responder = std::function<void(Response)>;

// Runs on the server's loop: it must not block. What takes long goes elsewhere and answers later.
using Handler = std::function<void(std::shared_ptr<const Request>, Responder)>;

}  // namespace gorb::rest
