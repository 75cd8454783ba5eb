#include "rest/request_headers.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "model/rules.h"
#include "rest/route.h"

namespace gorb::rest {
namespace {

constexpr std::string_view if_match_form =
    "If-Match must be \"*\" or a list of entity tags such as \"8d1f-7\", separated by commas";

bool space(char c) {
    return c == ' ' || c == '\t';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && space(text.front())) text.remove_prefix(1);
    while (!text.empty() && space(text.back())) text.remove_suffix(1);
    return text;
}

// RFC 9110's etagc: visible characters but the quote, and bytes above ASCII.
bool tag_character(char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > 0x20 && u != 0x7f && u != '"';
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

// Without its parameters.
std::string media_type(std::string_view content_type) {
    return lower(trimmed(content_type.substr(0, content_type.find(';'))));
}

}  // namespace

base::Result<std::optional<control::Match>> parse_if_match(std::string_view value) {
    std::string_view left = trimmed(value);
    if (left.empty()) return std::optional<control::Match>();
    control::Match match;
    if (left == "*") {
        match.any = true;
        return match;
    }
    const auto wrong = [] { return base::fail(base::Errc::invalid, std::string(if_match_form)); };
    for (bool first = true;; first = false) {
        // Empty elements of a list are to be ignored (RFC 9110, 5.6.1.2), all of it being empty is not.
        while (left.starts_with(',')) left = trimmed(left.substr(1));
        if (left.empty() && !first) break;
        const bool weak = left.starts_with("W/");
        if (weak) left.remove_prefix(2);
        const bool quoted = left.starts_with('"');
        if (weak && !quoted) return wrong();
        if (quoted) left.remove_prefix(1);
        // A comma may be part of a quoted tag, but ends a bare one.
        const auto end = std::find_if_not(left.begin(), left.end(),
                                          [&](char c) { return tag_character(c) && (quoted || c != ','); });
        const std::string_view tag = left.substr(0, static_cast<size_t>(end - left.begin()));
        left.remove_prefix(tag.size());
        if (quoted) {
            if (!left.starts_with('"')) return wrong();
            left.remove_prefix(1);
        } else if (tag.empty() || tag == "*") {
            return wrong();
        }
        if (!weak) match.tags.emplace_back(tag);
        left = trimmed(left);
        if (!left.empty() && !left.starts_with(',')) return wrong();
    }
    if (!match.tags.empty()) return match;
    return base::fail(
        base::Errc::stale,
        "If-Match never matches a weak tag (RFC 9110, 13.1.1), as a proxy that compresses makes "
        "them: send it without W/, as gorbd gave it");
}

base::Result<std::optional<control::Match>> read_condition(std::string_view if_match,
                                                           const std::optional<std::string>& if_none_match) {
    if (!if_none_match) return parse_if_match(if_match);
    if (trimmed(*if_none_match) != "*" || !if_match.empty()) {
        return base::fail(base::Errc::invalid,
                          "If-None-Match must be \"*\" (only create it), and without If-Match beside it");
    }
    return control::Match{.any = false, .tags = {}, .absent = true};
}

bool is_json_patch(std::string_view content_type) {
    return media_type(content_type) == "application/json-patch+json";
}

bool is_json(std::string_view content_type, std::string_view body) {
    const std::string type = media_type(content_type);
    if (type.empty() || type == "application/json" || type.ends_with("+json")) return true;
    if (type != "application/x-www-form-urlencoded") return false;
    const size_t start = body.find_first_not_of(" \t\r\n");
    return start != std::string_view::npos && body[start] == '{';
}

namespace {

// "a", "b" of "a b", each as it is to be written in a query, for a sentence.
std::string known_text(std::string_view takes) {
    std::string out;
    while (!takes.empty()) {
        const std::string_view one = takes.substr(0, takes.find(' '));
        takes.remove_prefix(std::min(takes.size(), one.size() + 1));
        if (!out.empty()) out += ", ";
        out += one;
        if (one == "adopt" || one == "force") out += "=true";
        if (one == "drain") out += "=DURATION";
        if (one == "after") out += "=NUMBER";
    }
    return out;
}

bool is_among(std::string_view word, std::string_view words) {
    while (!words.empty()) {
        const std::string_view one = words.substr(0, words.find(' '));
        words.remove_prefix(std::min(words.size(), one.size() + 1));
        if (one == word) return true;
    }
    return false;
}

base::Error wrong_value(std::string_view name, const std::string& right) {
    return {base::Errc::invalid, "the query parameter " + shown(name) + " must be " + right, {}, 0};
}

}  // namespace

base::Result<Query> read_query(std::string_view query, std::string_view takes) {
    Query out;
    while (!query.empty()) {
        const std::string_view parameter = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), parameter.size() + 1));
        if (parameter.empty()) continue;
        const size_t equals = parameter.find('=');
        const std::string_view name = parameter.substr(0, equals);
        const std::string_view value = equals == std::string_view::npos ? "" : parameter.substr(equals + 1);
        if (is_among(parameter, takes) && name == "expand") {
            out.expanded = true;
        } else if (!is_among(name, takes)) {
            return base::fail(base::Errc::invalid,
                              "the query parameter " + shown(parameter) + " is not known here; " +
                                  (takes.empty() ? "there is none" : "known are " + known_text(takes)));
        } else if (name == "adopt" || name == "force") {
            if (value != "true" && value != "false") return base::fail(wrong_value(name, "true or false"));
            (name == "adopt" ? out.adopt : out.force) = value == "true";
        } else if (name == "drain") {
            const auto drain = base::parse_duration(std::string(value));
            if (!drain || *drain < base::Nanos(0) || *drain > model::max_drain)
                return base::fail(wrong_value(name, "a duration from 0s to 720h, such as 30s"));
            out.drain = *drain;
        } else {
            const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out.after);
            if (error != std::errc{} || end != value.data() + value.size())
                return base::fail(wrong_value(name, "a whole number"));
        }
    }
    return out;
}

}  // namespace gorb::rest
