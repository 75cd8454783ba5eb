// pulse-udp as it is shipped.
#include <gmock/gmock.h>

#include "loaded.h"
#include "talk/udp_server.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::PulseRunner;
using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

const Values ping_udp = {{"send", "ping"}, {"expect", "pong"}};
const UdpServer::Handler silent = [](const std::string&, size_t) { return std::nullopt; };
UdpServer::Handler answers(std::string text) {
    return [text = std::move(text)](const std::string&, size_t) { return text; };
}

// A run whose clock the test moves; what was sent has arrived when this returns.
struct Waiting {
    Waiting(Instance& udp, UdpServer& server, const Values& args, milliseconds timeout = seconds(3))
        : udp_(udp), server_(server), probe(udp.pulse.add(address("127.0.0.1", server.port()), args)) {
        run = udp.pulse.start(probe, timeout);
        arrived(1);
    }
    void arrived(size_t count) {
        EXPECT_TRUE(udp_.host.loop().run_until([&] { return server_.seen().size() >= count; })) << count;
        for (int turn = 0; turn < 3; ++turn) udp_.host.loop().step(milliseconds(5));
    }
    bool open() const { return udp_.host.run_open(run); }
    Report report() const {
        const auto reports = udp_.host.reports_of(run);
        EXPECT_EQ(reports.size(), 1u);
        return reports.empty() ? Report{} : reports.front();
    }
    Instance& udp_;
    UdpServer& server_;
    PulseRunner::Probe probe;
    gorb_run run = 0;
};

TEST(PulseUdp, PassesOnTheExpectedAnswer) {
    const UdpServer server(answers("<pong>\n"));
    Instance udp("udp");
    const auto report = udp.run(server.port(), ping_udp);
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.detail, "answered \"<pong>\"");
    EXPECT_EQ(server.seen(), std::vector<std::string>{"ping"});
}

TEST(PulseUdp, AnAnswerMaySayTheShareOfTheWeight) {
    const UdpServer server(answers("load ok, 30%\n"));
    Instance udp("udp");
    const auto report = udp.run(server.port(), {{"send", "?"}, {"expect-regex", "(?P<share>[0-9]+)%"}});
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.share, 30u);
}

TEST(PulseUdp, SendsAndExpectsHex) {
    const UdpServer server(answers(std::string("\0\xff\x02", 3)));
    Instance udp("udp");
    EXPECT_EQ(udp.run(server.port(), {{"send-hex", "00 01"}, {"expect-hex", "ff02"}}).verdict, GORB_PASS);
    EXPECT_EQ(server.seen(), std::vector<std::string>{std::string("\0\1", 2)});
    EXPECT_EQ(udp.run(server.port(), {{"send-hex", "00"}, {"expect-regex", "^\\x00.\\x02$"}}).verdict,
              GORB_PASS);
}

TEST(PulseUdp, AnotherAnswerFailsAtOnceWithBothInWords) {
    const UdpServer server(answers("busy\x01"));
    Instance udp("udp");
    const auto report = udp.run(server.port(), ping_udp);
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "expected \"pong\", got \"busy\\x01\"");
}

TEST(PulseUdp, AnIcmpErrorFailsAtOnce) {
    Instance udp("udp");
    for (const Values& args : {ping_udp, Values{{"send", "x"}}, Values{}}) {
        const auto report = udp.run(closed_udp_port(), args);
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_EQ(report.detail, "nobody listens on that port (ICMP port unreachable)");
        EXPECT_EQ(report.code, ECONNREFUSED);
    }
}

TEST(PulseUdp, TriesAgainWithinTheTimeout) {
    UdpServer server([](const std::string&, size_t count) -> std::optional<std::string> {
        if (count < 3) return std::nullopt;
        return "pong";
    });
    Instance udp("udp");
    Waiting check(udp, server, ping_udp);
    udp.host.loop().advance(milliseconds(1000));
    check.arrived(2);
    EXPECT_TRUE(check.open());
    udp.host.loop().advance(milliseconds(1000));
    check.arrived(3);
    EXPECT_TRUE(udp.host.loop().run_until([&] { return !check.open(); }));
    EXPECT_EQ(check.report().verdict, GORB_PASS);
}

