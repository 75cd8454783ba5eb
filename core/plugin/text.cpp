#include "plugin/text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace gorb::plugin {
namespace {

// Length of the UTF-8 character that `text` begins with (RFC 3629), 0 when there is none.
size_t character(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto follows = [&](size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
        return i < text.size() && byte(i) >= low && byte(i) <= high;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        // E0: nothing that fits in two bytes. ED: no surrogates.
        const bool second = follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
        return second && follows(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool second = follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
        return second && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

// Of C0 and DEL, or of C1, U+0080 to U+009F, which terminals obey as well.
bool control(std::string_view one) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(one[i]); };
    if (one.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
    return one.size() == 2 && byte(0) == 0xc2 && byte(1) < 0xa0;
}

// Printable ASCII only; eight at a time, since nearly every check brings such a text.
bool plain(std::string_view text) {
    constexpr uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
    uint64_t odd = 0;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
        uint64_t x = 0;
        std::memcpy(&x, text.data() + at, sizeof x);
        // Below 0x20 the first borrows, 0x7f carries in the second; what is above is odd as it is.
        odd |= (x - 0x20 * ones) | (x + ones) | x;
    }
    for (; at < text.size(); ++at) {
        const auto c = static_cast<unsigned char>(text[at]);
        if (c < 0x20 || c >= 0x7f) return false;
    }
    return (odd & high) == 0;
}

}  // namespace

void clean_text(std::string_view text, size_t limit, std::string& out) {
    if (text.size() <= limit && plain(text)) {
        out.assign(text);
        return;
    }
    out.clear();
    while (!text.empty() && out.size() < limit) {
        const size_t size = character(text);
        if (out.size() + size > limit) return;
        if (size == 0) {
            out += '?';
        } else if (control(text.substr(0, size))) {
            out += ' ';
        } else {
            out.append(text.substr(0, size));
        }
        text.remove_prefix(std::max<size_t>(size, 1));
    }
}

std::string clean_text(std::string_view text, size_t limit) {
    std::string out;
    clean_text(text, limit, out);
    return out;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const size_t size = character(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string text_of(const char* text, size_t limit) {
    return text ? clean_text({text, strnlen(text, limit)}, limit) : std::string();
}

std::string words_of(const gorb_error& error, const std::string& otherwise) {
    std::string words = text_of(error.text, sizeof error.text);
    return words.empty() ? otherwise : words;
}

void explain(gorb_error* out, std::string_view words) {
    if (!out) return;
    const std::string cut = clean_text(words, sizeof out->text - 1);
    std::memcpy(out->text, cut.c_str(), cut.size() + 1);
}

}  // namespace gorb::plugin
