// Strict reading of small JSON documents into Poco::JSON's values, and streamed writing of any (RapidJSON's
// Writer).
//
// Reading collects every fault with its RFC 6901 pointer instead of stopping at the first.
//
// The text is read by RapidJSON's Reader, not by Poco's Parser: Poco 1.11 takes the last of two members with
// one name, reads 18446744073709551616 as 0 and -9223372036854775809 as -9223372036854775808, and tells its
// caller nothing of it.
#pragma once
#include <Poco/JSON/Object.h>
#include <rapidjson/writer.h>

#include <array>
#include <cassert>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gorb::base {

// RFC 8259, nothing more lenient: no comments, no duplicate keys, no trailing text, UTF-8 only, at most 32
// levels, no NUL in texts (as section 9 allows). Whole numbers are Poco::Int64 where they fit, else
// Poco::UInt64, else a fault; others are double. A whole one up to 2^53 is kept as the integer it is (5.0 as
// 5). Errc::invalid with the place of the fault in words.
Result<Poco::Dynamic::Var> parse_json(std::string_view text);
// The same, and the outermost value must be an object.
Result<Poco::JSON::Object::Ptr> parse_json_object(std::string_view text);

// JSON text of a parsed value with sorted keys and no spaces: equal values have equal texts.
std::string canonical_json(const Poco::Dynamic::Var& value);

// "~" and "/" escaped as RFC 6901 wants a token.
std::string pointer_token(std::string_view token);

// Reads the members of one object. Each getter takes a member; a wrong type or value is a fault and gives
// nullopt, as an absent member does. JSON null counts as wrong. finish() makes a fault of every member not
// asked for.
class ObjectReader {
  public:
    // `pointer` is where the object stands, "" for the document. `faults` must outlive the reader.
    ObjectReader(Poco::JSON::Object::Ptr object, std::string pointer, std::vector<Fault>& faults);

    bool has(std::string_view name) const { return find(name) != nullptr; }
    std::optional<std::string> text(std::string_view name);
    std::optional<bool> boolean(std::string_view name);
    // A JSON number without fraction (5.0 has none) within the range; `min..max` is named in the fault.
    std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
    std::optional<ObjectReader> object(std::string_view name);
    // Reads element `index` of the array that is member `name`.
    ObjectReader element(std::string_view name, size_t index, Poco::JSON::Object::Ptr object);
    // Whatever it is, for as long as the document lives; nullptr if there is none.
    const Poco::Dynamic::Var* any(std::string_view name);
    // Names of members not asked for so far, sorted.
    std::vector<std::string> rest() const;

    void fault(std::string_view name, std::string what);  // at member `name` of this object
    std::string pointer_to(std::string_view name) const;
    // `known` completes the sentence: "is not known here; known are: address, port"
    void finish();

    std::vector<Fault>& faults() { return *faults_; }

  private:
    struct Member {
        const std::string* name;
        const Poco::Dynamic::Var* value;
        bool asked = false;
    };
    const Member* find(std::string_view name) const;
    std::set<std::string_view> known() const;

    Poco::JSON::Object::Ptr object_;
    std::vector<Member> members_;  // of object_, by name
    std::string pointer_;
    std::vector<Fault>* faults_;
    std::string asked_;  // every name, there or not, each with a NUL behind it
};

// The one Error for collected faults: names the first field in its sentence, holds all of them.
Error faults_error(std::vector<Fault> faults);

// Where a JsonWriter writes: appends to a std::string, in pieces: character by character it costs more than
// all the rest. The writer flushes when the outermost value is complete.
class StringSink {
  public:
    using Ch = char;
    explicit StringSink(std::string& out) : out_(&out) {}
    ~StringSink() { Flush(); }
    StringSink(const StringSink&) = delete;
    StringSink& operator=(const StringSink&) = delete;
    void Put(char c) {
        if (used_ == piece_.size()) Flush();
        piece_[used_++] = c;
    }
    void Flush() {
        out_->append(piece_.data(), used_);
        used_ = 0;
    }
    // With `before` in front of it (none: 0), and in quotes.
    void quoted(char before, std::string_view text) {
        if (text.size() + 3 > piece_.size() - used_) Flush();
        if (text.size() + 3 > piece_.size()) {
            if (before) *out_ += before;
            ((*out_ += '"') += text) += '"';
            return;
        }
        char* at = piece_.data() + used_;
        *at = before;
        at += before != 0;
        *at++ = '"';
        if (!text.empty()) std::memcpy(at, text.data(), text.size());
        at += text.size();
        *at++ = '"';
        used_ = static_cast<size_t>(at - piece_.data());
    }
    template <class Number>
    void digits(Number number) {
        constexpr size_t most = 20;  // of 64 bits, with a sign
        if (most > piece_.size() - used_) Flush();
        char* at = piece_.data() + used_;
        used_ += static_cast<size_t>(std::to_chars(at, at + most, number).ptr - at);
    }

