// Any bytes as the reply to an HTTP check, cut anywhere: nothing crashes, no more is consumed than was there,
// and the cuts do not change what a complete head means.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "reply.h"

namespace {

using pulse_http::ReplyReader;
using State = ReplyReader::State;

void check(bool good) {
    if (!good) std::abort();
}

void check_state(const ReplyReader& reader) {
    check((reader.state() == State::bad) == !reader.problem().empty());
    check((reader.state() == State::done) == (reader.status() != 0));
    for (const std::string& text : {reader.location(), reader.problem()}) {
        check(text.size() < 256);
        for (const char c : text) check(c >= 0x20 && c < 0x7f);
    }
}

}  // namespace

// The first byte says how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const size_t piece = data[0] % 64 + 1;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

    ReplyReader whole;
    check(whole.feed(bytes) <= bytes.size());
    check_state(whole);

    ReplyReader pieces;
    std::string waiting;
    for (size_t at = 0; at < bytes.size(); at += piece) {
        waiting += bytes.substr(at, piece);
        const size_t used = pieces.feed(waiting);
        check(used <= waiting.size());
        waiting.erase(0, used);
        check_state(pieces);
    }
    check((whole.state() == State::done) == (pieces.state() == State::done));
    if (whole.state() == State::done) {
        check(whole.status() == pieces.status() && whole.location() == pieces.location());
        pulse_http::judge(whole.status(), whole.location(), pulse_http::Expectation::parse("200-399"));
    }
    return 0;
}
