// Any bytes as what a server sends on an HTTP/2 connection, cut anywhere, over two calls: nothing crashes,
// memory and words are bounded, and only a SERVING passes. Also any bytes as the message of an answer.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "session.h"

namespace {

using pulse_grpc::Judgement;
using pulse_grpc::Outcome;
using pulse_grpc::Session;

void check(bool good) {
    if (!good) std::abort();
}
void check_words(const std::string& words) {
    check(!words.empty() && words.size() < 256);
    for (const char c : words) check(c >= 0x20 && c < 0x7f);
}

void check_session(Session& session) {
    const Outcome& outcome = session.outcome();
    check(outcome.body.size() <= pulse_grpc::most_body);
    check(outcome.grpc_message.size() <= 512 && outcome.content_type.size() <= 128);
    if (!session.problem().empty()) {
        check_words(session.problem());
        check(!session.usable());
    }
    if (!session.ended()) return;
    const Judgement judged = pulse_grpc::judge(outcome, "web");
    check_words(judged.words);
    check(judged.pass ==
          (outcome.grpc_status == 0 && pulse_grpc::decode_response(outcome.body) == uint64_t{1}));
}

}  // namespace

// The first byte says how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const size_t piece = data[0] % 64 + 1;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    pulse_grpc::decode_response(bytes);

    const std::string message = pulse_grpc::encode_request("web");
    const Session::Request request = {"http", "web.example:50051", message, "gorb"};
    Session session;
    session.call(request);
    check(session.output().size() < 1024);
    int calls = 1;
    for (size_t at = 0; at < bytes.size() && session.problem().empty(); at += piece) {
        session.feed(bytes.substr(at, piece));
        check(session.output().size() < 4096);
        check_session(session);
        if (session.ended() && session.usable() && calls < 3) {
            session.call(request);
            session.output();
            ++calls;
        }
    }
    return 0;
}
