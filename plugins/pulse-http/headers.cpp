#include "headers.h"

#include <algorithm>
#include <boost/json/src.hpp>  // the library itself, in this file only
#include <gorb/sdk/values.hpp>

#include "words.h"

namespace pulse_http {
namespace {

using gorb::sdk::Error;

constexpr size_t longest_name = 128, longest_value = 4096;

// tchar of RFC 9110, 5.6.2
bool is_token(std::string_view text) {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
               marks.find(c) != std::string_view::npos;
    });
}

bool is_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c == '\t' || (c >= 0x20 && c < 0x7f); });
}

std::string_view view(const boost::json::string& text) {
    return {text.data(), text.size()};
}

std::optional<std::string> text_or_number(const boost::json::value& value) {
    if (const auto* text = value.if_string()) return std::string(view(*text));
    if (const auto* number = value.if_int64()) return std::to_string(*number);
    if (const auto* number = value.if_uint64()) return std::to_string(*number);
    return std::nullopt;
}

// Calls fn(name, value) for each member; the names are good ones and differ.
template <class Fn>
void each(std::string_view json, const std::string& option, Fn&& fn) {
    boost::json::error_code error;
    const boost::json::value document = boost::json::parse({json.data(), json.size()}, error);
    const boost::json::object* members = error ? nullptr : document.if_object();
    if (!members) throw Error(option + R"( must be an object such as {"X-Name": "value"})");
    if (members->size() > most_headers)
        throw Error(option + " has more than " + std::to_string(most_headers) + " headers");
    std::vector<std::string> names;
    for (const auto& member : *members) {
        const std::string name(member.key().data(), member.key().size());
        if (!is_token(name) || name.size() > longest_name)
            throw Error(std::string(option)
                            .append(": \"")
                            .append(printable(name, 60))
                            .append("\" is no name of a header"));
        if (std::find(names.begin(), names.end(), lower(name)) != names.end())
            throw Error(std::string(option).append(": ").append(name).append(" is there twice"));
        names.push_back(lower(name));
        fn(name, member.value());
    }
}

}  // namespace

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

ExtraHeaders ExtraHeaders::parse(std::string_view json) {
    static constexpr std::string_view refused[] = {
        "host",    "content-length", "connection", "transfer-encoding", "keep-alive", "proxy-connection",
        "upgrade", "http2-settings", "te",         "trailer",           "expect"};
    ExtraHeaders out;
    each(json, "\"headers\"", [&](const std::string& name, const boost::json::value& value) {
        if (same_name(name, "host")) throw Error("\"headers\": Host has an option of its own, \"host\"");
        for (const auto one : refused)
            if (same_name(name, one)) throw Error("\"headers\": " + name + " is not yours to set");
        const auto text = text_or_number(value);
        if (!text || text->size() > longest_value || !is_value(*text))
            throw Error("\"headers\": the value of " + name +
                        " must be a text of printable ASCII or a whole number");
        out.lines.push_back({name, std::string(trimmed(*text))});
    });
    return out;
}

bool ExtraHeaders::has(std::string_view name) const {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const Line& line) { return same_name(line.name, name); });
}

HeaderRules HeaderRules::parse(std::string_view json) {
    HeaderRules out;
    each(json, "\"expect-header\"", [&](const std::string& name, const boost::json::value& value) {
        Rule rule;
        rule.name = name;
        const auto* members = value.if_object();
        const auto* regex = members && members->size() == 1 ? members->if_contains("regex") : nullptr;
        if (const bool* wanted = value.if_bool()) {
            rule.wanted = *wanted;
        } else if (auto text = text_or_number(value)) {
            rule.value = std::string(trimmed(*text));
        } else if (regex && regex->is_string()) {
            rule.regex = Regex::compile(view(regex->get_string()), "\"expect-header\": that of " + name);
        } else {
            throw Error(
                "\"expect-header\": " + name +
                R"( must be a text, a whole number, {"regex": "..."}, true (it is there) or false (it is not))");
        }
        out.rules_.push_back(std::move(rule));
    });
    return out;
}

void HeaderRules::see(std::string_view name, std::string_view value, std::vector<Seen>& seen) const {
    for (size_t i = 0; i < rules_.size(); ++i) {
        const Rule& rule = rules_[i];
        if (!same_name(name, rule.name)) continue;
        seen[i].present = true;
        const bool good = rule.value   ? trimmed(value) == *rule.value
                          : rule.regex ? rule.regex->found_in(value)
                                       : rule.wanted;
        seen[i].good = seen[i].good || good;
        if (!good) seen[i].value = printable(value, 60);
    }
}

std::string HeaderRules::broken(const std::vector<Seen>& seen) const {
    for (size_t i = 0; i < rules_.size(); ++i) {
        const Rule& rule = rules_[i];
        if (!rule.wanted) {
            if (seen[i].present) return "header " + rule.name + " is there (expected none)";
            continue;
        }
        if (seen[i].good) continue;
        std::string words = "header " + rule.name;
        words += seen[i].present ? " is \"" + seen[i].value + "\"" : " is missing";
        if (rule.value) words += " (expected \"" + printable(*rule.value, 60) + "\")";
        if (rule.regex) words += " (expected " + rule.regex->shown() + ")";
        return words;
    }
    return "";
}

}  // namespace pulse_http
