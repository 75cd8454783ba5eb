#include <gmock/gmock.h>

#include <gorb/testing.hpp>

#include "dns/name_server.h"
#include "loaded.h"
#include "server.h"

namespace plugin_test {
namespace {

using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::StartsWith;

const Values www = {{"name", "www.example"}};

Values with(Values args, const Values& more) {
    args.insert(more.begin(), more.end());
    return args;
}
std::vector<std::string> one(std::string_view query, bool) {
    return {answer(query, {a_record(1)})};
}
std::vector<std::string> silent(std::string_view, bool) {
    return {};
}

TEST(PulseDns, PassesOverUdpAndOverTcp) {
    std::atomic<int> tcp{0};
    NameServer server([&](std::string_view query, bool over_tcp) {
        tcp += over_tcp;
        return one(query, over_tcp);
    });
    Instance dns("dns");
    const Report udp = dns.run(server.port(), www);
    EXPECT_EQ(udp.verdict, GORB_PASS);
    EXPECT_EQ(udp.detail, "NOERROR, 1 A record");
    EXPECT_EQ(tcp, 0);
    EXPECT_EQ(dns.run(server.port(), with(www, {{"transport", "tcp"}})).verdict, GORB_PASS);
    EXPECT_EQ(tcp, 1);
}

TEST(PulseDns, TheCodeIsTheResponseCode) {
    NameServer server(
        [](std::string_view query, bool) { return std::vector<std::string>{answer(query, {}, 0x8183)}; });
    Instance dns("dns");
    const Report report = dns.run(server.port(), www);
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.code, 3);
    EXPECT_EQ(report.detail, "NXDOMAIN (expected NOERROR)");
}

TEST(PulseDns, ATruncatedAnswerIsAskedForAgainOverTcp) {
    NameServer server([](std::string_view query, bool tcp) {
        return std::vector<std::string>{tcp ? answer(query, std::vector<std::string>(60, a_record(1)))
                                            : answer(query, {}, 0x8380)};
    });
    Instance dns("dns");
    const Report report = dns.run(server.port(), with(www, {{"answers", "60"}}));
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
    EXPECT_EQ(report.detail, "NOERROR, 60 A records (over TCP, as the answer over UDP was truncated)");
    EXPECT_EQ(server.queries(), 2);
}

TEST(PulseDns, ATruncatedAnswerWithoutTcpFails) {
    const ClosedPort closed;  // TCP only: UDP of the same port is free for the server below
    NameServer server([](std::string_view query, bool tcp) {
        return tcp ? std::vector<std::string>{} : std::vector<std::string>{answer(query, {}, 0x8380)};
    });
    Instance dns("dns");
    const auto run = dns.pulse.start(dns.pulse.add(gorb::testing::address("127.0.0.1", server.port()), www));
    EXPECT_TRUE(dns.host.loop().run_until([&] { return server.queries() == 2; }));
    dns.host.loop().advance(seconds(5));
    const auto report = dns.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_FAIL);
    EXPECT_EQ(report->detail,
              "no answer over TCP (asked again over TCP, as the answer over UDP was truncated)");
}

TEST(PulseDns, RepeatsTheQueryWithinTheTimeout) {
    std::atomic<int> heard{0};
    NameServer server([&](std::string_view query, bool tcp) {
        return ++heard == 3 ? one(query, tcp) : silent(query, tcp);
    });
    Instance dns("dns");
    const auto run =
        dns.pulse.start(dns.pulse.add(gorb::testing::address("127.0.0.1", server.port()), www), seconds(3));
    for (int turn = 1; turn <= 3; ++turn) {
        EXPECT_TRUE(dns.host.loop().run_until([&] { return heard == turn; })) << turn;
        if (turn < 3) dns.host.loop().advance(seconds(1));
    }
    const auto report = dns.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_PASS);
}

TEST(PulseDns, AtTheDeadlineSilenceFailsAndSaysHowOftenItAsked) {
    NameServer server(silent);
    Instance dns("dns");
    const auto run = dns.pulse.start(
        dns.pulse.add(gorb::testing::address("127.0.0.1", server.port()), with(www, {{"tries", "2"}})));
    EXPECT_TRUE(dns.host.loop().run_until([&] { return server.queries() == 1; }));
    dns.host.loop().advance(seconds(5));
    const auto report = dns.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_FAIL);
    EXPECT_EQ(report->detail, "no answer to 2 queries");
    EXPECT_EQ(report->code, ETIMEDOUT);
}

TEST(PulseDns, SpoofedAnswersAreNotHeededAndTheRealOneIs) {
    NameServer server([](std::string_view query, bool) {
        std::string id = answer(query, {a_record(66)});
        id[0] = static_cast<char>(id[0] ^ 1);
        std::string question = answer(query, {a_record(66)});
        question[13] = 'x';
        return std::vector<std::string>{id, question, "x", std::string(query), answer(query, {a_record(1)})};
    });
    Instance dns("dns");
    const Report report = dns.run(server.port(), with(www, {{"expect", "192.0.2.1"}}));
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
}

