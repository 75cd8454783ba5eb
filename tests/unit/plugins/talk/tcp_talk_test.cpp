// pulse-tcp as it is shipped, in conversation with servers of every kind.
#include <gmock/gmock.h>

#include "loaded.h"
#include "server.h"
#include "tls_server.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

const Values ping = {{"send", "PING\\r\\n"}, {"expect-regex", "^\\+PONG\r\n"}};

// Starts a run, turns the loop until `when`, then moves the clock to the end of the run's time.
Report timed_out(Instance& tcp, uint16_t port, const Values& args, const std::function<bool()>& when) {
    auto* probe = tcp.pulse.add(address("127.0.0.1", port), args);
    const gorb_run run = tcp.pulse.start(probe, seconds(5));
    EXPECT_TRUE(tcp.host.loop().run_until(when));
    for (int turn = 0; turn < 5; ++turn) tcp.host.loop().step(milliseconds(10));
    EXPECT_TRUE(tcp.host.run_open(run)) << "answered too early";
    tcp.host.loop().advance(seconds(5));
    EXPECT_FALSE(tcp.host.run_open(run)) << "at the deadline, in the plugin's own words";
    const auto reports = tcp.host.reports_of(run);
    return reports.empty() ? Report{} : reports.front();
}

TEST(PulseTcpTalk, SendsAndPassesOnTheExpectedAnswer) {
    std::atomic<int> end{-1};
    std::string asked;
    const Server server([&](Peer& peer) {
        asked = peer.read_until("\r\n");
        peer.write("+PONG\r\n");
        end = peer.wait_for_end();
    });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port(), ping);
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.detail, "answered \"+PONG\"");
    EXPECT_TRUE(tcp.host.loop().run_until([&] { return end != -1; }));
    EXPECT_EQ(end, ECONNRESET) << "nothing lingers";
    EXPECT_EQ(asked, "PING\r\n");
}

