// Any bytes as what a program wrote, with any end, and as its arguments: the words for the operator are valid
// UTF-8 on one line and never long, and no argument grows out of what it was made from.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "arguments.h"
#include "output.h"

namespace {

void check(bool good) {
    if (!good) std::abort();
}

// Strict UTF-8 by decoding and encoding again, which is another way than the one under test.
bool is_utf8(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const auto byte = [&](size_t i) -> uint32_t {
            return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
        };
        const uint32_t lead = byte(0);
        const size_t size = lead < 0x80         ? 1
                            : (lead >> 5) == 6  ? 2
                            : (lead >> 4) == 14 ? 3
                            : (lead >> 3) == 30 ? 4
                                                : 0;
        if (size == 0) return false;
        uint32_t point = size == 1 ? lead : lead & (0x7Fu >> size);
        for (size_t i = 1; i < size; ++i) {
            if ((byte(i) >> 6) != 2) return false;
            point = point << 6 | (byte(i) & 0x3Fu);
        }
        const size_t shortest = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        if (size != shortest || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
        at += size;
    }
    return true;
}

void check_words(const std::string& words, size_t most) {
    check(words.size() <= most && is_utf8(words));
    for (const char c : words) check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

void check_arguments(std::string_view json) {
    std::vector<std::string> texts;
    try {
        texts = pulse_exec::read_arguments(json);
    } catch (const gorb::sdk::Error& e) {
        check(*e.what() != '\0');
        return;
    }
    check(texts.size() <= pulse_exec::most_arguments);
    const pulse_exec::Values values = {
        {"address", "::1"}, {"backend", "{port}"}, {"family", "6"}, {"port", "1"}, {"service", "s"}};
    for (const std::string& text : texts) {
        const std::string full = pulse_exec::filled(text, values);
        check(full.find('\0') == std::string::npos);
        check(full.size() <= text.size());  // no value here is longer than its placeholder
        if (text.find('{') == std::string::npos) check(full == text);
    }
}

}  // namespace

// The first byte is the exit status or the signal.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string line = pulse_exec::first_line(bytes);
    check_words(line, pulse_exec::most_line);
    check(line.empty() || (line.front() != ' ' && line.find('\n') == std::string::npos));
    for (const bool by_signal : {false, true}) {
        const pulse_exec::End end =
            by_signal ? pulse_exec::End{0, data[0] % 64 + 1} : pulse_exec::End{data[0], 0};
        const auto result = pulse_exec::judge(end, bytes, {data[0] % 2 == 0, data[0] % 3 == 0});
        check(!result.detail.empty());
        check_words(result.detail, pulse_exec::most_line + 64);
        check_words(result.warning, pulse_exec::most_line + 192);  // and of the share
        check(result.share == 100 || (result.share < 100 && result.verdict == gorb::sdk::Verdict::pass));
        if (by_signal) check(result.verdict == gorb::sdk::Verdict::fail);
    }
    check_arguments(bytes);
    return 0;
}
