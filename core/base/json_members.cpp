#include "base/json_members.h"

#include <rapidjson/reader.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/json_write.h"

namespace gorb::base {
namespace {

constexpr size_t long_value = 64;
constexpr std::string_view absent = "default";  // which is why a document leaves it out

struct Member {
    std::string name;
    std::string value;  // JSON
};

// Takes an object apart into its members, each with its value as JsonWriter writes it.
class Splitter {
  public:
    using Ch = char;
    using Size = rapidjson::SizeType;

    bool Null() {
        return value([](JsonWriter& out) { out.Null(); });
    }
    bool Bool(bool b) {
        return value([b](JsonWriter& out) { out.Bool(b); });
    }
    bool RawNumber(const char* s, Size n, bool) {
        return value([&](JsonWriter& out) { out.raw({s, n}); });
    }
    bool String(const char* s, Size n, bool) {
        return value([&](JsonWriter& out) { out.text({s, n}); });
    }
    bool Key(const char* s, Size n, bool) {
        if (depth_ == 1) {
            members_.push_back({std::string(s, n), {}});
        } else {
            writer_->name(std::string_view(s, n));
        }
        return true;
    }
    bool StartObject() {
        return ++depth_ == 1 || value([](JsonWriter& out) { out.StartObject(); });
    }
    bool EndObject(Size) {
        return --depth_ == 0 || value([](JsonWriter& out) { out.EndObject(); });
    }
    bool StartArray() {
        ++depth_;
        return value([](JsonWriter& out) { out.StartArray(); });
    }
    bool EndArray(Size) {
        --depth_;
        return value([](JsonWriter& out) { out.EndArray(); });
    }
    // Never called: kParseNumbersAsStringsFlag sends all numbers to RawNumber.
    bool Int(int) { return false; }
    bool Uint(unsigned) { return false; }
    bool Int64(int64_t) { return false; }
    bool Uint64(uint64_t) { return false; }
    bool Double(double) { return false; }

    // By name, ascending.
    std::vector<Member> members() {
        std::ranges::sort(members_, {}, &Member::name);
        return std::move(members_);
    }

  private:
    // false: it is in no object.
    template <class Write>
    bool value(Write&& write) {
        if (members_.empty()) return false;
        if (!writer_) writer_.emplace(sink_);
        std::forward<Write>(write)(*writer_);
        if (!writer_->IsComplete()) return true;
        writer_.reset();
        members_.back().value.swap(text_);
        return true;
    }

    size_t depth_ = 0;
    std::vector<Member> members_;
    std::string text_;  // of the member that is being read
    StringSink sink_{text_};
    std::optional<JsonWriter> writer_;
};

std::optional<std::vector<Member>> members_of(std::string_view json) {
    // In place in a copy, as parse_json() does and for its reasons.
    constexpr unsigned flags = rapidjson::kParseInsituFlag | rapidjson::kParseNumbersAsStringsFlag;
    std::string copy(json);
    rapidjson::InsituStringStream stream(copy.data());
    rapidjson::Reader reader;
    Splitter splitter;
    if (!reader.Parse<flags>(stream, splitter)) return std::nullopt;
    return splitter.members();
}

// nullptr: there is no such member.
bool tells(const std::string* value) {
    return !value || (!value->starts_with('{') && !value->starts_with('[') && value->size() <= long_value);
}

// A text of one word goes without its quotes.
std::string_view bare(const std::string* value) {
    if (!value) return absent;
    const std::string_view text = *value;
    if (text.size() < 3 || text[0] != '"') return text;
    const std::string_view word = text.substr(1, text.size() - 2);
    return word.find_first_of(" ,\\") == std::string_view::npos ? word : text;
}

}  // namespace

std::string differing_members(std::string_view before, std::string_view after) {
    const auto was = members_of(before), is = members_of(after);
    if (!was || !is) return {};
    std::string text;
    for (auto old = was->begin(), now = is->begin(); old != was->end() || now != is->end();) {
        const bool has_old = now == is->end() || (old != was->end() && old->name <= now->name);
        const bool has_now = old == was->end() || (now != is->end() && now->name <= old->name);
        const std::string& name = has_old ? old->name : now->name;
        const std::string* from = has_old ? &(old++)->value : nullptr;
        const std::string* to = has_now ? &(now++)->value : nullptr;
        if (from && to && *from == *to) continue;
        if (!text.empty()) text += ", ";
        text += name;
        if (tells(from) && tells(to)) text.append(" ").append(bare(from)).append(" -> ").append(bare(to));
    }
    return text;
}

}  // namespace gorb::base
