#include "request.h"

#include <algorithm>
#include <gorb/sdk/values.hpp>

namespace pulse_http {
namespace {

constexpr size_t longest_path = 2048, longest_host = 255;

// Visible ASCII: neither blanks nor control characters, which would end the line or the word; nor bytes that
// a server might read in its own way.
bool visible(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

void Request::check_method(std::string_view method) {
    const bool good = !method.empty() && method.size() <= 16 &&
                      std::all_of(method.begin(), method.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (!good) throw gorb::sdk::Error("\"method\" must be a word of capital letters, such as GET");
}

void Request::check_path(std::string_view path, std::string_view method) {
    if (path == "*" && method == "OPTIONS") return;
    if (path.empty() || path.front() != '/') throw gorb::sdk::Error("\"path\" must begin with /");
    if (path.size() > longest_path)
        throw gorb::sdk::Error("\"path\" is longer than " + std::to_string(longest_path) + " bytes");
    if (!visible(path))
        throw gorb::sdk::Error("\"path\" has blanks, control or non-ASCII characters: write them as %XX");
    if (path.find('#') != std::string_view::npos)
        throw gorb::sdk::Error("\"path\" has a fragment (#...), which is never sent to a server");
}

void Request::check_host(std::string_view host) {
    if (host.empty()) throw gorb::sdk::Error("\"host\" is empty");
    if (host.size() > longest_host)
        throw gorb::sdk::Error("\"host\" is longer than " + std::to_string(longest_host) + " bytes");
    if (!visible(host)) throw gorb::sdk::Error("\"host\" has blanks, control or non-ASCII characters");
    if (host.find_first_of("/?#@,\\\"<>") != std::string_view::npos)
        throw gorb::sdk::Error("\"host\" must be a name or address, with a port at most");
}

std::string Request::text() const {
    std::string out = method + " " + path + " HTTP/1.1\r\n";
    out += "Host: " + host + "\r\n";
    out += "User-Agent: " + agent + "\r\n";
    out += "Accept: */*\r\n";
    if (method == "POST" || method == "PUT" || method == "PATCH") out += "Content-Length: 0\r\n";
    out += "Connection: close\r\n\r\n";
    return out;
}

std::string default_host(std::string_view name, const gorb_addr& peer) {
    gorb_addr plain = peer;
    plain.scope = 0;  // a zone means something on this machine only
    std::string host = name.empty() ? gorb::sdk::to_string(plain) : std::string(name);
    if (host.find(':') != std::string::npos && host.front() != '[')
        host = "[" + host.substr(0, host.find('%')) + "]";
    if (peer.port != 80) host += ":" + std::to_string(peer.port);
    return host;
}

}  // namespace pulse_http
