#include "quick.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "words.h"

namespace pulse_http {
namespace {

constexpr size_t most_quick = 4096;  // bytes of a head

constexpr std::array<bool, 256> token_characters() {
    std::array<bool, 256> table{};
    for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
    for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
    for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
    for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
    return table;
}
constexpr auto is_token_character = token_characters();

// The text up to the end of its line, which must be CR LF; `at` is moved behind that. False where there is
// no such end yet, or other than printable ASCII before it.
bool line(std::string_view bytes, size_t& at, std::string_view& text) {
    const size_t begin = at;
    constexpr uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
    for (; at + sizeof(uint64_t) <= bytes.size(); at += sizeof(uint64_t)) {  // eight at a time
        uint64_t x = 0;
        std::memcpy(&x, bytes.data() + at, sizeof x);
        if ((((x - 0x20 * ones) | (x + ones) | x) & high) != 0) break;
    }
    while (at < bytes.size() && bytes[at] >= 0x20 && bytes[at] < 0x7f) ++at;
    if (bytes.size() - at < 2 || bytes[at] != '\r' || bytes[at + 1] != '\n') return false;
    text = bytes.substr(begin, at - begin);
    at += 2;
    return true;
}

// As it is usually written, or else without regard to case.
bool is(std::string_view name, std::string_view usual) {
    return name == usual || same_name(name, usual);
}

std::string_view without_blanks(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

// Up to 9 digits; -1 for anything else.
int64_t number(std::string_view text) {
    if (text.empty() || text.size() > 9) return -1;
    int64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

}  // namespace

QuickReply QuickReply::read(std::string_view bytes, size_t body_limit) {
    constexpr std::string_view begin = "HTTP/1.1 2";
    if (bytes.size() > most_quick + body_limit || bytes.substr(0, begin.size()) != begin) return {};
    size_t at = begin.size() - 1;
    std::string_view text;
    if (!line(bytes, at, text) || text.size() < 4 || text[3] != ' ') return {};
    const int64_t status = number(text.substr(0, 3));
    if (status < 200 || status == 204) return {};

    bool closes = false, told = false;
    int64_t length = -1;
    while (at < bytes.size() && bytes[at] != '\r') {
        const size_t name_at = at;
        while (at < bytes.size() && is_token_character[static_cast<unsigned char>(bytes[at])]) ++at;
        if (at == name_at || at == bytes.size() || bytes[at] != ':') return {};
        const std::string_view name = bytes.substr(name_at, at - name_at);
        ++at;
        if (!line(bytes, at, text) || at > most_quick) return {};
        switch (name.size()) {  // of those that mean something
            case 7:
                if (is(name, "Upgrade")) return {};
                break;
            case 10:
                if (!is(name, "Connection")) break;
                text = without_blanks(text);
                closes = is(text, "close");
                if (told || !(closes || is(text, "keep-alive"))) return {};
                told = true;
                break;
            case 14:
                if (!is(name, "Content-Length")) break;
                if (length >= 0) return {};
                length = number(without_blanks(text));
                if (length < 0) return {};
                break;
            case 16:
                if (is(name, "Proxy-Connection")) return {};
                break;
            case 17:
                if (is(name, "Transfer-Encoding")) return {};
                break;
            default:
                break;
        }
    }
    if (bytes.size() - at < 2 || bytes[at + 1] != '\n' || length < 0) return {};
    at += 2;
    const auto body = static_cast<size_t>(length);
    if (body > body_limit || body > bytes.size() - at) return {};
    return {static_cast<int>(status), closes, at + body};
}

}  // namespace pulse_http
