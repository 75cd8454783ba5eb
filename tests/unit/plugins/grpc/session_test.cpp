#include "session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpc/frames.h"

namespace pulse_grpc {
namespace {

using namespace plugin_test::h2;  // NOLINT: the frames' names are many
using testing::HasSubstr;
using testing::StartsWith;

struct Client : Session {
    Client() { ask(); }
    std::string ask() {
        call({"http", "web.example:50051", message_, "gorb"});
        return output();
    }
    void feed_all(const std::string& bytes, size_t piece = 1 << 20) {
        for (size_t at = 0; at < bytes.size(); at += piece) {
            feed(std::string_view(bytes).substr(at, piece));
            sent += output();
        }
    }
    std::string sent;

  private:
    const std::string message_ = encode_request("web");
};

TEST(GrpcMessage, IsFramedProtobuf) {
    EXPECT_EQ(encode_request(""), std::string(5, '\0'));
    EXPECT_EQ(encode_request("web"), std::string("\0\0\0\0\5\x0a\3web", 10));
    EXPECT_EQ(encode_request(std::string(200, 'x')).substr(0, 8), std::string("\0\0\0\0\xcb\x0a\xc8\x01", 8));
}

TEST(GrpcMessage, AnAnswersStatusIsReadAndOtherFieldsAreSkipped) {
    const auto read = [](const std::string& message) {
        return decode_response(std::string(4, '\0') + static_cast<char>(message.size()) + message);
    };
    EXPECT_EQ(read(std::string("\x08\x01")), 1u);
    EXPECT_EQ(read(""), 0u) << "protobuf does not send a default";
    EXPECT_EQ(read(std::string("\x1a\2ab\x25zzzz\x11zzzzzzzz\x08\x02\x38\x96\x01")), 2u);
    EXPECT_EQ(read(std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), UINT64_MAX);
    for (const std::string& bad :
         {std::string("\x08"), std::string("\x08\x80"), std::string("\x1a\x05zz"), std::string("\x0b"),
          std::string("\0\1", 2), std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")})
        EXPECT_FALSE(read(bad)) << testing::PrintToString(bad);
    EXPECT_FALSE(decode_response(std::string("\1\0\0\0\2\x08\1", 7))) << "compressed";
    EXPECT_FALSE(decode_response(std::string("\0\0\0\0\3\x08\1", 7))) << "cut";
    EXPECT_FALSE(decode_response(std::string("\0\0\0\0\1\x08\1", 7))) << "and more";
}

TEST(GrpcJudge, SaysWhatIsNoGrpc) {
    Outcome outcome;
    outcome.http_status = 503;
    EXPECT_EQ(judge(outcome, "").words, "HTTP status 503, and no grpc-status: no gRPC server?");
    outcome.http_status = 200;
    outcome.content_type = "text/html";
    EXPECT_EQ(judge(outcome, "").words, "no gRPC answer (content type \"text/html\")");
    outcome.content_type = "application/grpc+proto";
    EXPECT_EQ(judge(outcome, "").words, "the answer has no grpc-status");
    outcome.grpc_status = 0;
    EXPECT_EQ(judge(outcome, "").words, "the answer is no HealthCheckResponse");
    outcome.grpc_status = 14;
    outcome.grpc_message = "going%20down%0A";
    EXPECT_EQ(judge(outcome, "").words, "UNAVAILABLE: going down?");
    EXPECT_EQ(judge(outcome, "").code, 14);
}

// Servers that were given the health of their services only.
TEST(GrpcJudge, AServerThatHasNoHealthAsAWholeIsToldFromAServiceThatIsNotThere) {
    Outcome outcome;
    outcome.http_status = 200;
    outcome.grpc_status = 5;
    EXPECT_EQ(judge(outcome, "").words,
              "the server has no health of itself as a whole: name a \"service\" (NOT_FOUND)");
    EXPECT_EQ(judge(outcome, "x").words, "service \"x\" is not known to the server (NOT_FOUND)");
    outcome.grpc_status = 0;
    outcome.body = std::string("\0\0\0\0\2\x08\3", 7);
    EXPECT_EQ(judge(outcome, "").words,
              "the server has no health of itself as a whole: name a \"service\" (SERVICE_UNKNOWN)");
}

TEST(GrpcSession, ACallPassesHoweverTheBytesAreCut) {
    for (const size_t piece : {1u, 7u, 1000u}) {
        Client client;
        client.feed_all(hello + answer(1), piece);
        ASSERT_TRUE(client.ended()) << client.problem();
        EXPECT_TRUE(judge(client.outcome(), "web").pass);
        EXPECT_TRUE(client.usable());
    }
}

TEST(GrpcSession, ManyCallsFollowEachOther) {
    Client client;
    client.feed_all(hello + answer(1));
    for (uint32_t stream = 3; stream < 200; stream += 2) {
        EXPECT_FALSE(client.ask().empty());
        EXPECT_FALSE(client.ended());
        EXPECT_FALSE(client.usable()) << "one call at a time";
        client.feed_all(answer(stream, stream % 4 == 1 ? 1 : 2));
        ASSERT_TRUE(client.ended());
        EXPECT_EQ(judge(client.outcome(), "").pass, stream % 4 == 1) << "nothing is left of the call before";
    }
}

TEST(GrpcSession, AnErrorInTheFirstHeadersIsHeard) {
    Client client;
    client.feed_all(hello + frame(headers, end_headers | end_stream, 1, ok + header("grpc-status", "12")));
    ASSERT_TRUE(client.ended());
    EXPECT_EQ(judge(client.outcome(), "").words, "the server has no grpc.health.v1 (UNIMPLEMENTED)");
}

TEST(GrpcSession, AResetEndsTheCall) {
    Client client;
    client.feed_all(hello + frame(rst_stream, 0, 1, u32(7)));
    ASSERT_TRUE(client.ended());
    EXPECT_EQ(judge(client.outcome(), "").words, "the server ended the call: REFUSED_STREAM");
    EXPECT_TRUE(client.usable()) << "the connection is well";
}

TEST(GrpcSession, AnAnswerThatIsNoHttp2IsNoEndThatTheServerMade) {
    const std::string good = ok + header("content-type", "application/grpc");
    const std::string message = std::string("\0\0\0\0\2\x08\1", 7);
    const std::pair<std::string, const char*> cases[] = {
        {frame(headers, end_headers, 1, good + header("connection", "close")), "name: [connection]"},
        {frame(headers, end_headers, 1, good + header("X-Upper", "1")), "name: [X-Upper]"},
        {frame(headers, end_headers, 1, good + header("content-length", "99")) +
             frame(data, end_stream, 1, message),
         "PROTOCOL_ERROR"},
    };
    for (const auto& [bytes, words] : cases) {
        Client client;
        client.feed_all(hello + bytes);
        EXPECT_FALSE(client.ended()) << words;
        EXPECT_THAT(client.problem(),
                    testing::AllOf(StartsWith("the server breaks HTTP/2 ("), HasSubstr(words)));
        EXPECT_FALSE(client.usable());
    }
}

TEST(GrpcSession, GoawayEndsTheConnectionAndAnOpenCallThatIsBeyondIt) {
    Client client;
    client.feed_all(hello + frame(goaway, 0, 0, u32(0) + u32(0)));
    EXPECT_TRUE(client.ended());
    EXPECT_FALSE(client.usable());
    Client other;
    other.feed_all(hello + frame(goaway, 0, 0, u32(1) + u32(0)) + answer(1));
    ASSERT_TRUE(other.ended());
    EXPECT_TRUE(judge(other.outcome(), "").pass) << "this call was still served";
    EXPECT_FALSE(other.usable());
}

TEST(GrpcSession, PingsAndSettingsAreAnswered) {
    Client client;
    client.feed_all(hello + frame(ping, 0, 0, "12345678"));
    EXPECT_THAT(client.sent, HasSubstr(frame(settings, ack, 0)));
    EXPECT_THAT(client.sent, HasSubstr(frame(ping, ack, 0, "12345678")));
}

TEST(GrpcSession, AnotherProtocolHasWords) {
    const std::pair<const char*, const char*> others[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "the server speaks HTTP/1, not HTTP/2"},
        {"SSH-2.0-OpenSSH_9.2\r\n",
         "the server does not speak HTTP/2 (it begins with \"SSH-2.0-OpenSSH_9.2??xxx\")"},
        {"220 mail.example ESMTP\r\n", "the server does not speak HTTP/2"},
        {"\x15\x03\x01\x00\x02\x02\x50 and some more bytes", "the server does not speak HTTP/2"},
    };
    for (const auto& [bytes, words] : others) {
        Client client;
        client.feed_all(std::string(bytes) + std::string(64, 'x'));
        EXPECT_THAT(client.problem(), StartsWith(words)) << bytes;
        EXPECT_FALSE(client.usable());
    }
}

// However much is sent, the end comes soon and memory stays small.
TEST(GrpcSession, NothingWithoutEndIsReadWithoutEnd) {
    const std::string many = header("x-a", std::string(100, 'a'));
    const auto endless = [](Client& client, const std::string& first, const std::string& again) {
        client.feed_all(hello + first);
        for (int turn = 0; turn < 100000 && client.problem().empty() && !client.ended(); ++turn)
            client.feed_all(again);
        return client.problem();
    };
    {
        Client client;
        EXPECT_NE(endless(client, frame(headers, 0, 1, ok), frame(continuation, 0, 1, many)), "")
            << "headers";
    }
    {
        Client client;
        const std::string block = frame(headers, end_headers, 1, ok);
        EXPECT_THAT(endless(client, block, frame(data, 0, 1, std::string(1000, 'a'))),
                    HasSubstr("longer than 4 KiB"));
    }
    {
        Client client;
        EXPECT_NE(endless(client, "", frame(ping, 0, 0, "12345678")), "") << "pings";
        EXPECT_LT(client.sent.size(), most_bytes);
    }
    {
        Client client;
        EXPECT_NE(endless(client, "", frame(settings, 0, 0)), "") << "settings";
    }
    {
        Client client;
        EXPECT_THAT(endless(client, frame(headers, end_headers, 1, ok), frame(data, 0, 1)), HasSubstr(""))
            << "empty data";
        EXPECT_FALSE(client.problem().empty());
    }
}

}  // namespace
}  // namespace pulse_grpc
