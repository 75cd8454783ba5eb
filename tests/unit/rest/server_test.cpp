// The server over real loopback sockets: HTTP as clients speak it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "server_fixture.h"

namespace gorb::rest::test::server_test {
namespace {

TEST_F(ServerTest, AnswersOnOneConnectionAgainAndAgain) {
    start();
    Client c = client();
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(c.send(put("/a", "body " + std::to_string(i))));
        const Reply reply = c.reply();
        EXPECT_EQ(reply.status, 200);
        EXPECT_EQ(reply.body, "PUT /a body " + std::to_string(i));
        EXPECT_EQ(reply.header("content-type"), "application/json");
        EXPECT_EQ(reply.header("connection"), "");
        EXPECT_THAT(reply.header("date"), testing::MatchesRegex("..., .. ... .... ..:..:.. GMT"));
    }
    EXPECT_EQ(server_->connections(), 1U);
    c.close();
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(ServerTest, ListensOnIpv6AndNamesThePeer) {
    start({}, "::1");
    Client c = client();
    ASSERT_TRUE(c.get("/peer"));
    EXPECT_EQ(c.reply().body.rfind("[::1]:", 0), 0U);
}

TEST_F(ServerTest, WildcardOfIpv6TakesIpv4AsWell) {
    start({}, "::");
    Client c(base::Endpoint{*base::Ip::parse("127.0.0.1"), server_->address().port});
    ASSERT_TRUE(c.get("/peer"));
    EXPECT_EQ(c.reply().body.rfind("127.0.0.1:", 0), 0U);
}

TEST_F(ServerTest, SaysWhichAddressIsInUse) {
    start();
    const auto second = Server::listen(server_->address(), {}, [](auto, auto) {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, base::Errc::unavailable);
    EXPECT_NE(second.error().sentence.find(server_->address().text()), std::string::npos)
        << second.error().sentence;
    const auto foreign = Server::listen({*base::Ip::parse("192.0.2.1"), 0}, {}, [](auto, auto) {});
    ASSERT_FALSE(foreign);
    EXPECT_NE(foreign.error().sentence.find("192.0.2.1"), std::string::npos);
}

TEST_F(ServerTest, SendsHeadersAndLetsNoneBeInjected) {
    start();
    Client c = client();
    c.get("/etag");
    const Reply reply = c.reply();
    EXPECT_EQ(reply.header("etag"), "\"7-1\"");
    EXPECT_EQ(reply.header("allow"), "GET");
    EXPECT_EQ(reply.header("location"), "/a  Injected: yes");
    EXPECT_EQ(reply.header("injected"), "");
}

TEST_F(ServerTest, LeavesOutBodiesThatMustNotBe) {
    start();
    Client c = client();
    c.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    const Reply head = c.reply(10s, true);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("content-length"), std::to_string(std::string("GET /a ").size()));
    c.get("/empty");
    const Reply empty = c.reply();
    EXPECT_EQ(empty.status, 204);
    EXPECT_EQ(empty.header("content-length"), "");
    c.get("/b");  // nothing stood between the answers
    EXPECT_EQ(c.reply().body, "GET /b ");
}

TEST_F(ServerTest, SpeaksHttp10) {
    start();
    Client once = client();
    once.send("GET /a HTTP/1.0\r\n\r\n");
    EXPECT_EQ(once.reply().header("connection"), "close");
    EXPECT_EQ(once.end(), Ended::finished);
    Client kept = client();
    for (int i = 0; i < 2; ++i) {
        kept.send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        EXPECT_EQ(kept.reply().header("connection"), "keep-alive");
    }
}

TEST_F(ServerTest, ClosesWhenAskedTo) {
    start();
    Client c = client();
    c.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const Reply reply = c.reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.header("connection"), "close");
    EXPECT_EQ(c.end(), Ended::finished);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInTheirOrder) {
    start();
    Client c = client();
    std::string all;
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i)
        all += i % 2 ? put("/" + std::to_string(i), "x")
                     : "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    std::thread sender([&] { c.send(all); });
    for (int i = 0; i < count; ++i) {
        ASSERT_EQ(c.reply().body, (i % 2 ? "PUT /" : "GET /") + std::to_string(i) + (i % 2 ? " x" : " "));
    }
    sender.join();
}

TEST_F(ServerTest, SendsContinueOnlyForABodyThatIsWelcome) {
    Limits limits;
    limits.body_bytes = 100;
    start(limits);
    Client c = client();
    c.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(c.reply().status, 100);
    c.send("hi");
    EXPECT_EQ(c.reply().body, "PUT /a hi");
    c.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_TRUE(is_error(c.reply(), 413));
    EXPECT_EQ(c.end(), Ended::finished);
}

TEST_F(ServerTest, ReadsChunkedBodies) {
    start();
    Client c = client();
    for (const std::string_view part : {"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                                        "3\r\nab", "c\r\n1\r", "\nd\r\n0\r\n", "\r\n"}) {
        c.send(part);
    }
    EXPECT_EQ(c.reply().body, "PUT /a abcd");
}

}  // namespace
}  // namespace gorb::rest::test::server_test
