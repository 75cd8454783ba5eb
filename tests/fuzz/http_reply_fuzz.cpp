// Any bytes as the replies to HTTP checks on one connection, cut anywhere: nothing crashes, no more is
// consumed than was there, no more is kept than the limit, and the cuts do not change what complete replies
// mean. What the short way (quick.h) takes, the reader takes as well and understands the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "expect.h"
#include "judge.h"
#include "quick.h"
#include "reply.h"

namespace {

using pulse_http::HeaderRules;
using pulse_http::ReplyReader;
using State = ReplyReader::State;

void check(bool good) {
    if (!good) std::abort();
}

bool printable(const std::string& text) {
    for (const char c : text)
        if (c < 0x20 || c >= 0x7f) return false;
    return text.size() < 256;
}

void check_state(const ReplyReader& reader, const ReplyReader::Wanted& wanted) {
    const State state = reader.state();
    check((state == State::bad) == !reader.problem().empty());
    check(state == State::bad || (state == State::head) == !reader.head_complete());
    check(reader.head_complete() == (reader.status() != 0));
    check(printable(reader.location()) && printable(reader.problem()));
    check(reader.body().size() <= (wanted.keep_body ? wanted.body_limit : 0));
    check(!(reader.reusable() && (state != State::done || reader.cut())));
}

void judge(const ReplyReader& reader, const ReplyReader::Wanted& wanted, const HeaderRules& rules,
           const pulse_http::BodyRules& body_rules) {
    static const auto expected = pulse_http::Expectation::parse("200-399");
    static const HeaderRules none;
    if (!reader.head_complete()) return;
    const auto judged = pulse_http::judge_head(reader, expected, wanted.headers ? rules : none);
    check(judged.pass <= expected.accepts(reader.status()));
    check(printable(judged.words));
    if (!wanted.keep_body) return;
    const auto body = pulse_http::judge_body(reader, body_rules, wanted.body_limit);
    check(printable(body.broken) && printable(body.share.warning) && body.share.percent <= 100);
}

void compare_with_quick(std::string_view bytes, size_t limit) {
    const auto quick = pulse_http::QuickReply::read(bytes, limit);
    if (quick.status == 0) return;
    ReplyReader reader;
    ReplyReader::Wanted wanted;
    wanted.body_limit = limit;
    reader.begin(wanted);
    reader.feed(bytes);
    check(reader.state() == State::done && !reader.cut());
    check(reader.status() == quick.status && quick.size <= bytes.size());
    check(reader.server_closes() == quick.closes);
    check(reader.reusable() == (!quick.closes && quick.size == bytes.size()));
}

// What is between two of these is one reply, and what the server sends before the next request.
constexpr std::string_view between("\0\n", 2);

}  // namespace

// The first byte says how the rest is cut, the second what is wanted of the replies.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const auto rules =
        HeaderRules::parse(R"({"X-Ready": "yes", "Server": {"regex": "^n"}, "ETag": false})");
    static const pulse_http::BodyRules body_rules{
        pulse_http::Regex::compile("(?s)o(?P<share>.*)k", "the fuzzer's"),
        pulse_http::Regex::compile("(?i)error", "the fuzzer's")};
    if (size < 2) return 0;
    const size_t piece = data[0] % 64 + 1;
    ReplyReader::Wanted wanted;
    wanted.to_head = (data[1] & 1U) != 0;
    wanted.keep_body = (data[1] & 2U) != 0;
    wanted.headers = (data[1] & 4U) != 0 ? &rules : nullptr;
    wanted.body_limit = (data[1] & 8U) != 0 ? 16 : 4096;
    std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);

    ReplyReader whole, pieces;
    for (bool again = true; again;) {
        const size_t end = rest.find(between);
        const std::string_view bytes = rest.substr(0, end);
        rest = end == std::string_view::npos ? "" : rest.substr(end + between.size());

        compare_with_quick(bytes, wanted.body_limit);
        whole.begin(wanted);
        check(whole.feed(bytes) <= bytes.size());
        check_state(whole, wanted);

        pieces.begin(wanted);
        std::string waiting;
        for (size_t at = 0; at < bytes.size(); at += piece) {
            waiting += bytes.substr(at, piece);
            const size_t used = pieces.feed(waiting);
            check(used <= waiting.size());
            waiting.erase(0, used);
            check_state(pieces, wanted);
        }
        again = whole.reusable() && !rest.empty();
        check(whole.reusable() == pieces.reusable());
        whole.end();
        pieces.end();
        check((whole.state() == State::done) == (pieces.state() == State::done));
        if (whole.state() == State::done) {
            check(whole.status() == pieces.status() && whole.location() == pieces.location());
            check(whole.body() == pieces.body() && whole.cut() == pieces.cut());
            check(rules.broken(whole.seen().empty() ? std::vector<HeaderRules::Seen>(rules.size())
                                                    : whole.seen()) ==
                  rules.broken(pieces.seen().empty() ? std::vector<HeaderRules::Seen>(rules.size())
                                                     : pieces.seen()));
        }
        judge(whole, wanted, rules, body_rules);
        judge(pieces, wanted, rules, body_rules);
    }
    return 0;
}
