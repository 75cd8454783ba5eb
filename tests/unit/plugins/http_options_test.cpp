// What a target of pulse "http" may ask for besides a path and a status: headers, bodies, limits.
#include <gmock/gmock.h>

#include "http_server.h"
#include "loaded.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

TEST(PulseHttpOptions, ExtraHeadersAreSent) {
    const HttpServer server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    Instance http("http");
    http.run(server.port(), {{"headers", R"({"X-Probe": "gorb", "Accept": "text/plain", "X-N": 7})"}});
    EXPECT_THAT(server.request(), HasSubstr("\r\nX-Probe: gorb\r\nAccept: text/plain\r\nX-N: 7\r\n"));
    EXPECT_THAT(server.request(), Not(HasSubstr("*/*")));
}

TEST(PulseHttpOptions, ABodyIsSentWithItsLength) {
    std::string got;
    std::mutex mutex;
    const Server server([&](Peer& peer) {
        const std::string request = peer.read_until("{\"a\": 1}");
        {
            const std::lock_guard lock(mutex);
            got = request;
        }
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.wait_for_end();
    });
    Instance http("http");
    EXPECT_EQ(http.run(server.port(), {{"method", "POST"},
                                       {"body", "{\"a\": 1}"},
                                       {"headers", R"({"Content-Type": "application/json"})"}})
                  .verdict,
              GORB_PASS);
    const std::lock_guard lock(mutex);
    EXPECT_THAT(got, HasSubstr("\r\nContent-Type: application/json\r\nContent-Length: 8\r\n"));
    EXPECT_THAT(got, EndsWith("\r\n\r\n{\"a\": 1}"));
}

TEST(PulseHttpOptions, TheReplysHeadersAreJudged) {
    const HttpServer server("HTTP/1.1 200 OK\r\nX-Ready: no\r\nContent-Length: 0\r\n\r\n");
    Instance http("http");
    auto* probe =
        http.pulse.add(address("127.0.0.1", server.port()), {{"expect-header", R"({"X-Ready": "yes"})"}});
    const auto report = http.pulse.run(probe);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_FAIL);
    EXPECT_EQ(report->code, 200);
    EXPECT_EQ(report->detail, "header X-Ready is \"no\" (expected \"yes\")");
}

TEST(PulseHttpOptions, TheStatusIsJudgedBeforeHeadersAndBody) {
    const HttpServer server("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    Instance http("http");
    EXPECT_EQ(http.run(server.port(), {{"expect-header", R"({"X": true})"}, {"expect-body", "ok"}}).detail,
              "status 503 (expected 200)");
}

struct BodyCase {
    const char *name, *reply, *regex;
    uint32_t verdict;
    const char* detail;
};

TEST(PulseHttpOptions, TheBodyIsSoughtInHoweverItComes) {
    const BodyCase cases[] = {
        {"length", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall's ok", "ok$", GORB_PASS, "status 200"},
        {"chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nall's o\r\n1\r\nk\r\n0\r\n\r\n", "ok$",
         GORB_PASS, "status 200"},
        {"to the end", "HTTP/1.1 200 OK\r\n\r\nall's ok", "ok$", GORB_PASS, "status 200"},
        {"no match", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbusy", "ok", GORB_FAIL,
         "body does not match /ok/ (it begins with \"busy\")"},
        {"Latin-1", "HTTP/1.1 200 OK\r\n\r\nsch\xf6n, all's ok", "^sch.n.*ok$", GORB_PASS, "status 200"},
        {"UTF-8", "HTTP/1.1 200 OK\r\n\r\nsch\xc3\xb6n", "^.{6}$", GORB_FAIL,
         "body does not match /^.{6}$/ (it begins with \"sch??n\")"},
        {"none", "HTTP/1.1 204 No Content\r\n\r\n", "ok", GORB_FAIL, "status 204 (expected 200)"},
        {"half", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall's ok", "ok", GORB_FAIL,
         "connection closed in the middle of a reply"},
        {"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nall's ok", "ok",
         GORB_FAIL, "connection closed in the middle of a reply"},
    };
    for (const BodyCase& one : cases) {
        for (const bool slowly : {false, true}) {
            const Server server([&](Peer& peer) {
                peer.read_until("\r\n\r\n");
                if (slowly) {
                    peer.write_slowly(one.reply);
                } else {
                    peer.write(one.reply);
                }
            });
            Instance http("http");
            const auto report = http.run(server.port(), {{"expect-body", one.regex}});
            EXPECT_EQ(report.verdict, one.verdict) << one.name;
            EXPECT_EQ(report.detail, one.detail) << one.name;
        }
    }
}

TEST(PulseHttpOptions, WhatTheBodyMayNotHaveFails) {
    std::string body = "maintenance mode: ON";
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    });
    Instance http("http");
    const Values alone{{"reject-body", "(?i)mode: on"}};
    const Values both{{"reject-body", "(?i)mode: on"}, {"expect-body", "^maint"}};
    for (const Values& args : {alone, both}) {
        const auto report = http.run(server.port(), args);
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_EQ(report.detail, "body matches /(?i)mode: on/ (reject-body)");
    }
    body = "maintenance mode: off";
    for (const Values& args : {alone, both}) EXPECT_EQ(http.run(server.port(), args).detail, "status 200");
    body = "";
    EXPECT_EQ(http.run(server.port(), alone).verdict, GORB_PASS);
    EXPECT_EQ(http.run(server.port(), both).verdict, GORB_FAIL);
}

