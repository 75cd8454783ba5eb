#include <gmock/gmock.h>

#include "loaded.h"
#include "server.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::PulseRunner;
using gorb::testing::Values;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(PulseHttp, PassesOn200AndAsksAsABrowserWould) {
    const HttpServer server(ok);
    Instance http("http");
    const auto report = http.run(server.port());
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.code, 200);
    EXPECT_EQ(report.detail, "status 200");
    EXPECT_THAT(server.request(),
                StartsWith("GET / HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"));
    EXPECT_THAT(server.request(),
                HasSubstr("\r\nUser-Agent: gorb/" + std::string(plugin("http").version) + "\r\n"));
    EXPECT_THAT(server.request(), Not(HasSubstr("Connection:")));
}

TEST(PulseHttp, SendsMethodPathAndHostAsTold) {
    const HttpServer server(ok);
    Instance http("http");
    EXPECT_EQ(
        http.run(server.port(), {{"method", "OPTIONS"}, {"path", "/a?b=c"}, {"host", "shop.example.org"}})
            .verdict,
        GORB_PASS);
    EXPECT_THAT(server.request(), StartsWith("OPTIONS /a?b=c HTTP/1.1\r\nHost: shop.example.org\r\n"));
}

TEST(PulseHttp, ChecksOverIpv6WithTheAddressInBrackets) {
    const HttpServer server(ok, true);
    Instance http("http");
    EXPECT_EQ(http.run(server.port(), {}, "::1").verdict, GORB_PASS);
    EXPECT_THAT(server.request(), HasSubstr("\r\nHost: [::1]:" + std::to_string(server.port()) + "\r\n"));
    for (const auto& [host, sent] : {std::pair("::1", "[::1]"),
                                     {"2001:db8::1", "[2001:db8::1]"},
                                     {"fe80::1%eth0", "[fe80::1]"},
                                     {"[::1]:81", "[::1]:81"}}) {
        const HttpServer one(ok, true);
        EXPECT_EQ(http.run(one.port(), {{"host", host}}, "::1").verdict, GORB_PASS);
        EXPECT_THAT(one.request(), HasSubstr(std::string("\r\nHost: ") + sent + "\r\n"));
    }
}

TEST(PulseHttp, ChecksAnotherPortWhenToldTo) {
    const HttpServer server(ok);
    const ClosedPort closed;
    Instance http("http");
    EXPECT_EQ(http.run(closed.port(), {{"port", std::to_string(server.port())}}).verdict, GORB_PASS);
    EXPECT_THAT(server.request(), HasSubstr("\r\nHost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"));
}

TEST(PulseHttp, AnotherStatusFailsWithBothInWords) {
    const HttpServer server("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    Instance http("http");
    const auto report = http.run(server.port());
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.code, 503);
    EXPECT_EQ(report.detail, "status 503 (expected 200)");
}

TEST(PulseHttp, ListsAndRangesOfStatusPass) {
    for (const auto& [expect, verdict] :
         {std::pair{"200-399", GORB_PASS}, {"200,204,300-302", GORB_PASS}, {"200,303-399", GORB_FAIL}}) {
        const HttpServer server("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n");
        Instance http("http");
        EXPECT_EQ(http.run(server.port(), {{"expect", expect}}).verdict, uint32_t{verdict}) << expect;
    }
}

TEST(PulseHttp, ARedirectIsNotFollowedAndTheReasonSaysWhereItLeads) {
    const HttpServer server("HTTP/1.1 301 Moved\r\nLocation: https://elsewhere/\r\n\r\n");
    Instance http("http");
    const auto report = http.run(server.port());
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.code, 301);
    EXPECT_THAT(report.detail, HasSubstr("redirect to https://elsewhere/ (301) not followed (expected 200)"));
}

TEST(PulseHttp, AReplyToHeadHasNoBodyAndPasses) {
    const HttpServer server("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    Instance http("http");
    EXPECT_EQ(http.run(server.port(), {{"method", "HEAD"}}).verdict, GORB_PASS);
    EXPECT_THAT(server.request(), StartsWith("HEAD / HTTP/1.1\r\n"));
}

TEST(PulseHttp, DoesNotWaitForABodyThatNeverEnds) {
    const HttpServer server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    Instance http("http");
    EXPECT_EQ(http.run(server.port()).verdict, GORB_PASS);
}

TEST(PulseHttp, ReadsAReplyThatComesByteByByte) {
    const Server server([](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write_slowly("HTTP/1.1 100 Continue\r\n\r\n" + ok);
    });
    Instance http("http");
    EXPECT_EQ(http.run(server.port()).verdict, GORB_PASS);
}

TEST(PulseHttp, RefusalAndResetHaveTheirWords) {
    const ClosedPort closed;
    Instance http("http");
    const auto refused = http.run(closed.port());
    EXPECT_EQ(refused.verdict, GORB_FAIL);
    EXPECT_EQ(refused.detail, "connection refused");
    EXPECT_EQ(refused.code, ECONNREFUSED);

    const Server server([](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.reset();
    });
    const auto reset = http.run(server.port());
    EXPECT_EQ(reset.verdict, GORB_FAIL);
    EXPECT_EQ(reset.detail, "connection reset by the other side, before a reply");
}

TEST(PulseHttp, AnEarlyEndHasItsWords) {
    const Server nothing([](Peer& peer) { peer.read_until("\r\n\r\n"); });
    const Server half([](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 200 OK\r\nServer:");
    });
    Instance http("http");
    EXPECT_EQ(http.run(nothing.port()).detail, "connection closed before a reply");
    const auto cut = http.run(half.port());
    EXPECT_EQ(cut.verdict, GORB_FAIL);
    EXPECT_EQ(cut.detail, "connection closed in the middle of a reply");
}

TEST(PulseHttp, WhatIsNoHttpFailsAtOnce) {
    const HttpServer server("SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n");
    Instance http("http");
    const auto report = http.run(server.port());
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_THAT(report.detail, StartsWith("not an HTTP reply"));
}

TEST(PulseHttp, HugeHeadersFail) {
    const HttpServer server("HTTP/1.1 200 OK\r\nX: " + std::string(40000, 'a') + "\r\n\r\n");
    Instance http("http");
    const auto report = http.run(server.port());
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "the reply's headers are longer than 16 KiB");
}

