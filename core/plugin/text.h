// Words that come from foreign code, made fit for our own logs and answers.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "gorb/abi.h"

namespace gorb::plugin {

// At most `limit` bytes, cut at the end of a character; bytes that are no UTF-8 become "?", control
// characters spaces.
std::string clean_text(std::string_view text, size_t limit);
// The same into a string that keeps its memory.
void clean_text(std::string_view text, size_t limit, std::string& out);

bool is_utf8(std::string_view text);

// Of a gorb_str that may be anything: a NULL pointer is an empty text.
inline std::string_view view(gorb_str text) {
    return text.ptr ? std::string_view(text.ptr, text.len) : std::string_view();
}
// Of a C string that may be NULL; looks no further than `limit` bytes.
std::string text_of(const char* text, size_t limit = 1024);
// What a call has explained; `otherwise` when it has not.
std::string words_of(const gorb_error& error, const std::string& otherwise);
// Explains: cut at the end of a character where it is too long. `out` may be NULL.
void explain(gorb_error* out, std::string_view words);

}  // namespace gorb::plugin
