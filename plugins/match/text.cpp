#include "match/text.h"

#include <gorb/sdk/values.hpp>

namespace pulse_match {
namespace {

using gorb::sdk::Error;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// The byte that two digits at `at` make, or -1.
int hex_byte(std::string_view text, size_t at) {
    if (at + 2 > text.size()) return -1;
    const int high = hex_digit(text[at]), low = hex_digit(text[at + 1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string shown(char c) {
    constexpr const char* digits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
        case '\r':
            return "\\r";
        case '\n':
            return "\\n";
        case '\t':
            return "\\t";
        case '\0':
            return "\\0";
        case '\\':
            return "\\\\";
        default:
            break;
    }
    if (byte >= 0x20 && byte < 0x7f) return {c};
    return {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
}

}  // namespace

std::string unescaped(std::string_view text, std::string_view what) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '\\') {
            out += text[at];
            continue;
        }
        const char name = ++at < text.size() ? text[at] : '\0';
        constexpr std::string_view names = "rnt0\\", bytes("\r\n\t\0\\", 5);
        const size_t found = at < text.size() ? names.find(name) : std::string_view::npos;
        const int byte = name == 'x' ? hex_byte(text, at + 1) : -1;
        if (found != std::string_view::npos) {
            out += bytes[found];
        } else if (byte >= 0) {
            out += static_cast<char>(byte);
            at += 2;
        } else {
            throw Error(std::string(what) +
                        " has a backslash that begins no escape; there are \\r \\n \\t \\0 \\xNN and \\\\");
        }
    }
    return out;
}

std::string from_hex(std::string_view text, std::string_view what) {
    constexpr std::string_view between = " \t\r\n:-";
    std::string out;
    for (size_t at = 0; at < text.size();) {
        if (between.find(text[at]) != std::string_view::npos) {
            ++at;
            continue;
        }
        const int byte = hex_byte(text, at);
        if (byte < 0)
            throw Error(std::string(what) + " wants pairs of hex digits, as in \"50 49 4e 47 0d 0a\"");
        out += static_cast<char>(byte);
        at += 2;
    }
    return out;
}

std::string in_quotes(std::string_view bytes, size_t most) {
    std::string out = "\"";
    for (const char c : bytes) {
        const std::string next = shown(c);
        if (out.size() - 1 + next.size() > most) return out + "\"...";
        out += next;
    }
    return out + "\"";
}

std::string_view without_line_end(std::string_view bytes) {
    while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) bytes.remove_suffix(1);
    return bytes;
}

}  // namespace pulse_match
