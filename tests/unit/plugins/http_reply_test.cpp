#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gorb/sdk/values.hpp>
#include <random>

#include "judge.h"
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

TEST(HttpReply, AHeadWithoutABodyIsAllOfIt) {
    ReplyReader reader;
    const std::string reply = "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n";
    EXPECT_EQ(reader.feed(reply), reply.size());
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_EQ(reader.status(), 204);
    EXPECT_TRUE(reader.reusable());
    EXPECT_EQ(reader.feed("more"), 4u);
    EXPECT_FALSE(reader.reusable()) << "what nobody asked for came";
}

TEST(HttpReply, NeedsTheWholeHead) {
    ReplyReader reader;
    EXPECT_FALSE(reader.begun());
    reader.feed("HTTP/1.1 200 OK\r\nServer: x\r\n");
    EXPECT_EQ(reader.state(), State::head);
    EXPECT_TRUE(reader.begun());
}

TEST(HttpReply, ReadsByteByByte) {
    ReplyReader reader;
    feed(reader, "HTTP/1.0 503 Busy\r\nRetry-After: 1\r\n\r\n", [] { return 1; });
    EXPECT_EQ(reader.state(), State::body);
    EXPECT_EQ(reader.status(), 503);
}

TEST(HttpReply, ReadsChunksWhereverTheyAreCut) {
    const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string chunks : {"0\r\n\r\n", "000;x=y\r\n\r\n", "0\r\nA: b\r\n\r\n",
                                     "2\r\nab\r\n0\r\n\r\n", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"}) {
        for (size_t first = 0; first < chunks.size(); ++first) {
            for (const size_t piece : {1u, 2u, 3u, 4u, 5u, 100u}) {
                ReplyReader reader;
                reader.begin({.keep_body = true, .body_limit = 100});
                size_t n = 0;
                feed(reader, head + chunks, [&] { return n++ == 0 ? head.size() + first : piece; });
                ASSERT_EQ(reader.state(), State::done)
                    << chunks << " cut at " << first << " and each " << piece;
                EXPECT_EQ(reader.body(), chunks.find('a') == std::string::npos ? "" : "ab");
                EXPECT_TRUE(reader.reusable());
            }
        }
    }
}

