#include "plugin/text.h"

#include <algorithm>
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

}  // namespace

void clean_text(std::string_view text, size_t limit, std::string& out) {
    const bool plain =
        text.size() <= limit && std::all_of(text.begin(), text.end(), [](char c) {
            return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f;
        });
    if (plain) {
        out.assign(text);
        return;
    }
    out.clear();
    while (!text.empty() && out.size() < limit) {
        const size_t size = character(text);
        if (out.size() + size > limit) return;
        if (size == 0) {
            out += '?';
        } else if (size == 1 && (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7f)) {
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