// As HAProxy's agent-check: a number of per cent in a line.
TEST(PulseTcpTalk, AnAgentSaysWhatShareOfItsWeightItsBackendGets) {
    std::string line = "ready 50%\n";
    const Server server([&](Peer& peer) {
        peer.write(line);
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const Values agent{{"expect-regex", "^(?:up|ready)?(?: *(?P<share>[0-9]+)%)?\\r?\\n"}};
    auto report = tcp.run(server.port(), agent);
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.share, 50u);
    EXPECT_EQ(report.warning, "");
    line = "75%\n";
    EXPECT_EQ(tcp.run(server.port(), agent).share, 75u);
    line = "up\n";
    EXPECT_EQ(tcp.run(server.port(), agent).share, 100u);
    line = "200%\n";
    report = tcp.run(server.port(), agent);
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_EQ(report.share, 100u);
    EXPECT_EQ(report.warning, "its share must be a whole number from 0 to 100 (per cent), not \"200\"");
    line = "drain\n";
    EXPECT_EQ(tcp.run(server.port(), agent).verdict, GORB_FAIL);
}

TEST(PulseTcpTalk, AnotherAnswerFailsAtOnceWithBothInWords) {
    const Server server([](Peer& peer) {
        peer.read_until("\r\n");
        peer.write("-NOAUTH Authentication required.\r\n");
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port(), ping);
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "expected /^\\+PONG\\r\\n/, got \"-NOAUTH Authentication required.\"");
}

TEST(PulseTcpTalk, TalksInSeveralSteps) {
    std::string heard;
    std::atomic<bool> over{false};
    const Server server([&](Peer& peer) {
        peer.write("220 mail\r\n");
        heard = peer.read_until("\r\n");
        peer.write_slowly("250-mail\r\n250-SIZE 1\r\n250 HELP\r\n");
        heard += peer.read_until("\r\n");
        over = true;
        peer.write("221 bye\r\n");
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port(), {{"steps", R"([
        {"expect-regex": "^220 .*\r\n"}, {"send": "EHLO gorb\r\n", "expect-regex": "^(250-.*\r\n)*250 "},
        {"send": "QUIT\r\n", "expect": "221"}])"}});
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
    EXPECT_TRUE(over);
    EXPECT_EQ(heard, "EHLO gorb\r\nQUIT\r\n");
}

TEST(PulseTcpTalk, AFarewellIsSentAndTheStreamFinished) {
    std::string heard;
    std::atomic<int> end{-1};
    const Server server([&](Peer& peer) {
        peer.write("hello\n");
        heard = peer.read_until("\n");
        end = peer.wait_for_end();
    });
    Instance tcp("tcp");
    EXPECT_EQ(tcp.run(server.port(), {{"steps", R"([{"expect": "hello"}, {"send": "bye\\n"}])"}}).verdict,
              GORB_PASS);
    EXPECT_TRUE(tcp.host.loop().run_until([&] { return end != -1; }));
    EXPECT_EQ(heard, "bye\n");
}

TEST(PulseTcpTalk, RefusedIsFailWithErrno) {
    const ClosedPort closed;
    Instance tcp("tcp");
    const auto report = tcp.run(closed.port(), ping);
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "connection refused");
    EXPECT_EQ(report.code, ECONNREFUSED);
}

TEST(PulseTcpTalk, ASilentServerFailsWithinTheTimeAndTheReasonSaysSo) {
    std::atomic<bool> asked{false};
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n");
        asked = true;
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const auto report = timed_out(tcp, server.port(), ping, [&] { return asked.load(); });
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "nothing came within the timeout, expected /^\\+PONG\\r\\n/");
    EXPECT_EQ(report.code, ETIMEDOUT);
}

TEST(PulseTcpTalk, AByteNowAndThenDoesNotMoveTheDeadline) {
    std::atomic<int> sent{0}, wanted{1};
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n");
        for (; sent < 5; ++sent) {
            while (wanted <= sent) std::this_thread::sleep_for(milliseconds(1));
            peer.write(std::string_view("+PONG").substr(static_cast<size_t>(sent), 1));
        }
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    auto* probe = tcp.pulse.add(address("127.0.0.1", server.port()), ping);
    const gorb_run run = tcp.pulse.start(probe, seconds(5));
    for (int byte = 1; byte <= 5; ++byte) {
        wanted = byte;
        EXPECT_TRUE(tcp.host.loop().run_until([&] { return sent >= byte; }));
        for (int turn = 0; turn < 5; ++turn) tcp.host.loop().step(milliseconds(10));
        if (byte < 5) tcp.host.loop().advance(seconds(1));
    }
    EXPECT_TRUE(tcp.host.run_open(run));
    tcp.host.loop().advance(seconds(1));
    ASSERT_EQ(tcp.host.reports_of(run).size(), 1u);
    EXPECT_EQ(tcp.host.reports_of(run)[0].detail,
              "expected /^\\+PONG\\r\\n/ within the timeout, got \"+PONG\"");
}

TEST(PulseTcpTalk, EndlessDataEndsAtTheLimit) {
    const Server server([](Peer& peer) {
        peer.read_until("\r\n");
        for (int i = 0; i < 64; ++i) peer.write(std::string(65536, 'x'));
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port(), {{"send", "a\\r\\n"}, {"expect", "+PONG"}, {"limit", "1000"}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_THAT(report.detail, HasSubstr("expected \"+PONG\" within 1000 bytes, got \"xxxx"));
}

TEST(PulseTcpTalk, GarbageIsShownCleaned) {
    const Server server([](Peer& peer) {
        peer.read_until("\r\n");
        peer.write(std::string("\x16\x03\x01\0\xff\x1b[31m", 10));
    });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port(), {{"send", "PING\\r\\n"}, {"expect", "+PONG"}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, R"(connection closed before "+PONG" came, got "\x16\x03\x01\0\xff\x1b[31m")");
}

TEST(PulseTcpTalk, ClosedAndResetMidwaySayWhatWasMissing) {
    for (const bool reset : {false, true}) {
        const Server server([&](Peer& peer) {
            peer.read_until("\r\n");
            if (reset) peer.reset();
        });
        Instance tcp("tcp");
        const auto report = tcp.run(server.port(), {{"send", "a\r\n"}, {"expect", "220"}});
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_EQ(report.detail, reset ? "connection reset by the other side before \"220\" came"
                                       : "connection closed before \"220\" came");
        EXPECT_EQ(report.code, reset ? ECONNRESET : 0);
    }
}

TEST(PulseTcpTalk, AHandshakeThatNeverEndsIsTimedOutAsSuch) {
    std::atomic<bool> accepted{false};
    const Server server([&](Peer& peer) {
        accepted = true;
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const Report report = timed_out(tcp, server.port(), {{"tls", "true"}, {"verify", "false"}},
                                    [&] { return accepted.load(); });
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "timed out in the TLS handshake");
    EXPECT_EQ(report.code, ETIMEDOUT);
}

TEST(PulseTcpTalk, OurOwnTroubleIsUnknown) {
    Instance tcp("tcp");
    tcp.host.fail_open = "no free file descriptor in this process";
    auto report = tcp.run(1, ping);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_EQ(report.detail, "no free file descriptor in this process");
    tcp.host.fail_open = "";
    tcp.host.fail_connect = EADDRNOTAVAIL;
    report = tcp.run(1, ping);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_EQ(report.code, EADDRNOTAVAIL);
}

TEST(PulseTcpTalk, CancelAtEveryStageIsSilentAndTheNextRunIsAsEver) {
    std::atomic<int> connections{0};
    const Server server([&](Peer& peer) {
        ++connections;
        peer.write("220 ");
        if (peer.read_until("a").empty()) return;
        peer.write("250 ");
        if (peer.read_until("b").empty()) return;
        peer.write("done");
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    auto* probe = tcp.pulse.add(address("127.0.0.1", server.port()), {{"steps", R"([{"expect": "220 "},
        {"send": "a", "expect": "250 "}, {"send": "b", "expect": "done"}])"}});
    for (int turns = 0; turns < 12; ++turns) {
        const gorb_run run = tcp.pulse.start(probe);
        for (int i = 0; i < turns && tcp.host.run_open(run); ++i) tcp.host.loop().step(milliseconds(1));
        tcp.pulse.cancel(probe, run);
        EXPECT_TRUE(tcp.host.held().empty()) << turns;
        for (int i = 0; i < 3; ++i) tcp.host.loop().step(milliseconds(1));
    }
    EXPECT_EQ(tcp.pulse.run(probe)->verdict, GORB_PASS);
    for (const Report& report : tcp.host.reports()) EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
}

TEST(PulseTcpTalk, ARegexBeyondItsLimitsFailsAndNamesThem) {
    const Server server([](Peer& peer) {
        peer.write(std::string(4000, 'a') + "!");
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port(), {{"expect-regex", "(a+)+[bc]"}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_THAT(report.detail,
                HasSubstr("the reply takes more than 100000 steps to match against /(a+)+[bc]/"));
    EXPECT_LT(tcp.host.slowest().took, milliseconds(100))
        << "the loop is never held for long: " << tcp.host.slowest().what;
}

TEST(PulseTcpTalk, ManyTargetsWithEqualAndDifferentConversations) {
    const Server server([](Peer& peer) { peer.write("hello\n"); });
    Instance tcp("tcp");
    std::map<gorb_run, uint32_t> wanted;
    for (int i = 0; i < 100; ++i) {
        const bool good = i % 3 != 0;
        const Values args = {{"expect-regex", good ? "^hello" : "^goodbye" + std::to_string(i)}};
        wanted[tcp.pulse.start(tcp.pulse.add(address("127.0.0.1", server.port()), args))] =
            good ? GORB_PASS : GORB_FAIL;
    }
    ASSERT_TRUE(tcp.host.loop().run_until([&] { return tcp.host.reports().size() == wanted.size(); }));
    for (const Report& report : tcp.host.reports())
        EXPECT_EQ(report.verdict, wanted[report.run]) << report.detail;
}

TEST(PulseTcpTalk, TalksOverTlsToAServerItTrusts) {
    const auto ca = tls_test::Identity::authority();
    const tls_test::PemFile trusted(ca.certificate_pem());
    const tls_test::TlsServer server(ca.sign({.names = {"mail.example", "127.0.0.1"}}),
                                     [](tls_test::TlsPeer& peer) {
                                         peer.write("220 mail\r\n");
                                         peer.wait_for_end();
                                     });
    Instance tcp("tcp");
    Values args = {{"tls", "true"}, {"ca", trusted.path()}, {"expect", "220 "}};
    auto report = tcp.run(server.port(), args);
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
    args["tls-name"] = "other.example";
    report = tcp.run(server.port(), args);
    EXPECT_EQ(report.verdict, GORB_FAIL) << "another name than the certificate's";
    EXPECT_NE(report.detail, "");
    args["tls-name"] = "mail.example";
    EXPECT_EQ(tcp.run(server.port(), args).verdict, GORB_PASS);
    args.erase("expect");
    report = tcp.run(server.port(), args);
    EXPECT_EQ(report.verdict, GORB_PASS) << "TLS alone";
    EXPECT_EQ(report.detail, "connected, TLS agreed on");
}

TEST(PulseTcpTalk, AnUntrustedCertificateFailsUnlessItIsNotVerified) {
    const tls_test::TlsServer server(tls_test::Identity::self_signed({}), [](tls_test::TlsPeer& peer) {
        peer.write("220 mail\r\n");
        peer.wait_for_end();
    });
    Instance tcp("tcp");
    const auto report = tcp.run(server.port(), {{"tls", "true"}, {"expect", "220 "}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_THAT(report.detail, HasSubstr("certificate"));
    EXPECT_EQ(tcp.run(server.port(), {{"tls", "true"}, {"verify", "false"}, {"expect", "220 "}}).verdict,
              GORB_PASS);
}

TEST(PulseTcpTalk, ShowsItsOwnCertificateWhereOneIsDemanded) {
    const auto ca = tls_test::Identity::authority(), own = ca.sign({.common_name = "gorb"});
    const tls_test::PemFile trusted(ca.certificate_pem()), cert(own.certificate_pem()), key(own.key_pem());
    const tls_test::PemFile both(own.certificate_pem() + own.key_pem());
    tls_test::TlsServer::Options demands;
    demands.client_ca = trusted.path();
    const tls_test::TlsServer server(
        ca.sign({}),
        [](tls_test::TlsPeer& peer) {
            peer.write("hello");
            peer.wait_for_end();
        },
        demands);
    Instance tcp("tcp");
    Values args = {{"tls", "true"}, {"ca", trusted.path()}, {"expect", "hello"}};
    EXPECT_EQ(tcp.run(server.port(), args).verdict, GORB_FAIL);
    args["cert"] = cert.path();
    args["key"] = key.path();
    EXPECT_EQ(tcp.run(server.port(), args).verdict, GORB_PASS);
    args.erase("key");
    args["cert"] = both.path();
    EXPECT_EQ(tcp.run(server.port(), args).verdict, GORB_PASS);
    const auto late = ca.sign({.common_name = "gorb", .begins = -3 * 86400, .ends = -86400});
    const tls_test::PemFile ended(late.certificate_pem() + late.key_pem());
    args["cert"] = ended.path();
    const auto report = tcp.run(server.port(), args);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN) << "no fault of the server";
    EXPECT_THAT(report.detail, HasSubstr("client certificate " + ended.path() + " has expired ("));
}

}  // namespace
}  // namespace plugin_test
