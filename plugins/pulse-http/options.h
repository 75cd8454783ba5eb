// What a target may set, as data for the host.
#pragma once
#include <gorb/abi.h>

namespace pulse_http {

inline constexpr gorb_option option_table[] = {
    {"method", GORB_TEXT, 0, "GET", "GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE", "the request's method"},
    {"path", GORB_TEXT, 0, "/", nullptr, "what to ask for, beginning with /; a query may follow"},
    {"port", GORB_INT, 0, nullptr, "1..65535", "port to connect to, if not the backend's own"},
    {"host", GORB_TEXT, 0, nullptr, nullptr, "the Host header; the address that is checked if not set"},
    {"headers", GORB_JSON, 0, nullptr, nullptr,
     "more headers of the request: {\"X-Probe\": \"gorb\", \"Accept\": \"text/plain\"}"},
    {"body", GORB_TEXT, 0, nullptr, nullptr, "the request's body, at most 64 KiB; Content-Length is set"},
    {"expect", GORB_TEXT, 0, "200", nullptr,
     "status codes that pass: \"200\", \"200-399\", \"200,204,300-302\""},
    {"expect-header", GORB_JSON, 0, nullptr, nullptr,
     "headers that the reply must have: {\"X-Ready\": \"yes\", \"Server\": {\"regex\": \"^nginx\"}, "
     "\"ETag\": true}"},
    {"expect-body", GORB_TEXT, 0, nullptr, nullptr,
     "regular expression (RE2) that must be found in the body"},
    {"reject-body", GORB_TEXT, 0, nullptr, nullptr,
     "regular expression (RE2) that must not be found in the body"},
    {"body-limit", GORB_INT, 0, "65536", "1..1048576", "bytes of the body that are read"},
    {"keep-alive", GORB_BOOL, 0, "true", nullptr,
     "keep the connection for the next check, and check at once when the server closes it"},
    {"fresh-every", GORB_INT, 0, "10", "0..1000000",
     "with keep-alive, every so many checks use a new connection; 0: none for that alone"},
    {"tls", GORB_BOOL, 0, "false", nullptr, "https"},
    {"tls-name", GORB_TEXT, 0, nullptr, nullptr,
     "SNI, and the name that the certificate must be for; the one of host if not set, else the address"},
    {"ca", GORB_TEXT, 0, nullptr, nullptr,
     "absolute path of a PEM file of the CAs to trust; the system's if not set"},
    {"verify", GORB_BOOL, 0, "true", nullptr,
     "the certificate must be signed by one of the CAs and for the name"},
    {"cert", GORB_TEXT, 0, nullptr, nullptr, "absolute path of a PEM file of a client certificate"},
    {"key", GORB_TEXT, 0, nullptr, nullptr,
     "absolute path of a PEM file of its key; the one of cert if not set"},
    {"expire-warning", GORB_INT, 0, "14", "0..3650",
     "a warning when fewer days than these are left of the server's certificate"},
    {"expire-failure", GORB_INT, 0, "0", "0..3650", "a failure when fewer days than these are left of it"},
};

}  // namespace pulse_http
