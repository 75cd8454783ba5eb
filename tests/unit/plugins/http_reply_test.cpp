#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "reply.h"

namespace pulse_http {
namespace {

using testing::HasSubstr;
using State = ReplyReader::State;

// Feeds `bytes` in pieces of `sizes`, and what was not consumed again in front of what follows, as a
// connection does.
void feed(ReplyReader& reader, const std::string& bytes, const std::function<size_t()>& size) {
    std::string waiting;
    for (size_t at = 0; at < bytes.size();) {
        const size_t piece = std::min(std::max<size_t>(size(), 1), bytes.size() - at);
        waiting += bytes.substr(at, piece);
        at += piece;
        const size_t used = reader.feed(waiting);
        ASSERT_LE(used, waiting.size());
        waiting.erase(0, used);
    }
}

TEST(HttpReply, IsDoneWithTheEndOfTheHeadersWhateverFollows) {
    ReplyReader reader;
    const std::string reply = "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\nanything";
    EXPECT_EQ(reader.feed(reply), reply.size());
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_EQ(reader.status(), 204);
    EXPECT_EQ(reader.feed("more"), 4u) << "the rest is of no interest";
}

TEST(HttpReply, NeedsTheWholeHead) {
    ReplyReader reader;
    EXPECT_FALSE(reader.begun());
    reader.feed("HTTP/1.1 200 OK\r\nServer: x\r\n");
    EXPECT_EQ(reader.state(), State::more);
    EXPECT_TRUE(reader.begun());
}

TEST(HttpReply, ReadsByteByByte) {
    ReplyReader reader;
    feed(reader, "HTTP/1.0 503 Busy\r\nRetry-After: 1\r\n\r\n", [] { return 1; });
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_EQ(reader.status(), 503);
}

TEST(HttpReply, SkipsInterimReplies) {
    for (const size_t size : {1u, 7u, 1000u}) {
        ReplyReader reader;
        feed(
            reader,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            [&] { return size; });
        EXPECT_EQ(reader.state(), State::done);
        EXPECT_EQ(reader.status(), 200);
    }
}

TEST(HttpReply, SwitchingProtocolsIsAFinalReply) {
    ReplyReader reader;
    reader.feed("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n");
    EXPECT_EQ(reader.status(), 101);
}

TEST(HttpReply, EndlessInterimRepliesAreBad) {
    ReplyReader reader;
    for (int i = 0; i < 1000 && reader.state() == State::more; ++i)
        reader.feed("HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(reader.state(), State::bad);
    EXPECT_EQ(reader.problem(), "more than 16 interim replies");
}

TEST(HttpReply, WhatIsNotHttpIsBadAtOnce) {
    for (const char* text : {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "220 mail ESMTP\r\n\r\n", "<html></html>\r\n\r\n",
                             "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 000 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"}) {
        ReplyReader reader;
        reader.feed(text);
        EXPECT_EQ(reader.state(), State::bad) << text;
        EXPECT_THAT(reader.problem(), HasSubstr("not an HTTP reply (")) << text;
    }
}

TEST(HttpReply, AnotherProtocolIsKnownByItsFirstByte) {
    ReplyReader reader;
    reader.feed("2");
    EXPECT_EQ(reader.state(), State::bad);
    ReplyReader ssh;
    ssh.feed("SSH-2.0-OpenSSH_9.2\r\n");
    EXPECT_EQ(ssh.problem(), "not an HTTP reply (it begins with \"SSH-2.0-OpenSSH_9.2??\")");
}

TEST(HttpReply, HeadersOfMoreThan16KiBAreBad) {
    for (const std::string& head : {"X: " + std::string(20000, 'a'), std::string(20000, 'a')}) {
        ReplyReader reader;
        feed(reader, "HTTP/1.1 200 OK\r\n" + head, [] { return 1000; });
        EXPECT_EQ(reader.state(), State::bad);
        EXPECT_EQ(reader.problem(), "the reply's headers are longer than 16 KiB");
    }
}

TEST(HttpReply, HeadersOfLessThan16KiBAreFine) {
    ReplyReader reader;
    feed(reader, "HTTP/1.1 200 OK\r\nX: " + std::string(16000, 'a') + "\r\n\r\n", [] { return 1460; });
    EXPECT_EQ(reader.state(), State::done);
}

TEST(HttpReply, ALocationIsKeptPrintableAndShort) {
    ReplyReader reader;
    reader.feed("HTTP/1.1 302 Found\r\nLocation: http://x/\xC3\xA4 b" + std::string(300, 'z') + "\r\n\r\n");
    EXPECT_EQ(reader.location().substr(0, 13), "http://x/???b");
    EXPECT_EQ(reader.location().size(), 123u);
}

// However the bytes are cut, the outcome is the same. (A fault in a head without an end may be seen sooner or
// later.)
TEST(HttpReply, TheCutsBetweenPiecesDoNotMatter) {
    const std::string parts[] = {"HTTP/1.1 200 OK\r\n",
                                 "HTTP/1.1 100 Continue\r\n\r\n",
                                 "Server: x\r\n",
                                 "\r\n",
                                 "\r",
                                 "\n",
                                 "X",
                                 ":",
                                 " ",
                                 "HTTP/1.1 301 Moved\r\nLocation: /y\r\n\r\n",
                                 "\x80\xFF",
                                 "Content-Length: 5\r\n\r\nhello"};
    std::mt19937 random(11);
    for (int turn = 0; turn < 2000; ++turn) {
        std::string bytes = turn % 2 ? "" : "HTTP/1.1 200 OK\r\n";
        for (unsigned i = random() % 8; i > 0; --i) bytes += parts[random() % std::size(parts)];
        ReplyReader whole, pieces;
        whole.feed(bytes);
        feed(pieces, bytes, [&] { return random() % 5 + 1; });
        ASSERT_EQ(whole.state() == State::done, pieces.state() == State::done) << bytes;
        ASSERT_EQ(whole.status(), pieces.status()) << bytes;
        ASSERT_EQ(whole.location(), pieces.location()) << bytes;
    }
}

TEST(HttpJudge, SaysWhatCameAndWhatWasExpected) {
    const auto only200 = Expectation::parse("200");
    EXPECT_TRUE(judge(200, "", only200).pass);
    EXPECT_EQ(judge(200, "", only200).words, "status 200");
    EXPECT_FALSE(judge(503, "", only200).pass);
    EXPECT_EQ(judge(503, "", only200).words, "status 503 (expected 200)");
}

TEST(HttpJudge, SaysWhereARedirectLeads) {
    const auto judged = judge(301, "https://x/", Expectation::parse("200"));
    EXPECT_FALSE(judged.pass);
    EXPECT_EQ(judged.words, "status 301, redirects to https://x/ (not followed) (expected 200)");
    EXPECT_TRUE(judge(301, "https://x/", Expectation::parse("200-399")).pass);
}

}  // namespace
}  // namespace pulse_http
