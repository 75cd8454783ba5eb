// What a server or a user wrote, made fit for a reason.
#pragma once
#include <string>
#include <string_view>

namespace pulse_http {

// Printable ASCII as it is, anything else as "?"; at most `most` characters, "..." follows where it was cut.
inline std::string printable(std::string_view text, size_t most) {
    std::string out;
    for (const char c : text.substr(0, most)) out += c >= 0x20 && c < 0x7f ? c : '?';
    return text.size() > most ? out + "..." : out;
}

inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
inline std::string lower(std::string_view text) {
    std::string out;
    for (const char c : text) out += lower(c);
    return out;
}
// Without regard to case, as names of headers are compared.
inline bool same_name(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

}  // namespace pulse_http