TEST(HttpReply, TheMemoryOfALargeBodyIsGivenBackWithTheNextReply) {
    ReplyReader reader;
    const std::string large(60'000, 'x');
    reader.begin({.keep_body = true});
    reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + large);
    EXPECT_EQ(reader.body(), large);
    reader.begin({.keep_body = true});
    EXPECT_LT(reader.body().capacity(), 17'000U);
}

TEST(HttpReply, LinesOfAHeadMayEndWithLfAlone) {
    const HeaderRules rules = HeaderRules::parse(R"({"X-Ready": "yes"})");
    for (const std::string reply :
         {"HTTP/1.1 200 OK\nX-Ready: yes\nContent-Length: 4\n\na\n\r\n",
          "HTTP/1.1 200 OK\r\nX-Ready: yes\r\nContent-Length: 4\r\n\na\n\r\n",
          "HTTP/1.1 200 OK\nX-Ready: yes\nContent-Length: 4\n\r\na\n\r\n",
          "HTTP/1.1 100 Continue\n\nHTTP/1.1 200\nX-Ready: yes\r\nContent-Length: 4\n\na\n\r\n"}) {
        for (const size_t piece : {1U, 2U, 7U, 1000U}) {
            ReplyReader reader;
            reader.begin({.headers = &rules, .keep_body = true, .body_limit = 100});
            feed(reader, reply, [=] { return piece; });
            ASSERT_EQ(reader.state(), State::done)
                << reply << " in pieces of " << piece << ": " << reader.problem();
            EXPECT_EQ(reader.status(), 200);
            EXPECT_EQ(reader.body(), "a\n\r\n") << "a body stays as it is";
            EXPECT_TRUE(reader.seen()[0].good);
            EXPECT_TRUE(reader.reusable());
        }
    }
}

TEST(HttpReply, LfAloneMakesNoReplyOfRubbishAndNoHeadLonger) {
    for (const std::string reply : {"HTTP/\n\n", "HTTP/1.1\n\n", "HTTP/1.1 200 OK\nno colon\n\n"}) {
        ReplyReader reader;
        feed(reader, reply + "HTTP/1.1 200 OK\r\n\r\n", [] { return 1000; });
        EXPECT_EQ(reader.state(), State::bad) << reply;
        EXPECT_THAT(reader.problem(), HasSubstr("not an HTTP reply")) << reply;
    }
    ReplyReader reader;
    feed(reader, "HTTP/1.1 200 OK\nX: " + std::string(most_head, 'x') + "\n\n", [] { return 1000; });
    EXPECT_EQ(reader.problem(), "the reply's headers are longer than 16 KiB");
    // Of which each line becomes one longer.
    std::string lines;
    while (lines.size() + 6 < most_head) lines += "X: y\n";
    ReplyReader many;
    feed(many, "HTTP/1.1 200 OK\n" + lines + "\n", [] { return 1000; });
    EXPECT_EQ(many.problem(), "the reply's headers are longer than 16 KiB");
}

TEST(HttpReply, AStatusWithoutAReasonIsAStatus) {
    for (const size_t piece : {1U, 5U, 1000U}) {
        ReplyReader reader;
        feed(reader, "HTTP/1.1 100\r\n\r\nHTTP/1.1 204\r\nServer: x\r\n\r\n", [=] { return piece; });
        EXPECT_EQ(reader.state(), State::done) << piece << ": " << reader.problem();
        EXPECT_EQ(reader.status(), 204);
        EXPECT_TRUE(reader.reusable());
    }
    const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (const std::string& text : {"HTTP/\r\n" + good, "HTTP/1.1 \r\n" + good, "HTTP/1.1 2\r\n" + good,
                                    std::string("HTTP/1.1 \r\nServer: x\r\n\r\n")}) {
        ReplyReader reader;
        reader.feed(text);
        EXPECT_EQ(reader.state(), State::bad) << text;
        EXPECT_THAT(reader.problem(), HasSubstr("not an HTTP reply (bad status")) << text;
    }
    for (const char* text : {"HTTP/1.1 2x4\r\n\r\n", "HTTP/9.9 204\r\n\r\n", "HTTP/1.1 2044\r\n\r\n",
                             "HTTP/1.1 204\rX\r\n\r\n"}) {
        ReplyReader reader;
        reader.feed(text);
        EXPECT_EQ(reader.state(), State::bad) << text;
        EXPECT_THAT(reader.problem(), HasSubstr("not an HTTP reply (")) << text;
    }
}

TEST(HttpReply, SkipsInterimReplies) {
    for (const size_t size : {1u, 7u, 1000u}) {
        ReplyReader reader;
        feed(
            reader,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 OK\r\n\r\n",
            [&] { return size; });
        EXPECT_EQ(reader.state(), State::done);
        EXPECT_EQ(reader.status(), 204);
    }
}

TEST(HttpReply, SwitchingProtocolsIsAFinalReply) {
    ReplyReader reader;
    reader.feed("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n");
    EXPECT_EQ(reader.status(), 101);
}

TEST(HttpReply, EndlessInterimRepliesAreBad) {
    ReplyReader reader;
    for (int i = 0; i < 1000 && reader.state() == State::head; ++i)
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
    EXPECT_TRUE(reader.head_complete());
}

TEST(HttpReply, ALocationIsKeptPrintableAndShort) {
    ReplyReader reader;
    reader.feed("HTTP/1.1 302 Found\r\nLocation: http://x/\xC3\xA4 b" + std::string(300, 'z') + "\r\n\r\n");
    EXPECT_EQ(reader.location().substr(0, 13), "http://x/?? b");
    EXPECT_EQ(reader.location().size(), 123u);
}

ReplyReader::Wanted body_of(size_t limit) {
    ReplyReader::Wanted wanted;
    wanted.keep_body = true;
    wanted.body_limit = limit;
    return wanted;
}

TEST(HttpReply, ABodyOfKnownLengthIsReadToItsEndAndNotFurther) {
    for (const size_t size : {1u, 3u, 1000u}) {
        ReplyReader reader;
        reader.begin(body_of(100));
        feed(reader, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", [&] { return size; });
        EXPECT_EQ(reader.state(), State::done);
        EXPECT_EQ(reader.body(), "hello");
        EXPECT_TRUE(reader.reusable());
    }
}

TEST(HttpReply, ChunksAreTakenOutOfTheirFrames) {
    for (const size_t size : {1u, 3u, 1000u}) {
        ReplyReader reader;
        reader.begin(body_of(100));
        feed(reader,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: "
             "1\r\n\r\n",
             [&] { return size; });
        EXPECT_EQ(reader.state(), State::done) << reader.problem();
        EXPECT_EQ(reader.body(), "hello!");
        EXPECT_TRUE(reader.reusable());
    }
}

TEST(HttpReply, ABodyThatLastsUntilTheEndOfTheStreamIsCompleteThen) {
    ReplyReader reader;
    reader.begin(body_of(100));
    reader.feed("HTTP/1.1 200 OK\r\n\r\nhel");
    reader.feed("lo");
    EXPECT_EQ(reader.state(), State::body);
    reader.end();
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_EQ(reader.body(), "hello");
    EXPECT_FALSE(reader.reusable());

    reader.begin(body_of(100));
    reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel");
    reader.end();
    EXPECT_EQ(reader.state(), State::body) << "six bytes are missing";
}

TEST(HttpReply, NoMoreOfABodyIsReadThanTheLimit) {
    for (const std::string head : {"Content-Length: 1000000\r\n\r\n", "\r\n"}) {
        ReplyReader reader;
        reader.begin(body_of(100));
        reader.feed("HTTP/1.1 200 OK\r\n" + head);
        for (int i = 0; i < 10; ++i) reader.feed(std::string(30, 'a'));
        EXPECT_EQ(reader.state(), State::done);
        EXPECT_TRUE(reader.cut());
        EXPECT_EQ(reader.body().size(), 100u);
        EXPECT_FALSE(reader.reusable());
    }
    ReplyReader fits;
    fits.begin(body_of(100));
    fits.feed("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'a'));
    EXPECT_FALSE(fits.cut());
    EXPECT_TRUE(fits.reusable());
}

TEST(HttpReply, ALongBodyThatNobodyWantsIsNotReadAtAll) {
    ReplyReader reader;
    reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n");
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_FALSE(reader.reusable());
}

TEST(HttpReply, TheReplyToHeadHasNoBody) {
    ReplyReader reader;
    ReplyReader::Wanted wanted;
    wanted.to_head = true;
    reader.begin(wanted);
    reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n");
    EXPECT_EQ(reader.state(), State::done);
    EXPECT_TRUE(reader.reusable());
}

TEST(HttpReply, ABrokenBodyIsBadAndTheStatusStays) {
    ReplyReader reader;
    reader.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n");
    EXPECT_EQ(reader.state(), State::bad);
    EXPECT_EQ(reader.status(), 200);
    EXPECT_THAT(reader.problem(), HasSubstr("the reply's body is broken ("));
}

TEST(HttpReply, EndlessHeadersOfAChunkAreBad) {
    ReplyReader reader;
    std::string waiting = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=";
    for (int i = 0; i < 100 && reader.state() != State::bad; ++i) {
        waiting.erase(0, reader.feed(waiting));
        waiting += std::string(1000, 'y');
        ASSERT_LT(waiting.size(), 20000u);
    }
    EXPECT_EQ(reader.problem(), "the reply's chunks have headers longer than 16 KiB");
}

TEST(HttpReply, AConnectionIsKeptAsTheServerSays) {
    const std::pair<const char*, bool> cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 408 Late\r\n\r\n", false},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n\r\n", true},
    };
    ReplyReader reader;
    for (const auto& [reply, kept] : cases) {
        reader.begin({});
        reader.feed(reply);
        EXPECT_EQ(reader.state(), State::done) << reply;
        EXPECT_EQ(reader.reusable(), kept) << reply;
    }
}

// RFC 9112, 6.3.
TEST(HttpReply, TransferEncodingOverridesAContentLengthAndTheConnectionIsNotKept) {
    const HeaderRules rules = HeaderRules::parse(R"({"Content-Length": "3"})");
    const std::string chunked = "Transfer-Encoding: chunked\r\n", length = "Content-Length: 3\r\n";
    std::string around = length;
    around.append("X: y\r\n").append(chunked).append(length);
    for (const std::string& fields : {chunked + length, length + chunked, around}) {
        for (const size_t size : {1U, 7U, 1000U}) {
            ReplyReader reader;
            reader.begin({.headers = &rules, .keep_body = true, .body_limit = 100});
            feed(reader, "HTTP/1.1 200 OK\r\n" + fields + "\r\n2\r\nok\r\n0\r\n\r\n", [&] { return size; });
            ASSERT_EQ(reader.state(), State::done) << fields << reader.problem();
            EXPECT_EQ(reader.status(), 200);
            EXPECT_EQ(reader.body(), "ok");
            EXPECT_FALSE(reader.server_closes()) << "it may keep the connection, so we close it";
            EXPECT_FALSE(reader.reusable());
            EXPECT_TRUE(reader.seen()[0].good) << "a rule sees what the server said";
        }
    }
    for (const std::string& fields :
         {"Transfer-Encoding: Identity\r\n" + length, length + "Transfer-Encoding: identity\r\n"}) {
        ReplyReader reader;
        reader.begin(body_of(100));
        reader.feed("HTTP/1.1 200 OK\r\n" + fields + "\r\nyes");
        EXPECT_EQ(reader.body(), "yes") << fields;
        EXPECT_TRUE(reader.reusable());
    }
}

TEST(HttpReply, AConnectionHeaderThatIsNotUnderstoodIsNoFaultOfTheReply) {
    const HeaderRules rules = HeaderRules::parse(R"({"Connection": {"regex": "timeout"}})");
    for (const std::string field :
         {"Connection: keep-alive; timeout=5", "Connection: Keep-Alive, timeout=5, max=100",
          "Connection: \"close\"", "Proxy-Connection: weird/thing",
          "CONNECTION: keep-alive;\r\n timeout=5"}) {
        for (const char* end : {"\r\n", "\n"}) {
            ReplyReader reader;
            reader.begin({.headers = &rules});
            reader.feed("HTTP/1.1 200 OK" + std::string(end) + field + end + "Content-Length: 0" + end + end);
            ASSERT_EQ(reader.state(), State::done) << field << ": " << reader.problem();
            EXPECT_EQ(reader.status(), 200);
            EXPECT_FALSE(reader.server_closes()) << "it may keep the connection, so we close it";
            EXPECT_FALSE(reader.reusable());
            EXPECT_EQ(reader.seen()[0].good, field.find("timeout") != std::string::npos) << field;
        }
    }
    for (const char* field : {"Connection: a\rb", "Connection: a\x01/b", "Connection: a\r/b"}) {
        ReplyReader reader;
        reader.feed("HTTP/1.1 200 OK\r\n" + std::string(field) + "\r\nContent-Length: 0\r\n\r\n");
        EXPECT_EQ(reader.state(), State::bad) << field;
    }
    ReplyReader reader;
    reader.feed("HTTP/1.1 100 Continue\r\nConnection: a/b\r\n\r\nHTTP/1.1 204 OK\r\n\r\n");
    EXPECT_TRUE(reader.reusable()) << "it was an interim reply's";
}

TEST(HttpReply, AFaultOfAHeaderNamesIt) {
    const std::pair<const char*, const char*> cases[] = {
        {"X: y\r\nContent-Length: many\r\n", "not an HTTP reply (header Content-Length: "},
        {"X-Odd: a\x01z\r\n", "not an HTTP reply (header X-Odd: "},
        {"Connection: a\x01z\r\n", "not an HTTP reply (header Connection: "},
        {"no colon\r\n", "not an HTTP reply (bad "},
    };
    for (const auto& [fields, words] : cases) {
        ReplyReader reader;
        reader.feed("HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n");
        EXPECT_THAT(reader.problem(), testing::StartsWith(words));
    }
}

TEST(HttpReply, NothingOfTheReplyBeforeIsLeft) {
    ReplyReader reader;
    reader.begin(body_of(100));
    reader.feed("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 3\r\n\r\nabc");
    reader.begin({});
    EXPECT_FALSE(reader.begun());
    EXPECT_FALSE(reader.head_complete());
    EXPECT_EQ(reader.location() + reader.body() + reader.problem(), "");
    reader.feed("SSH-2.0-x\r\n");
    reader.begin({});
    EXPECT_EQ(reader.state(), State::head);
    EXPECT_EQ(reader.problem(), "");
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
                                 "Content-Length: 5\r\n\r\nhello",
                                 "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"};
    std::mt19937 random(11);
    for (int turn = 0; turn < 2000; ++turn) {
        std::string bytes = turn % 2 ? "" : "HTTP/1.1 200 OK\r\n";
        for (unsigned i = random() % 8; i > 0; --i) bytes += parts[random() % std::size(parts)];
        ReplyReader whole, pieces;
        whole.begin(body_of(1000));
        pieces.begin(body_of(1000));
        whole.feed(bytes);
        feed(pieces, bytes, [&] { return random() % 5 + 1; });
        ASSERT_EQ(whole.state() == State::done, pieces.state() == State::done) << bytes;
        ASSERT_EQ(whole.status(), pieces.status()) << bytes;
        ASSERT_EQ(whole.location(), pieces.location()) << bytes;
        ASSERT_EQ(whole.body(), pieces.body()) << bytes;
        ASSERT_EQ(whole.reusable(), pieces.reusable()) << bytes;
    }
}

