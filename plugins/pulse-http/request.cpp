#include "request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <gorb/sdk/values.hpp>

namespace pulse_http {
namespace {

constexpr size_t longest_path = 2048;

// Visible ASCII: neither blanks nor control characters, which would end the line or the word; nor bytes that
// a server might read in its own way.
bool visible(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void append_number(std::string& out, unsigned number) {
    std::array<char, 12> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), end);
}

}  // namespace

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

void Request::check_body(std::string_view body) {
    if (body.size() > most_body)
        throw gorb::sdk::Error("\"body\" is longer than " + std::to_string(most_body / 1024) + " KiB");
}

Request::Text Request::text() const {
    Text out;
    out.before = method + " " + path + " HTTP/1.1\r\nHost: ";
    std::string& rest = out.after;
    rest = "\r\n";
    if (!extra.has("User-Agent")) rest += "User-Agent: " + agent + "\r\n";
    if (!extra.has("Accept")) rest += "Accept: */*\r\n";
    for (const ExtraHeaders::Line& line : extra.lines) rest += line.name + ": " + line.value + "\r\n";
    if (body || method == "POST" || method == "PUT" || method == "PATCH")
        rest += "Content-Length: " + std::to_string(body ? body->size() : 0) + "\r\n";
    if (close) rest += "Connection: close\r\n";
    rest += "\r\n";
    if (body) rest += *body;
    return out;
}

void append_default_host(std::string& out, const gorb_addr& peer, uint16_t usual) {
    if (peer.family == 4) {  // what nearly every check has, without inet_ntop()'s printf()
        std::array<char, 16> text{};
        size_t size = 0;
        for (size_t i = 0; i < 4; ++i) {
            const unsigned n = peer.ip[i];
            if (i) text[size++] = '.';
            if (n >= 100) text[size++] = static_cast<char>('0' + n / 100);
            if (n >= 10) text[size++] = static_cast<char>('0' + n / 10 % 10);
            text[size++] = static_cast<char>('0' + n % 10);
        }
        out.append(text.data(), size);
    } else {
        gorb_addr unscoped = peer;
        unscoped.scope = 0;  // a zone means something on this machine only
        out += '[' + gorb::sdk::to_string(unscoped) + ']';
    }
    if (peer.port == usual) return;
    out += ':';
    append_number(out, peer.port);
}

}  // namespace pulse_http