  private:
    std::string* out_;
    size_t used_ = 0;
    std::array<char, 1024> piece_;
};
class JsonWriter : public rapidjson::Writer<StringSink> {
  public:
    using Writer::Writer;
    using LevelType = Level;  // what it keeps for each level it is in

    // A text within an object or array. One in which nothing has to be escaped, as nearly all, goes in whole:
    // character by character it was two fifths of a large list's cost.
    void text(std::string_view text) {
        if (level_stack_.Empty() || !plain(text)) {
            String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
            return;
        }
        os_->quoted(separator(), text);
    }
    // A name that stands in the program, and needs no escape.
    template <size_t size>
    void literal(const char (&name)[size]) {
        assert(!level_stack_.Empty() && plain({name, size - 1}));
        os_->quoted(separator(), {name, size - 1});
    }
    // The Writer's own put one character after the other.
    void Int(int number) { whole(number); }
    void Uint(unsigned number) { whole(number); }
    void Int64(int64_t number) { whole(number); }
    void Uint64(uint64_t number) { whole(number); }

  private:
    template <class Number>
    void whole(Number number) {
        Prefix(rapidjson::kNumberType);
        os_->digits(number);
        if (level_stack_.Empty()) os_->Flush();
    }
    // Counts a name or value of the present level, as Prefix() does, and says what goes in front of it.
    char separator() {
        Level& level = *level_stack_.Top<Level>();
        const size_t before = level.valueCount++;
        if (before == 0) return 0;
        return level.inArray || before % 2 == 0 ? ',' : ':';
    }
    // Whether no byte is below 0x20, a quote or a backslash: eight at a time.
    static bool plain(std::string_view text) {
        const auto word = [&](size_t at, auto w) {
            std::memcpy(&w, text.data() + at, sizeof w);
            return static_cast<uint64_t>(w);
        };
        constexpr size_t wide = sizeof(uint64_t), half = sizeof(uint32_t);
        if (text.size() >= wide) {
            uint64_t found = special(word(text.size() - wide, uint64_t{}));
            for (size_t at = 0; at + wide < text.size(); at += wide) found |= special(word(at, uint64_t{}));
            return found == 0;
        }
        if (text.size() >= half)
            return special(word(0, uint32_t{}) << 32 | word(text.size() - half, uint32_t{})) == 0;
        uint64_t few = ~uint64_t{0};
        for (const char c : text) few = few << 8 | static_cast<unsigned char>(c);
        return special(few) == 0;
    }
    // Not 0 if one of the eight is. Of a byte of 0x80 and above, which never is, the last factor speaks.
    static uint64_t special(uint64_t bytes) {
        constexpr uint64_t each = 0x0101010101010101;
        const auto below = [](uint64_t of, uint64_t n) { return of - each * n; };
        const auto equal = [&](char c) { return below(bytes ^ each * static_cast<unsigned char>(c), 1); };
        return (below(bytes, 0x20) | equal('"') | equal('\\')) & ~bytes & each * 0x80;
    }
};

}  // namespace gorb::base

// RapidJSON 1.1 asks whether its stack has room by adding to a pointer that is null at first, which is
// undefined behaviour and ends a program built with UBSan. The same question, by subtraction.
template <>
template <>
inline void rapidjson::internal::Stack<rapidjson::CrtAllocator>::Reserve<gorb::base::JsonWriter::LevelType>(
    size_t count) {
    constexpr size_t size = sizeof(gorb::base::JsonWriter::LevelType);
    if (static_cast<size_t>(stackEnd_ - stackTop_) < size * count)
        Expand<gorb::base::JsonWriter::LevelType>(count);
}

namespace gorb::base {

// Members and values by string_view.
inline void key(JsonWriter& w, std::string_view name) {
    w.text(name);
}
template <size_t size>
void key(JsonWriter& w, const char (&name)[size]) {
    w.literal(name);
}
inline void value(JsonWriter& w, std::string_view text) {
    w.text(text);
}
template <class Name>
void member(JsonWriter& w, const Name& name, std::string_view text) {
    key(w, name);
    value(w, text);
}
template <class Name>
void member(JsonWriter& w, const Name& name, uint64_t number) {
    key(w, name);
    w.Uint64(number);
}

}  // namespace gorb::base