TEST(PulseDns, WhatWasNotHeededIsSaidWhenNothingElseComes) {
    NameServer server(
        [](std::string_view query, bool) { return std::vector<std::string>{std::string(query)}; });
    Instance dns("dns");
    const auto run = dns.pulse.start(
        dns.pulse.add(gorb::testing::address("127.0.0.1", server.port()), with(www, {{"tries", "1"}})));
    EXPECT_FALSE(dns.pulse.wait(run, milliseconds(200))) << "an echo is no answer";
    dns.host.loop().advance(seconds(5));
    const auto report = dns.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->detail, "no answer to 1 query; 1 packet was not heeded: it is a query");
}

TEST(PulseDns, ForeignAnswersOverTcpFailAtOnce) {
    NameServer server(
        [](std::string_view query, bool) { return std::vector<std::string>{std::string(query)}; });
    Instance dns("dns");
    const Report report = dns.run(server.port(), with(www, {{"transport", "tcp"}}));
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "no answer to the query: it is a query");
}

TEST(PulseDns, EveryCheckHasAnIdOfItsOwn) {
    std::mutex mutex;
    std::set<std::string> ids;
    NameServer server([&](std::string_view query, bool tcp) {
        const std::lock_guard<std::mutex> lock(mutex);
        ids.insert(std::string(query.substr(0, 2)));
        return one(query, tcp);
    });
    Instance dns("dns");
    const auto probe = dns.pulse.add(gorb::testing::address("127.0.0.1", server.port()), www);
    for (int turn = 0; turn < 20; ++turn) EXPECT_EQ(dns.pulse.run(probe)->verdict, GORB_PASS);
    EXPECT_GT(ids.size(), 15u);
}

TEST(PulseDns, NobodyOnThePortFails) {
    uint16_t port = 0;
    {
        NameServer server(silent);
        port = server.port();
    }
    Instance dns("dns");
    const Report udp = dns.run(port, www);
    EXPECT_EQ(udp.verdict, GORB_FAIL);
    EXPECT_THAT(udp.detail, StartsWith("nothing listens on the UDP port"));
    EXPECT_EQ(udp.code, ECONNREFUSED);
    EXPECT_EQ(dns.run(port, with(www, {{"transport", "tcp"}})).detail, "connection refused");
}

TEST(PulseDns, AServerThatHangsUpFails) {
    const Server server([](Peer& peer) { peer.read_until("www"); });
    Instance dns("dns");
    const Report report = dns.run(server.port(), with(www, {{"transport", "tcp"}}));
    EXPECT_EQ(report.verdict, GORB_FAIL);
}

TEST(PulseDns, OurOwnTroubleIsUnknown) {
    Instance dns("dns");
    dns.host.fail_open = "no free file descriptor in this process";
    const Report report = dns.run(53, www);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_EQ(report.detail, "no free file descriptor in this process");
}

TEST(PulseDns, OurOwnTroubleOnTheWayToTcpIsUnknown) {
    Instance dns("dns");
    NameServer server(
        [&](std::string_view query, bool) { return std::vector<std::string>{answer(query, {}, 0x8380)}; });
    const auto run = dns.pulse.start(dns.pulse.add(gorb::testing::address("127.0.0.1", server.port()), www));
    dns.host.fail_open = "no free file descriptor in this process";
    const auto report = dns.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_UNKNOWN);
}

TEST(PulseDns, HowItCameToTcpIsSaidWhateverTheEnd) {
    const std::string again = " (asked again over TCP, as the answer over UDP was truncated)";
    for (const bool speaks : {false, true}) {
        // Over TCP it hangs up at once, or answers something else.
        NameServer server([&](std::string_view query, bool tcp) {
            if (!tcp) return std::vector<std::string>{answer(query, {}, 0x8380)};
            return speaks ? std::vector<std::string>{std::string(query)} : std::vector<std::string>{};
        });
        server.hangs_up = true;
        Instance dns("dns");
        const Report report = dns.run(server.port(), www);
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_EQ(report.detail,
                  (speaks ? "no answer to the query: it is a query" : "connection closed before an answer") +
                      again);
    }
}

TEST(PulseDns, SaysNothingAfterCancelAndStartsAgain) {
    std::atomic<bool> speaks{false};
    NameServer server(
        [&](std::string_view query, bool tcp) { return speaks ? one(query, tcp) : silent(query, tcp); });
    Instance dns("dns");
    const auto probe = dns.pulse.add(gorb::testing::address("127.0.0.1", server.port()), www);
    const auto run = dns.pulse.start(probe);
    dns.pulse.cancel(probe, run);
    dns.host.loop().advance(seconds(10));
    EXPECT_TRUE(dns.host.reports_of(run).empty());
    EXPECT_EQ(dns.host.held(), std::vector<std::string>());
    speaks = true;
    EXPECT_EQ(dns.pulse.run(probe)->verdict, GORB_PASS);
}

}  // namespace
}  // namespace plugin_test
