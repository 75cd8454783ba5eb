#include "base/json_members.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace gorb::base {
namespace {

constexpr size_t long_value = 64;
constexpr std::string_view absent = "default";  // which is why a document leaves it out

struct Member {
    std::string_view name;  // as it stands between the quotes
    std::string_view value;
};

// Where the text in quotes that begins at `at` has ended.
size_t after_text(std::string_view json, size_t at) {
    for (++at; at < json.size() && json[at] != '"'; ++at) {
        if (json[at] == '\\') ++at;
    }
    return std::min(at + 1, json.size());
}

// The same of a value.
size_t after_value(std::string_view json, size_t at) {
    for (size_t depth = 0; at < json.size();) {
        const char c = json[at];
        if (c == '"') {
            at = after_text(json, at);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}')) break;
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        ++at;
    }
    return at;
}

std::vector<Member> members_of(std::string_view json) {
    std::vector<Member> members;
    for (size_t at = 1; at < json.size() && json[at] == '"'; ++at) {
        const size_t name_end = after_text(json, at);
        const size_t value = std::min(name_end + 1, json.size());
        const size_t end = after_value(json, value);
        members.push_back({json.substr(at + 1, name_end - at - 2), json.substr(value, end - value)});
        at = end;
    }
    return members;
}

std::optional<std::string_view> find(const std::vector<Member>& members, std::string_view name) {
    const auto at = std::ranges::find(members, name, &Member::name);
    if (at == members.end()) return std::nullopt;
    return at->value;
}

bool tells(std::optional<std::string_view> value) {
    return !value || (!value->starts_with('{') && !value->starts_with('[') && value->size() <= long_value);
}

// A text of one word goes without its quotes.
std::string_view bare(std::string_view value) {
    if (value.size() < 3 || value[0] != '"') return value;
    const std::string_view word = value.substr(1, value.size() - 2);
    return word.find_first_of(" ,\\") == std::string_view::npos ? word : value;
}

void add(std::string& text, std::string_view name, std::optional<std::string_view> before,
         std::optional<std::string_view> after) {
    if (!text.empty()) text += ", ";
    text += name;
    if (!tells(before) || !tells(after)) return;
    text.append(" ")
        .append(bare(before.value_or(absent)))
        .append(" -> ")
        .append(bare(after.value_or(absent)));
}

}  // namespace

std::string differing_members(std::string_view before, std::string_view after) {
    const std::vector<Member> was = members_of(before), is = members_of(after);
    std::string text;
    for (const Member& member : is) {
        const auto old = find(was, member.name);
        if (!old || *old != member.value) add(text, member.name, old, member.value);
    }
    for (const Member& member : was) {
        if (!find(is, member.name)) add(text, member.name, member.value, std::nullopt);
    }
    return text;
}

}  // namespace gorb::base
