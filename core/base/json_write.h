// Streamed writing of JSON: texts and numbers as RapidJSON's Writer writes them.
//
// What goes in front of a name or value is known from what was written last, so there is no stack of levels:
// a list of 10,000 backends is 800,000 names and values, and each had to ask it.
#pragma once
#include <array>
#include <cassert>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gorb::base {

// Where a JsonWriter writes: appends to a std::string, in pieces. The writer flushes when the outermost value
// is complete.
class StringSink {
  public:
    explicit StringSink(std::string& out) : out_(&out) {}
    ~StringSink() { flush(); }
    StringSink(const StringSink&) = delete;
    StringSink& operator=(const StringSink&) = delete;

    static constexpr size_t piece = 1024;
    // Where the next `most` bytes, at most a piece, may be written. wrote() says where they ended.
    char* reach(size_t most) {
        if (most > piece - used_) flush();
        return piece_.data() + used_;
    }
    void wrote(const char* end) { used_ = static_cast<size_t>(end - piece_.data()); }
    void append(std::string_view text) {
        flush();
        *out_ += text;
    }
    void flush();

  private:
    std::string* out_;
    size_t used_ = 0;
    std::array<char, piece> piece_;
};

// It is the caller's to give names and values in an order that makes sense, and each level its end.
class JsonWriter {
  public:
    explicit JsonWriter(StringSink& out) : out_(&out) {}

    void StartObject() { open('{'); }
    void EndObject() { close('}'); }
    void StartArray() { open('['); }
    void EndArray() { close(']'); }

    // Of a member, whose value comes next.
    void name(std::string_view text) {
        quoted(text);
        put(':');
        before_ = 0;
    }
    // One that stands in the program, and needs no escape.
    template <size_t size>
    void name(const char (&text)[size]) {
        static_assert(size + 3 <= StringSink::piece);
        assert(depth_ > 0 && plain({text, size - 1}));
        char* at = begin(size + 3);
        *at++ = '"';
        std::memcpy(at, text, size - 1);
        at += size - 1;
        *at++ = '"';
        *at++ = ':';
        out_->wrote(at);
        before_ = 0;
    }

    void text(std::string_view text) {
        quoted(text);
        end();
    }
    void Null() { raw("null"); }
    void Bool(bool value) { value ? raw("true") : raw("false"); }
    void Int(int number) { whole(number); }
    void Uint(unsigned number) { whole(number); }
    void Int64(int64_t number) { whole(number); }
    void Uint64(uint64_t number) { whole(number); }
    void Double(double number);  // JSON has no words for what is not finite: null
    // JSON text, as it is.
    void raw(std::string_view json);

    // The outermost value has been written, to its end.
    bool IsComplete() const { return depth_ == 0 && before_ == ','; }

  private:
    // Where to write up to `most` bytes, behind what has to be in front of them.
    char* begin(size_t most) {
        char* at = out_->reach(most + 1);
        *at = before_;
        return at + (before_ != 0);
    }
    void end() {
        before_ = ',';
        if (depth_ == 0) out_->flush();
    }
    void put(char c) {
        char* at = out_->reach(1);
        *at = c;
        out_->wrote(at + 1);
    }
    void open(char bracket) {
        char* at = begin(1);
        *at = bracket;
        out_->wrote(at + 1);
        before_ = 0;
        ++depth_;
    }
    void close(char bracket) {
        assert(depth_ > 0);
        put(bracket);
        --depth_;
        end();
    }
    template <class Number>
    void whole(Number number) {
        constexpr size_t most = 20;  // of 64 bits, with a sign
        char* at = begin(most);
        out_->wrote(std::to_chars(at, at + most, number).ptr);
        end();
    }
    // One in which nothing has to be escaped, as nearly all, goes in whole.
    void quoted(std::string_view text) {
        if (text.size() + 3 > StringSink::piece || !plain(text)) {
            escaped(text);
            return;
        }
        char* at = begin(text.size() + 2);
        *at++ = '"';
        if (!text.empty()) std::memcpy(at, text.data(), text.size());
        at += text.size();
        *at++ = '"';
        out_->wrote(at);
    }
    void escaped(std::string_view text);

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

    StringSink* out_;
    char before_ = 0;  // the next name or value: ',' or nothing
    uint32_t depth_ = 0;
};

// Members and values by string_view.
inline void key(JsonWriter& w, std::string_view name) {
    w.name(name);
}
template <size_t size>
void key(JsonWriter& w, const char (&name)[size]) {
    w.name(name);
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
