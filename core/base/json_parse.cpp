// parse_json: RapidJSON's reader finds the tokens, this builds Poco's values of them and refuses what the
// reader lets pass.
#include <Poco/JSON/Array.h>
#include <Poco/UTF8Encoding.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"

namespace gorb::base {
namespace {

using Poco::Dynamic::Var;

constexpr size_t max_levels = 32;

// An integer that fits is kept as one, however it is written: 5, 5.0 and 5e0 are equal, and so is their
// canonical text. nullopt: what has no exact integer and no finite double.
std::optional<Var> number(std::string_view text) {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const bool whole = text.find_first_of(".eE") == std::string_view::npos;
    if (whole) {
        Poco::Int64 i = 0;
        if (std::from_chars(begin, end, i).ec == std::errc{}) return Var(i);
        Poco::UInt64 u = 0;
        if (text.front() != '-' && std::from_chars(begin, end, u).ec == std::errc{}) return Var(u);
        return std::nullopt;  // as a double it would silently be another number
    }
    double d = 0;
    if (std::from_chars(begin, end, d).ec != std::errc{}) return std::nullopt;
    constexpr double exact = 0x1p53;  // above, a double stands for more than one integer
    if (std::trunc(d) == d && d >= -exact && d <= exact) return Var(static_cast<Poco::Int64>(d));
    return Var(d);
}

// Where the first byte stands that begins no well-formed character; text.size() if there is none.
size_t first_bad_utf8(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
        const auto lead = static_cast<unsigned char>(text[at]);
        const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (length > text.size() - at) return at;
        const auto* bytes = reinterpret_cast<const unsigned char*>(text.data()) + at;
        if (length > 1 && !Poco::UTF8Encoding::isLegal(bytes, static_cast<int>(length))) return at;
        at += length;
    }
    return at;
}

// RapidJSON 1.1 decodes a lone low surrogate ("\udc00") to three bytes that are no UTF-8.
bool has_surrogate(std::string_view text) {
    for (size_t at = text.find('\xed'); at != std::string_view::npos; at = text.find('\xed', at + 1)) {
        if (at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) >= 0xa0) return true;
    }
    return false;
}

// Bytes that Poco takes for an object, a list and a value of either, with malloc()'s part.
constexpr size_t object_cost = 900, array_cost = 200, value_cost = 100;
// What a document may take. Backends with two pulses, or with one whose options stand in "args", need 48
// times their text where that has no blanks; lists of nothing but "0" 50 times, of "[]" and "{}" far more. Up
// to the floor it is not worth a refusal.
constexpr size_t memory_limit(size_t text) {
    return std::max(size_t{192} << 20, 49 * text);
}

class Builder {
  public:
    explicit Builder(size_t memory) : left_(memory) {}

    using Ch = char;
    using Size = rapidjson::SizeType;

    bool Null() { return put(Var()); }
    bool Bool(bool b) { return put(Var(b)); }
    bool RawNumber(const char* s, Size n, bool) {
        std::optional<Var> value = number({s, n});
        if (!value) return refuse("a number is out of range");
        return put(*value);
    }
    bool String(const char* s, Size n, bool) {
        const std::string_view text(s, n);
        if (!well_formed(text)) return false;
        return put(Var(std::string(text)));
    }
    bool Key(const char* s, Size n, bool) {
        const std::string_view text(s, n);
        if (!well_formed(text)) return false;
        Frame& frame = stack_.back();
        frame.key = text;
        if (frame.object->has(frame.key)) return refuse("the member \"" + frame.key + "\" is there twice");
        return true;
    }
    bool StartObject() { return spend(object_cost) && push({new Poco::JSON::Object, nullptr, {}}); }
    bool StartArray() { return spend(array_cost) && push({nullptr, new Poco::JSON::Array, {}}); }
    bool EndObject(Size) { return pop(); }
    bool EndArray(Size) { return pop(); }
    // Never called: kParseNumbersAsStringsFlag sends all numbers to RawNumber.
    bool Int(int) { return false; }
    bool Uint(unsigned) { return false; }
    bool Int64(int64_t) { return false; }
    bool Uint64(uint64_t) { return false; }
    bool Double(double) { return false; }