TEST(PulseUdp, AtTheDeadlineSilenceFailsInItsOwnWords) {
    UdpServer server(silent);
    Instance udp("udp");
    Waiting check(udp, server, {{"send", "ping"}, {"expect", "pong"}, {"tries", "2"}});
    udp.host.loop().advance(milliseconds(2900));
    check.arrived(2);
    EXPECT_TRUE(check.open());
    udp.host.loop().advance(milliseconds(100));
    EXPECT_EQ(check.report().verdict, GORB_FAIL);
    EXPECT_EQ(check.report().detail, "no answer within 3s (2 tries)");
    EXPECT_EQ(check.report().code, ETIMEDOUT);
    EXPECT_EQ(server.seen().size(), 2u);
}

TEST(PulseUdp, AnAnswerToAnEarlierTryIsAnAnswer) {
    UdpServer server([](const std::string&, size_t count) -> std::optional<std::string> {
        if (count == 2) return "pong 1";
        return std::nullopt;
    });
    Instance udp("udp");
    Waiting check(udp, server, ping_udp, milliseconds(300));
    udp.host.loop().advance(milliseconds(100));
    EXPECT_TRUE(udp.host.loop().run_until([&] { return !check.open(); }));
    EXPECT_EQ(check.report().verdict, GORB_PASS);
}

TEST(PulseUdp, WithoutAnExpectationSilenceIsFineAfterItsTime) {
    UdpServer server(silent);
    Instance udp("udp");
    Waiting check(udp, server, {{"send", "ping"}});
    udp.host.loop().advance(milliseconds(990));
    EXPECT_TRUE(check.open());
    udp.host.loop().advance(milliseconds(10));
    EXPECT_EQ(check.report().verdict, GORB_PASS);
    EXPECT_EQ(check.report().detail, "no ICMP error within 1s");
    EXPECT_EQ(server.seen().size(), 1u) << "nothing is sent again";
}

TEST(PulseUdp, SilenceNeverLastsLongerThanTheTimeout) {
    UdpServer server(silent);
    Instance udp("udp");
    Waiting check(udp, server, {{"send", "ping"}, {"wait", "1m"}}, milliseconds(200));
    udp.host.loop().advance(milliseconds(200));
    EXPECT_EQ(check.report().verdict, GORB_PASS);
    EXPECT_EQ(check.report().detail, "no ICMP error within 200ms");
}

TEST(PulseUdp, WhileTheLoopStandsStillNoSilenceIsHeard) {
    UdpServer server(silent);
    Instance udp("udp");
    auto* probe = udp.pulse.add(address("127.0.0.1", server.port()), {{"send", "ping"}});
    const gorb_run late = udp.pulse.start(probe, seconds(10));
    udp.host.loop().stand_still(seconds(2));
    EXPECT_TRUE(udp.host.loop().run_until([&] { return server.seen().size() == 1; }));
    udp.host.loop().advance(milliseconds(990));
    EXPECT_TRUE(udp.host.run_open(late)) << "the datagram went out less than a second ago";
    udp.host.loop().advance(milliseconds(10));
    EXPECT_EQ(udp.pulse.wait(late)->detail, "no ICMP error within 1s");
    // And where it stood still until the end.
    const gorb_run never = udp.pulse.start(probe, seconds(3));
    udp.host.loop().stand_still(seconds(4));
    const auto report = udp.pulse.wait(never);
    EXPECT_EQ(report->verdict, GORB_UNKNOWN);
    EXPECT_EQ(report->detail, "nothing was sent within 3s");
}