struct Read {
    explicit Read(const std::string& reply, const ReplyReader::Wanted& wanted = {}) {
        reader.begin(wanted);
        reader.feed(reply);
    }
    Judgement judged(const char* expect, const HeaderRules& rules = {}) const {
        return judge_head(reader, Expectation::parse(expect), rules);
    }
    ReplyReader reader;
};

TEST(HttpJudge, SaysWhatCameAndWhatWasExpected) {
    const Read good("HTTP/1.1 200 OK\r\n\r\n"), bad("HTTP/1.1 503 Busy\r\n\r\n");
    EXPECT_TRUE(good.judged("200").pass);
    EXPECT_EQ(good.judged("200").words, "status 200");
    EXPECT_FALSE(bad.judged("200").pass);
    EXPECT_EQ(bad.judged("200").words, "status 503 (expected 200)");
}

TEST(HttpJudge, SaysWhereARedirectLeads) {
    const Read moved("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n");
    EXPECT_FALSE(moved.judged("200").pass);
    EXPECT_EQ(moved.judged("200").words, "redirect to /login (302) not followed (expected 200)");
    EXPECT_TRUE(moved.judged("200-399").pass);
    EXPECT_EQ(moved.judged("200-399").words, "redirect to /login (302) not followed");
}

TEST(HttpJudge, HeadersAreComparedSoughtPresentOrAbsent) {
    struct Case {
        const char *rules, *lines, *words;
    };
    const Case cases[] = {
        {R"({"X-Ready": "yes"})", "x-ready:  yes \r\n", "status 200"},
        {R"({"X-Ready": "yes"})", "X-Ready: no\r\n", "header X-Ready is \"no\" (expected \"yes\")"},
        {R"({"X-Ready": "yes"})", "X-Ready: no\r\nX-Ready: yes\r\n", "status 200"},
        {R"({"X-Ready": "yes"})", "", "header X-Ready is missing (expected \"yes\")"},
        {R"({"X-Load": 3})", "X-Load: 3\r\n", "status 200"},
        {R"({"Server": {"regex": "^nginx/1"}})", "Server: nginx/1.22\r\n", "status 200"},
        {R"({"Server": {"regex": "^nginx/1"}})", "Server: Apache\r\n",
         "header Server is \"Apache\" (expected /^nginx/1/)"},
        {R"({"ETag": true})", "ETag: \"x\"\r\n", "status 200"},
        {R"({"ETag": true})", "", "header ETag is missing"},
        {R"({"X-Debug": false})", "", "status 200"},
        {R"({"X-Debug": false})", "X-Debug: 1\r\n", "header X-Debug is there (expected none)"},
        {R"({"A": "1", "B": "2"})", "A: 1\r\nB: 3\r\n", "header B is \"3\" (expected \"2\")"},
    };
    for (const Case& one : cases) {
        const auto rules = HeaderRules::parse(one.rules);
        ReplyReader::Wanted wanted;
        wanted.headers = &rules;
        const Read reply("HTTP/1.1 100 Continue\r\nX-Debug: 1\r\nX-Ready: yes\r\n\r\nHTTP/1.1 200 OK\r\n" +
                             std::string(one.lines) + "\r\n",
                         wanted);
        const auto judged = reply.judged("200", rules);
        EXPECT_EQ(judged.words, one.words) << one.rules << one.lines;
        EXPECT_EQ(judged.pass, judged.words == "status 200");
    }
}

