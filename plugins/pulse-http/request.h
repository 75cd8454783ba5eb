// The request that a check sends, and the rules that keep one argument from becoming two header lines.
#pragma once
#include <gorb/abi.h>

#include <string>
#include <string_view>

namespace pulse_http {

struct Request {
    std::string method = "GET";
    std::string path = "/";
    std::string host;  // the Host header's value
    std::string agent;

    // Each throws gorb::sdk::Error with a sentence.
    static void check_method(std::string_view method);
    static void check_path(std::string_view path, std::string_view method);
    static void check_host(std::string_view host);

    // Request line, Host, User-Agent, Accept, Connection: close, and Content-Length: 0 where a body could be
    // expected.
    std::string text() const;
};

// The Host header when none is given: `name` if there is one, else the address ("[2001:db8::1]", without a
// zone); the port follows unless it is 80.
std::string default_host(std::string_view name, const gorb_addr& peer);

}  // namespace pulse_http