TEST(PulseHttp, ASilentServerIsEndedByTheDeadline) {
    const Server server([](Peer& peer) { peer.wait_for_end(); });
    Instance http("http");
    auto* probe = http.pulse.add(address("127.0.0.1", server.port()));
    const gorb_run run = http.pulse.start(probe, seconds(2));
    for (int i = 0; i < 20; ++i) http.host.loop().step(std::chrono::milliseconds(2));  // connected, and asked
    EXPECT_TRUE(http.host.run_open(run));
    http.host.loop().advance(seconds(2));
    const auto report = http.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_FAIL);
    EXPECT_THAT(report->detail, StartsWith("timed out"));
}

TEST(PulseHttp, SaysNothingAfterCancelAndWorksAgainAfterwards) {
    std::atomic<bool> answering{false};
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n\r\n");
        if (answering) peer.write(ok);
        peer.wait_for_end();
    });
    Instance http("http");
    auto* probe = http.pulse.add(address("127.0.0.1", server.port()));
    const gorb_run run = http.pulse.start(probe);
    http.host.loop().step(std::chrono::milliseconds(5));
    http.pulse.cancel(probe, run);
    EXPECT_TRUE(http.host.held().empty()) << "the connection is gone with the run";
    answering = true;
    EXPECT_EQ(http.pulse.run(probe)->verdict, GORB_PASS);
    EXPECT_TRUE(http.host.reports_of(run).empty());
}

TEST(PulseHttp, OurOwnTroubleIsUnknown) {
    Instance http("http");
    http.host.fail_connect = EADDRNOTAVAIL;
    EXPECT_EQ(http.run(80).verdict, GORB_UNKNOWN);
    http.host.fail_connect = 0;
    http.host.fail_open = "no free file descriptor in this process";
    EXPECT_EQ(http.run(80).verdict, GORB_UNKNOWN);
}

TEST(PulseHttp, CheckRefusesWhatWouldMakeAnotherRequest) {
    for (const Values& bad : {Values{{"path", "health"}},
                              Values{{"path", "/a b"}},
                              Values{{"path", "/a\r\nX: y"}},
                              Values{{"host", "a b"}},
                              Values{{"host", "a\nb"}},
                              Values{{"host", ""}},
                              Values{{"expect", "ok"}},
                              Values{{"expect", "300-200"}},
                              Values{{"headers", R"({"Host": "x"})"}},
                              Values{{"headers", "[]"}},
                              Values{{"expect-header", R"({"X": 1.5})"}},
                              Values{{"expect-body", "("}},
                              Values{{"expect-body", "ok"}, {"method", "HEAD"}},
                              Values{{"reject-body", "["}},
                              Values{{"reject-body", "ok"}, {"method", "HEAD"}},
                              Values{{"body", std::string(70000, 'x')}},
                              Values{{"ca", "/x"}},
                              Values{{"tls-name", "x"}},
                              Values{{"cert", "/x"}},
                              Values{{"key", "/x"}},
                              Values{{"key", "/x"}, {"tls", "true"}},
                              Values{{"ca", "x.pem"}, {"tls", "true"}},
                              Values{{"ca", ""}, {"tls", "true"}},
                              Values{{"tls-name", "a b"}, {"tls", "true"}}}) {
        EXPECT_NE(PulseRunner::check(plugin("http"), bad), "") << bad.begin()->second;
        Instance http("http");
        EXPECT_THROW(http.pulse.add(address("127.0.0.1", 80), bad), std::runtime_error);
    }
    EXPECT_THAT(PulseRunner::check(plugin("http"), {{"tls-name", "a b"}, {"tls", "true"}}),
                HasSubstr("\"tls-name\" must be a name"));
    EXPECT_THROW(PulseRunner::check(plugin("http"), {{"method", "GET /"}}), std::invalid_argument);
    EXPECT_THROW(PulseRunner::check(plugin("http"), {{"method", "get"}}), std::invalid_argument);
    EXPECT_EQ(PulseRunner::check(plugin("http"), {{"method", "HEAD"}, {"path", "/x"}, {"expect", "200-399"}}),
              "");
}

TEST(PulseHttp, AFileThatIsNotNamedByAnAbsolutePathIsRefusedWithTheNameOfItsOption) {
    for (const char* option : {"ca", "cert", "key"}) {
        for (const char* path : {"file.pem", ""}) {
            EXPECT_EQ(PulseRunner::check(plugin("http"), {{"tls", "true"}, {option, path}}),
                      std::string("\"") + option + "\" must be the absolute path of a PEM file");
        }
    }
}

}  // namespace
}  // namespace plugin_test