TEST(HttpJudge, TheBodyIsSoughtInWhatWasRead) {
    const BodyRules rules{Regex::compile("^ok$", "x"), std::nullopt};
    const auto judged = [&](const std::string& body, size_t limit) {
        const Read reply(
            "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
            body_of(limit));
        return judge_body(reply.reader, rules, limit).broken;
    };
    EXPECT_EQ(judged("ok", 10), "");
    EXPECT_EQ(judged("busy\n", 10), "body does not match /^ok$/ (it begins with \"busy?\")");
    EXPECT_EQ(judged("", 10), "body does not match /^ok$/ (it is empty)");
    EXPECT_EQ(judged(std::string(2000, 'x'), 1024),
              "body does not match /^ok$/ (first 1 KiB; it begins with \"" + std::string(40, 'x') + "\")");
    EXPECT_EQ(judged("ok, and more", 2), "") << "no more was read";
}

TEST(HttpJudge, TheBodyMaySayTheShareOfTheWeight) {
    const BodyRules rules{Regex::compile("^ok(, load (?P<share>.*)%)?$", "x"), std::nullopt};
    const auto judged = [&](const std::string& body) {
        const Read reply(
            "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
            body_of(100));
        return judge_body(reply.reader, rules, 100);
    };
    EXPECT_EQ(judged("ok, load 25%").share.percent, 25u);
    EXPECT_EQ(judged("ok").share.percent, 100u);
    EXPECT_EQ(judged("ok").share.warning, "");
    EXPECT_EQ(judged("ok, load \xFF%").broken, "") << "old servers speak Latin-1";
    EXPECT_THAT(judged("ok, load \xFF%").share.warning, testing::HasSubstr("not \"\\xff\""));
    EXPECT_EQ(judged("no").share.percent, 100u);
}

