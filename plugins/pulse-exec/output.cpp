#include "output.h"

#include <cstring>
#include <utility>

namespace pulse_exec {

namespace {

using gorb::sdk::Result;

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

bool blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

// The length of the UTF-8 character that `text` begins with; 0 when it is none (overlong, a surrogate, beyond
// U+10FFFF, cut short).
size_t character(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return 1;
    const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return 0;
    for (size_t i = 1; i < size; ++i)
        if ((byte(i) & 0xC0u) != 0x80u) return 0;
    if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
    if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
    return size;
}

std::string clean(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t size = character(text);
        const auto lead = static_cast<unsigned char>(text[0]);
        std::string_view piece = size ? text.substr(0, size) : replacement;
        if (lead < 0x20 || lead == 0x7F) piece = lead == '\t' ? " " : "?";
        if (out.size() + piece.size() > most_line) break;
        out += piece;
        text.remove_prefix(size ? size : 1);
    }
    return out;
}

std::string signal_name(int number) {
    const char* name = sigabbrev_np(number);
    return name ? std::string("SIG") + name : "signal " + std::to_string(number);
}

// What stands before the first `c` and what behind it.
std::pair<std::string_view, std::string_view> cut(std::string_view text, char c) {
    const size_t at = text.find(c);
    if (at == std::string_view::npos) return {text, {}};
    return {text.substr(0, at), text.substr(at + 1)};
}

struct Line {
    std::string_view words, figures;  // before and behind the '|'
};

// The first line that has words.
Line line_of(std::string_view output) {
    while (!output.empty()) {
        const auto [line, rest] = cut(output, '\n');
        const auto [words, figures] = cut(line, '|');
        if (const std::string_view said = trimmed(words); !said.empty()) return {said, figures};
        output = rest;
    }
    return {};
}

}  // namespace

std::string first_line(std::string_view output) {
    return clean(line_of(output).words);
}

pulse_match::Share share_of(std::string_view output) {
    constexpr std::string_view label = "share=";
    std::string_view figures = line_of(output).figures;
    while (!(figures = trimmed(figures)).empty()) {
        const std::string_view one = figures.substr(0, figures.find_first_of(" \t"));
        if (one.starts_with(label))
            return pulse_match::Share::read(one.substr(label.size(), one.find(';') - label.size()));
        figures.remove_prefix(one.size());
    }
    return {};
}

Result judge(const End& end, std::string_view output, const Strictness& strict) {
    const std::string said = first_line(output);
    const auto with = [&](const std::string& words) { return said.empty() ? words : words + ": " + said; };
    if (end.signal) return Result::fail(with("killed by " + signal_name(end.signal)), 128 + end.signal);
    const std::string words =
        said.empty() ? "exit status " + std::to_string(end.status) + ", nothing said" : said;
    const auto pass = [&] {
        const pulse_match::Share share = share_of(output);
        Result result = Result::pass(words, end.status);
        result.share = share.percent;
        result.warning = share.warning;
        return result;
    };
    switch (end.status) {
        case 0:
            return pass();
        case 1: {
            if (strict.warnings_fail) return Result::fail(words, 1);
            Result result = pass();
            result.warning = result.warning.empty() ? words : words + "; " + result.warning;
            return result;
        }
        case 2:
            return Result::fail(words, 2);
        case 3:
            return strict.unknowns_fail ? Result::fail(words, 3) : Result::unknown(words, 3);
        default:
            return Result::fail(with("exit status " + std::to_string(end.status)), end.status);
    }
}

}  // namespace pulse_exec
