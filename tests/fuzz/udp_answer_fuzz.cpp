// Any bytes as the options of a UDP check, and any others as the datagram that comes back: nothing crashes,
// what is refused has words, and every answer gets a verdict in printable words; only one that has what is
// expected passes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "exchange.h"

namespace {

using gorb::sdk::Verdict;
using pulse_match::RawStep;
using pulse_udp::Exchange;

void check(bool good) {
    if (!good) std::abort();
}

void check_words(const std::string& words) {
    check(!words.empty() && words.size() < 256);
    for (const char c : words) check(c >= 0x20 && c < 0x7f);
}

// Up to a NUL, which it takes with it.
std::string_view part(std::string_view& rest) {
    const std::string_view text = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
    return text;
}

}  // namespace

// The first byte has a bit for each option that is given; then what to send and what to expect, each up to a
// NUL, and the datagram.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const unsigned given = data[0];
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string_view send = part(rest), expect = part(rest);
    const auto option = [given](unsigned bit, std::string_view text) {
        return given & bit ? RawStep::Words(text) : std::nullopt;
    };
    Exchange exchange;
    try {
        exchange.step = RawStep{option(1, send), option(2, send), option(4, expect), option(8, expect),
                                option(16, expect)}
                            .read();
    } catch (const gorb::sdk::Error& e) {
        check(*e.what() != '\0');
        return 0;
    }
    check(exchange.step.send.size() <= pulse_match::Step::most_sent);

    const std::string datagram(rest);  // of its own size, for ASan
    const auto result = exchange.judge(datagram);
    check(result.verdict == Verdict::pass || result.verdict == Verdict::fail);
    check_words(result.detail);
    check(result.share <= 100 && (result.share == 100 || (given & 16) != 0));
    if (!result.warning.empty()) check_words(result.warning);
    if (!exchange.step.expect) check(result.verdict == Verdict::pass);
    if ((given & 4) != 0 && expect.find('\\') == std::string_view::npos)
        check((result.verdict == Verdict::pass) == (datagram.find(expect) != std::string::npos));
    return 0;
}
