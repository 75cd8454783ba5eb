// Files of text that people write.
#pragma once
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace gorb::app {

// All of it, without the byte order mark (U+FEFF) that some editors begin UTF-8 with. nullopt: it can not be
// read, or not to its end, as a folder; that is not the same as a file with nothing in it.
inline std::optional<std::string> text_of_file(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string text;
    std::array<char, 16384> part;
    while (stream.read(part.data(), part.size()) || stream.gcount() > 0)
        text.append(part.data(), static_cast<size_t>(stream.gcount()));
    if (!stream.eof() || stream.bad()) return std::nullopt;
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    if (text.starts_with(mark)) text.erase(0, mark.size());
    return text;
}

}  // namespace gorb::app
