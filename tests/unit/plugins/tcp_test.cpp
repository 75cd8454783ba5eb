#include <gmock/gmock.h>

#include "loaded.h"
#include "server.h"

namespace plugin_test {
namespace {

using gorb::testing::PulseRunner;
using std::chrono::seconds;

TEST(PulseTcp, PassesWhenTheConnectionOpens) {
    const Server server([](Peer& peer) { peer.wait_for_end(); });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port());
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.detail, "connected");
    EXPECT_EQ(report.code, 0);
    EXPECT_EQ(report.share, 100u);
}

TEST(PulseTcp, ResetsTheConnectionSoThatNothingLingers) {
    std::atomic<int> end{-1};
    const Server server([&](Peer& peer) { end = peer.wait_for_end(); });
    Instance tcp("tcp");
    EXPECT_EQ(tcp.run(server.port()).verdict, GORB_PASS);
    EXPECT_TRUE(tcp.host.loop().run_until([&] { return end != -1; }));
    EXPECT_EQ(end, ECONNRESET);
}

TEST(PulseTcp, FailsWithWordsAndErrnoWhenRefused) {
    const ClosedPort closed;
    Instance tcp("tcp");
    const auto report = tcp.run(closed.port());
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "connection refused");
    EXPECT_EQ(report.code, ECONNREFUSED);
}

TEST(PulseTcp, ChecksAnotherPortWhenToldTo) {
    const ClosedPort closed;
    const Server server([](Peer& peer) { peer.wait_for_end(); });
    Instance tcp("tcp");
    EXPECT_EQ(tcp.run(closed.port(), {{"port", std::to_string(server.port())}}).verdict, GORB_PASS);
    EXPECT_EQ(tcp.run(server.port(), {{"port", std::to_string(closed.port())}}).verdict, GORB_FAIL);
}

TEST(PulseTcp, ChecksOverIpv6) {
    const Server server([](Peer& peer) { peer.wait_for_end(); }, true);
    Instance tcp("tcp");
    EXPECT_EQ(tcp.run(server.port(), {}, "::1").verdict, GORB_PASS);
}

TEST(PulseTcp, TheTargetsTroubleIsFailAndOurOwnIsUnknown) {
    const ClosedPort closed;
    for (const int blamed : {EHOSTUNREACH, ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTDOWN}) {
        Instance tcp("tcp");
        tcp.host.fail_connect = blamed;
        const auto report = tcp.run(closed.port());
        EXPECT_EQ(report.verdict, GORB_FAIL) << blamed;
        EXPECT_EQ(report.code, blamed);
        EXPECT_THAT(report.detail, testing::Not(testing::HasSubstr("rror")))
            << "every usual errno has its own words";
    }
    for (const int own :
         {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, ENETUNREACH, ENODEV, EPERM, EAFNOSUPPORT}) {
        Instance tcp("tcp");
        tcp.host.fail_connect = own;
        const auto report = tcp.run(closed.port());
        EXPECT_EQ(report.verdict, GORB_UNKNOWN) << own;
        EXPECT_EQ(report.code, own);
    }
}

TEST(PulseTcp, NoDescriptorIsUnknownWithTheHostsWords) {
    Instance tcp("tcp");
    tcp.host.fail_open = "no free file descriptor in this process";
    const auto report = tcp.run(1);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_EQ(report.detail, "no free file descriptor in this process");
}

TEST(PulseTcp, SaysNothingAfterCancel) {
    const ClosedPort closed;
    Instance tcp("tcp");
    auto* probe = tcp.pulse.add(gorb::testing::address("127.0.0.1", closed.port()));
    const gorb_run run = tcp.pulse.start(probe);
    tcp.pulse.cancel(probe, run);
    for (int i = 0; i < 10; ++i) tcp.host.loop().step();
    EXPECT_TRUE(tcp.host.reports().empty());
    EXPECT_TRUE(tcp.host.held().empty());
    EXPECT_EQ(tcp.pulse.run(probe)->verdict, GORB_FAIL) << "the next run works as ever";
}

TEST(PulseTcp, RefusesAPortOutsideTheRange) {
    for (const char* port : {"0", "65536", "-1", "http"})
        EXPECT_THROW(PulseRunner::check(plugin("tcp"), {{"port", port}}), std::invalid_argument) << port;
    EXPECT_EQ(PulseRunner::check(plugin("tcp"), {{"port", "65535"}}), "");
}

TEST(PulseTcp, IgnoresAPathAndRefusesWhatNobodyAskedFor) {
    EXPECT_EQ(PulseRunner::check(plugin("tcp"), {{"path", "/health"}}), "");
    EXPECT_THROW(PulseRunner::check(plugin("tcp"), {{"status", "200"}}), std::invalid_argument);
}

TEST(PulseTcp, ManyTargetsAtOnce) {
    const ClosedPort closed;
    const Server server([](Peer&) {});
    Instance tcp("tcp");
    std::map<gorb_run, uint32_t> wanted;
    for (int i = 0; i < 100; ++i) {
        const uint16_t port = i % 2 ? closed.port() : server.port();
        const gorb_run run = tcp.pulse.start(tcp.pulse.add(gorb::testing::address("127.0.0.1", port)));
        wanted[run] = i % 2 ? GORB_FAIL : GORB_PASS;
    }
    ASSERT_TRUE(tcp.host.loop().run_until([&] { return tcp.host.reports().size() == wanted.size(); }));
    for (const auto& report : tcp.host.reports()) EXPECT_EQ(report.verdict, wanted[report.run]);
}

}  // namespace
}  // namespace plugin_test