TEST(PulseHttpOptions, TheBodyMaySayTheShareOfTheWeight) {
    std::string weight = "20";
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 200 OK\r\n\r\n{\"weight\": " + weight + "}");
    });
    Instance http("http");
    const Values args{{"expect-body", "\"weight\": *(?P<share>[0-9]+)"}};
    auto report = http.run(server.port(), args);
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.share, 20u);
    weight = "256";
    report = http.run(server.port(), args);
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.share, 100u);
    EXPECT_THAT(report.warning, HasSubstr("not \"256\""));
}

TEST(PulseHttpOptions, ABrokenChunkIsAFailureOnlyWhereTheBodyIsWanted) {
    const HttpServer server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n");
    Instance http("http");
    EXPECT_EQ(http.run(server.port()).verdict, GORB_PASS);
    const auto report = http.run(server.port(), {{"expect-body", "ok"}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.code, 200);
    EXPECT_THAT(report.detail, HasSubstr("the reply's body is broken ("));
}

TEST(PulseHttpOptions, AnEndlessBodyIsJudgedByItsFirstBytes) {
    for (const char* head :
         {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"}) {
        const Server server([&](Peer& peer) {
            peer.read_until("\r\n\r\n");
            peer.write(std::string(head) + "ok");
            for (int i = 0; i < 1000; ++i) peer.write(std::string(4096, 'x'));  // ends when the client closes
            peer.write("late");
            peer.wait_for_end();
        });
        Instance http("http");
        EXPECT_EQ(http.run(server.port(), {{"expect-body", "^ok"}}).verdict, GORB_PASS);
        const auto late = http.run(server.port(), {{"expect-body", "late"}, {"body-limit", "1024"}});
        EXPECT_EQ(late.verdict, GORB_FAIL);
        EXPECT_EQ(late.detail, "body does not match /late/ (first 1 KiB; it begins with \"ok" +
                                   std::string(38, 'x') + "\")");
        EXPECT_TRUE(http.host.loop().run_until([&] { return http.host.held().empty(); }));
    }
}

TEST(PulseHttpOptions, AByteASecondIsEndedByTheDeadlineWhereverItStands) {
    struct Case {
        const char *reply, *detail;
    };
    for (const Case& one :
         {Case{"HTTP/1.1 200", "timed out, in the middle of a reply"},
          Case{"HTTP/1.1 200 OK\r\nX: y\r\n", "timed out, in the middle of a reply"},
          Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "timed out, in the middle of a reply"},
          Case{"", "timed out, before a reply"}}) {
        const KeepServer server([&](size_t, size_t, const std::string&) {
            return KeepServer::Act{one.reply, false, false, true};
        });
        Instance http("http");
        auto* probe = http.pulse.add(address("127.0.0.1", server.port()), {{"expect-body", "ok"}});
        const gorb_run run = http.pulse.start(probe, seconds(2));
        http.host.loop().run_until([&] { return !server.seen().empty(); });
        for (int i = 0; i < 20; ++i) http.host.loop().step(milliseconds(1));
        ASSERT_TRUE(http.host.run_open(run));
        http.host.loop().advance(seconds(2));
        const auto report = http.pulse.wait(run);
        ASSERT_TRUE(report);
        EXPECT_EQ(report->verdict, GORB_FAIL);
        EXPECT_EQ(report->code, ETIMEDOUT);
        EXPECT_EQ(report->detail, one.detail);
        EXPECT_TRUE(http.host.held().empty());
    }
}

TEST(PulseHttpOptions, EndlessHeadersFailWithoutWaitingForTheirEnd) {
    const Server server([](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 1000; ++i)
            peer.write("X-" + std::to_string(i) + ": " + std::string(1000, 'a') + "\r\n");
        peer.wait_for_end();
    });
    Instance http("http");
    const auto report = http.run(server.port());
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "the reply's headers are longer than 16 KiB");
    EXPECT_TRUE(http.host.held().empty());
}

TEST(PulseHttpOptions, TargetsWithEqualArgumentsShareThemAndOthersDoNot) {
    const HttpServer server("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    Instance http("http");
    const Values ok = {{"expect-body", "ok"}}, other = {{"expect-body", "other"}};
    auto* first = http.pulse.add(address("127.0.0.1", server.port()), ok);
    auto* second = http.pulse.add(address("127.0.0.1", server.port()), ok);
    auto* third = http.pulse.add(address("127.0.0.1", server.port()), other);
    http.pulse.remove(first);
    EXPECT_EQ(http.pulse.run(second)->verdict, GORB_PASS);
    http.pulse.remove(second);
    EXPECT_EQ(http.pulse.run(third)->verdict, GORB_FAIL);
    auto* again = http.pulse.add(address("127.0.0.1", server.port()), ok);
    http.pulse.remove(third);
    EXPECT_EQ(http.pulse.run(again)->verdict, GORB_PASS);
}

}  // namespace
}  // namespace plugin_test