TEST(PulseUdp, WithoutAnExpectationAnyAnswerPassesAtOnce) {
    const UdpServer server(answers("whatever"));
    Instance udp("udp");
    const auto report = udp.run(server.port());
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.detail, "answered \"whatever\"");
    EXPECT_EQ(server.seen(), std::vector<std::string>{""}) << "an empty datagram";
}

TEST(PulseUdp, OverIpv6AndToAnotherPort) {
    const UdpServer server(answers("pong"), true);
    Instance udp("udp");
    Values args = ping_udp;
    args["port"] = std::to_string(server.port());
    EXPECT_EQ(udp.run(1, args, "::1").verdict, GORB_PASS);
}

TEST(PulseUdp, OurOwnTroubleIsUnknown) {
    Instance udp("udp");
    udp.host.fail_open = "no free file descriptor in this process";
    auto report = udp.run(1, ping_udp);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_EQ(report.detail, "no free file descriptor in this process");
    udp.host.fail_open = "";
    for (const int own : {EADDRNOTAVAIL, ENOBUFS, EPERM}) {
        udp.host.fail_connect = own;
        EXPECT_EQ(udp.run(1, ping_udp).verdict, GORB_UNKNOWN) << own;
    }
    udp.host.fail_connect = EHOSTUNREACH;
    EXPECT_EQ(udp.run(1, ping_udp).verdict, GORB_FAIL);
    udp.host.fail_connect = 0;
    udp.host.fail_timers = true;
    const UdpServer server(silent);
    EXPECT_EQ(udp.run(server.port(), ping_udp).verdict, GORB_UNKNOWN);
}

TEST(PulseUdp, CancelAtEveryStageIsSilentAndTheNextRunIsAsEver) {
    UdpServer server([](const std::string&, size_t count) -> std::optional<std::string> {
        if (count < 12) return std::nullopt;
        return "pong";
    });
    Instance udp("udp");
    auto* probe = udp.pulse.add(address("127.0.0.1", server.port()), ping_udp);
    for (int stage = 0; stage < 6; ++stage) {
        const gorb_run run = udp.pulse.start(probe, milliseconds(300));
        for (int i = 0; i < stage; ++i) {
            udp.host.loop().step(milliseconds(1));
            if (i > 1) udp.host.loop().advance(milliseconds(60));
        }
        udp.pulse.cancel(probe, run);
        EXPECT_TRUE(udp.host.held().empty()) << stage;
    }
    EXPECT_TRUE(udp.host.reports().empty());
    while (server.seen().size() < 12 && udp.host.reports().empty()) {
        const gorb_run run = udp.pulse.start(probe, milliseconds(300));
        udp.host.loop().run_until(
            [&, before = server.seen().size()] { return server.seen().size() > before; });
        udp.pulse.cancel(probe, run);
    }
    EXPECT_EQ(udp.pulse.run(probe)->verdict, GORB_PASS);
}

TEST(PulseUdp, ARegexBeyondItsLimitsFailsAndNamesThem) {
    const UdpServer server(answers(std::string(60000, 'a') + "!"));
    Instance udp("udp");
    const auto report = udp.run(server.port(), {{"send", "x"}, {"expect-regex", "(a+)+[bc]"}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_THAT(report.detail,
                HasSubstr("the answer takes more than 100000 steps to match against /(a+)+[bc]/"));
}

TEST(PulseUdp, RefusesWhatDoesNotGoTogether) {
    const auto refusal = [](const Values& args) { return PulseRunner::check(plugin("udp"), args); };
    EXPECT_EQ(refusal({}), "");
    EXPECT_EQ(refusal(ping_udp), "");
    EXPECT_THAT(refusal({{"send", "a"}, {"send-hex", "00"}}), HasSubstr("exclude"));
    EXPECT_THAT(refusal({{"expect-regex", "("}}), HasSubstr("no regular expression"));
    EXPECT_THROW(refusal({{"tries", "0"}}), std::invalid_argument);
    EXPECT_THROW(refusal({{"wait", "1ms"}}), std::invalid_argument);
}

}  // namespace
}  // namespace plugin_test
