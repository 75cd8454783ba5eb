// The request that a check sends, and the rules that keep one argument from becoming two header lines.
#pragma once
#include <gorb/abi.h>

#include <optional>
#include <string>
#include <string_view>

#include "headers.h"

namespace pulse_http {

struct Request {
    std::string method = "GET";
    std::string path = "/";
    std::string agent;
    ExtraHeaders extra;
    std::optional<std::string> body;
    bool close = false;  // asks the server to end the connection after its reply

    static constexpr size_t most_body = 64 * 1024;

    // Each throws gorb::sdk::Error with a sentence.
    static void check_path(std::string_view path, std::string_view method);
    static void check_body(std::string_view body);

    // What stands before and behind the Host header's value, which may differ between targets: request line;
    // User-Agent and Accept (unless among the extra headers), Content-Length where a body is or could be
    // expected, Connection: close where it is wanted, the extra headers, the body.
    struct Text {
        std::string before, after;
    };
    Text text() const;
};

// The Host header when none is given: the address ("[2001:db8::1]", without a zone); the port follows unless
// it is `usual` (80, or 443 for https). Appended to `out`.
void append_default_host(std::string& out, const gorb_addr& peer, uint16_t usual);

}  // namespace pulse_http
