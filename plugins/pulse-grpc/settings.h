// The arguments of a target, read once and shared by all targets that have the same.
#pragma once
#include <gorb/sdk/host.hpp>
#include <map>
#include <memory>
#include <string>

#include "kept/kept.h"

namespace pulse_grpc {

inline constexpr gorb_option option_table[] = {
    {"service", GORB_TEXT, 0, "", nullptr,
     "name of the service whose health is asked for; \"\" is the server as a whole"},
    {"port", GORB_INT, 0, nullptr, "1..65535", "port to connect to, if not the backend's own"},
    {"authority", GORB_TEXT, 0, nullptr, nullptr,
     "the :authority header; the address and port that are checked if not set"},
    {"keep-alive", GORB_BOOL, 0, "false", nullptr,
     "keep the connection for the next check, and check at once when the server closes it"},
    {"tls", GORB_BOOL, 0, "false", nullptr, "TLS instead of clear text (h2c)"},
    {"tls-name", GORB_TEXT, 0, nullptr, nullptr,
     "SNI, and the name that the certificate must be for; the one of authority if not set, else the address"},
    {"ca", GORB_TEXT, 0, nullptr, nullptr,
     "absolute path of a PEM file of the CAs to trust; the system's if not set"},
    {"verify", GORB_BOOL, 0, "true", nullptr,
     "the certificate must be signed by one of the CAs and for the name"},
    {"alpn", GORB_BOOL, 0, "true", nullptr,
     "with tls the server must agree on HTTP/2 by ALPN, as today's gRPC clients insist"},
    {"cert", GORB_TEXT, 0, nullptr, nullptr, "absolute path of a PEM file of a client certificate"},
    {"key", GORB_TEXT, 0, nullptr, nullptr,
     "absolute path of a PEM file of its key; the one of cert if not set"},
};

struct Settings {
    // Throws gorb::sdk::Error with a sentence.
    static Settings read(const gorb::sdk::Config& config);

    std::string service, message;  // message: the framed request
    std::string authority;         // "" for the target's own
    std::string tls_name, ca, cert, key;
    uint16_t port = 0;  // 0: the backend's
    bool keep_alive = false, tls = false, verify = true, alpn = true;
};

// Of an instance.
class SharedSettings {
  public:
    SharedSettings(const gorb::sdk::Host& host, const gorb::sdk::Config&) : host_(host) {}
    const gorb::sdk::Host& host() const { return host_; }
    std::shared_ptr<const Settings> get(const gorb::sdk::Config& config);

    static pulse_kept::Places places;  // of kept connections
    pulse_kept::Shortage shortage;

  private:
    const gorb::sdk::Host& host_;
    std::map<std::string, std::weak_ptr<const Settings>> settings_;
    size_t most_ = 16;  // entries after the last tidying, at least 16
};

}  // namespace pulse_grpc