    const std::string& refusal() const { return refusal_; }
    bool too_large() const { return left_ == 0; }
    const Var& root() const { return root_; }

  private:
    struct Frame {
        Poco::JSON::Object::Ptr object;
        Poco::JSON::Array::Ptr array;
        std::string key;
    };

    bool refuse(std::string why) {
        refusal_ = std::move(why);
        return false;
    }
    bool spend(size_t bytes) {
        left_ -= std::min(left_, bytes);
        return left_ > 0 ||
               refuse("it would take too much memory: it consists of very many, very small values");
    }
    bool well_formed(std::string_view text) {
        if (has_surrogate(text)) return refuse("a \\u escape is half of a surrogate pair");
        if (text.find('\0') != std::string_view::npos) return refuse("\\u0000 is not accepted in texts");
        return true;
    }
    bool push(Frame frame) {
        if (stack_.size() == max_levels) {
            return refuse("it is nested more than " + std::to_string(max_levels) + " levels deep");
        }
        stack_.push_back(std::move(frame));
        return true;
    }
    bool pop() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        return put(frame.object ? Var(frame.object) : Var(frame.array));
    }
    bool put(const Var& value) {
        if (!spend(value_cost)) return false;
        if (stack_.empty()) {
            root_ = value;
        } else if (Frame& frame = stack_.back(); frame.object) {
            frame.object->set(frame.key, value);
        } else {
            frame.array->add(value);
        }
        return true;
    }

    size_t left_;  // of the memory that it may take
    std::vector<Frame> stack_;
    Var root_;
    std::string refusal_;
};

tl::unexpected<Error> not_json(std::string_view text, size_t offset, std::string_view why) {
    const std::string_view before = text.substr(0, std::min(offset, text.size()));
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    return fail(Errc::invalid, "this is not JSON as RFC 8259 has it: at line " + std::to_string(line) +
                                   ", column " + std::to_string(before.size() - line_start + 1) + ": " +
                                   std::string(why));
}

}  // namespace

Result<Var> parse_json(std::string_view text) {
    // The reader takes NUL for the end of the text.
    if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
        return not_json(text, nul, "there is a NUL byte");
    }
    // Here and not by the reader, which reads beyond the text where that ends within a character.
    if (const size_t at = first_bad_utf8(text); at != text.size())
        return not_json(text, at, "this is not UTF-8");
    // In place in a copy of the text: quicker than the reader's stack of characters, and that one's growth
    // from nothing is undefined behaviour (json.h).
    constexpr unsigned flags = rapidjson::kParseInsituFlag | rapidjson::kParseNumbersAsStringsFlag;
    std::string copy(text);
    rapidjson::InsituStringStream stream(copy.data());
    rapidjson::Reader reader;
    Builder builder(memory_limit(text.size()));
    const rapidjson::ParseResult result = reader.Parse<flags>(stream, builder);
    if (result) return Result<Var>(tl::in_place, builder.root());
    const std::string& own = builder.refusal();
    if (builder.too_large()) return fail(Errc::too_large, "this document is refused: " + own);
    return not_json(text, result.Offset(), own.empty() ? rapidjson::GetParseError_En(result.Code()) : own);
}

Result<Poco::JSON::Object::Ptr> parse_json_object(std::string_view text) {
    auto value = parse_json(text);
    if (!value) return fail(std::move(value.error()));
    if (value->type() != typeid(Poco::JSON::Object::Ptr)) {
        return fail(Errc::invalid, "the document must be a JSON object, {...}");
    }
    return value->extract<Poco::JSON::Object::Ptr>();
}

}  // namespace gorb::base
