// The byte order mark (U+FEFF) that some editors begin UTF-8 with: a file means the same with and without it.
#pragma once
#include <string>
#include <string_view>

namespace gorb::app {

inline std::string without_byte_order_mark(std::string text) {
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    if (text.starts_with(mark)) text.erase(0, mark.size());
    return text;
}

}  // namespace gorb::app