TEST(HttpRegex, NoTextMakesItSlowAndWrongOnesAreRefusedInWords) {
    const auto evil = Regex::compile("(a*)*b", "x");
    EXPECT_FALSE(evil.found_in(std::string(1 << 20, 'a')));
    const auto words = [](const std::string& pattern) -> std::string {
        try {
            Regex::compile(pattern, "\"expect-body\"");
            return "";
        } catch (const gorb::sdk::Error& e) {
            return e.what();
        }
    };
    EXPECT_EQ(words("("), "\"expect-body\" is no regular expression (missing ): ()");
    EXPECT_EQ(words(""), "\"expect-body\" is an empty regular expression, which would match anything");
    EXPECT_THAT(words(std::string(1025, 'a')), HasSubstr("longer than 1024 bytes"));
    EXPECT_THAT(words("((((a{100}){100}){100}){100})"), HasSubstr("is no regular expression"));
}

TEST(HttpHeaders, OnlyWhatCanNotBecomeAnotherRequestIsTaken) {
    const auto refused = [](auto parse, const std::string& json) {
        try {
            parse(json);
            return false;
        } catch (const gorb::sdk::Error&) {
            return true;
        }
    };
    for (const char* bad :
         {"[]", "1", "{", R"({"Host": "x"})", R"({"content-length": "1"})", R"({"Connection": "close"})",
          R"({"Transfer-Encoding": "chunked"})", R"({"X y": "1"})", R"({"X:": "1"})", R"({"": "1"})",
          R"({"X": "a\r\nY: b"})", R"({"X": "\u0000"})", R"({"X": "\u00e4"})", R"({"X": null})",
          R"({"X": true})", R"({"X": ["1"]})", R"({"X": 1.5})", R"({"X": "1", "x": "2"})"})
        EXPECT_TRUE(refused(&ExtraHeaders::parse, bad)) << bad;
    for (const char* bad :
         {"[]", R"({"X": null})", R"({"X": []})", R"({"X": {}})", R"({"X": {"regex": 1}})",
          R"({"X": {"regex": "("}})", R"({"X": {"regex": "a", "b": 1}})", R"({"X y": "1"})"})
        EXPECT_TRUE(refused(&HeaderRules::parse, bad)) << bad;
    EXPECT_EQ(ExtraHeaders::parse(R"({"X": 10000000000000000000})").lines.at(0).value,
              "10000000000000000000");
    EXPECT_TRUE(ExtraHeaders::parse("{}").lines.empty());
    EXPECT_TRUE(HeaderRules::parse("{}").empty());
}

}  // namespace
}  // namespace pulse_http
