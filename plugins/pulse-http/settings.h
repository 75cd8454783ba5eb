// What the arguments of targets mean: read once, shared by all targets of an instance with equal arguments.
#pragma once
#include <gorb/plugin.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "certificate.h"
#include "expect.h"
#include "expression.h"
#include "headers.h"
#include "request.h"

namespace pulse_http {

struct Settings {
    // Throws gorb::sdk::Error with a sentence for what is wrong, in one argument or between several.
    static Settings read(const gorb::sdk::Config& config);

    uint16_t port = 0;  // 0: the backend's own
    // With a host that is set, all of the request is in `before`; else the target's belongs between the two.
    Request::Text request;
    bool own_host = false;
    bool to_head = false;  // the method is HEAD
    Expectation expected;
    HeaderRules headers;
    BodyRules body;
    size_t body_limit = 64 * 1024;
    // Nothing but the status is asked of a reply, so that QuickReply can judge it.
    bool status_alone() const { return !to_head && !tls && !body.any() && headers.empty(); }
    bool keep_alive = true;
    uint32_t fresh_every = 10;  // 0: never for its own sake

    struct Tls {
        bool verify = true;
        std::string name;  // SNI and the name to verify; "": the backend's address
        std::string ca, cert, key;
        CertificateRule rule;
    };
    std::optional<Tls> tls;

    uint16_t usual_port() const { return tls ? 443 : 80; }
};

// Equal for equal arguments, and for nothing else.
std::string key_of(const gorb::sdk::Config& config);

}  // namespace pulse_http
