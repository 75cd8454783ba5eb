#include "base/json_members.h"

#include <optional>
#include <set>

#include "base/json.h"

namespace gorb::base {
namespace {

constexpr size_t long_value = 64;
constexpr std::string_view absent = "default";  // which is why a document leaves it out

// JSON text of a member; nullopt: there is none.
std::optional<std::string> member(const Poco::JSON::Object& object, const std::string& name) {
    if (!object.has(name)) return std::nullopt;
    return canonical_json(object.get(name));
}

bool tells(const std::optional<std::string>& value) {
    return !value || (!value->starts_with('{') && !value->starts_with('[') && value->size() <= long_value);
}

// A text of one word goes without its quotes.
std::string_view bare(const std::optional<std::string>& value) {
    if (!value) return absent;
    const std::string_view text = *value;
    if (text.size() < 3 || text[0] != '"') return text;
    const std::string_view word = text.substr(1, text.size() - 2);
    return word.find_first_of(" ,\\") == std::string_view::npos ? word : text;
}

}  // namespace

std::string differing_members(std::string_view before, std::string_view after) {
    const auto was = parse_json_object(before), is = parse_json_object(after);
    if (!was || !is) return {};
    std::set<std::string> names;
    for (const Poco::JSON::Object::Ptr& object : {*was, *is})
        for (const auto& [name, value] : *object) names.insert(name);
    std::string text;
    for (const std::string& name : names) {
        const auto old = member(**was, name), now = member(**is, name);
        if (old == now) continue;
        if (!text.empty()) text += ", ";
        text += name;
        if (tells(old) && tells(now)) text.append(" ").append(bare(old)).append(" -> ").append(bare(now));
    }
    return text;
}

}  // namespace gorb::base
