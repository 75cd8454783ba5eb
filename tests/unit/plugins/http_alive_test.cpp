// Connections that are kept from one check of pulse "http" to the next.
#include <gmock/gmock.h>

#include <deque>

#include "http_server.h"
#include "loaded.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// One target, checked again and again.
struct Checked : Instance {
    explicit Checked(uint16_t port, const Values& args = {})
        : Instance("http"), probe(pulse.add(address("127.0.0.1", port), args)) {}
    Report check() {
        run_id = pulse.start(probe);
        const auto report = pulse.wait(run_id);
        EXPECT_TRUE(report.has_value()) << "no answer";
        return report.value_or(Report{});
    }
    void turn(int times = 20) {
        for (int i = 0; i < times; ++i) host.loop().step(milliseconds(1));
    }
    bool turn_until(const std::function<bool()>& done) { return host.loop().run_until(done, seconds(5)); }
    bool kept() const { return host.held() == std::vector<std::string>{"1 connection"}; }
    bool nothing() const { return host.held().empty(); }

    gorb::testing::PulseRunner::Probe probe;
    gorb_run run_id = 0;
};

KeepServer::Act always_ok(size_t, size_t, const std::string&) {
    return KeepServer::ok();
}

TEST(PulseHttpAlive, OneConnectionServesTenChecksAndThenThereIsAFreshOne) {
    const KeepServer server(&always_ok);
    Checked http(server.port());
    for (int i = 0; i < 21; ++i) {
        ASSERT_EQ(http.check().verdict, GORB_PASS);
        ASSERT_TRUE(http.kept()) << "neither a timer nor a second connection stays";
    }
    std::vector<size_t> connections;
    for (const auto& seen : server.seen()) connections.push_back(seen.connection);
    std::vector<size_t> wanted(21, 0);
    std::fill(wanted.begin() + 10, wanted.begin() + 20, 1);
    wanted.back() = 2;
    EXPECT_EQ(connections, wanted);
    EXPECT_THAT(server.seen().back().text, Not(HasSubstr("Connection:")));
}

TEST(PulseHttpAlive, SilenceOnAKeptConnectionIsToldAsThat) {
    std::atomic<bool> asked{false};
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        peer.read_until("\r\n\r\n");
        asked = true;
        peer.wait_for_end();
    });
    Instance http("http");
    auto* probe = http.pulse.add(address("127.0.0.1", server.port()), {{"fresh-every", "0"}});
    ASSERT_EQ(http.pulse.run(probe)->verdict, GORB_PASS);
    const gorb_run run = http.pulse.start(probe);
    EXPECT_TRUE(http.host.loop().run_until([&] { return asked.load(); }));
    http.host.loop().advance(seconds(5));
    const auto report = http.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->detail, "timed out, before a reply, on the connection kept from an earlier check");
}

TEST(PulseHttpAlive, FreshEverySaysHowOften) {
    for (const auto& [every, connections] : {std::pair{"1", 6U}, {"3", 2U}, {"0", 1U}}) {
        const KeepServer server(&always_ok);
        Checked http(server.port(), {{"fresh-every", every}});
        for (int i = 0; i < 6; ++i) ASSERT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_EQ(server.connections(), connections) << every;
    }
}

TEST(PulseHttpAlive, TargetsThatCameTogetherTakeTurnsWithTheirFreshConnections) {
    std::deque<KeepServer> servers;
    Instance http("http");
    std::vector<gorb::testing::PulseRunner::Probe> probes;
    probes.reserve(20);
    for (int i = 0; i < 20; ++i) {
        probes.push_back(http.pulse.add(address("127.0.0.1", servers.emplace_back(&always_ok).port())));
    }
    const auto connections = [&] {
        size_t all = 0;
        for (const KeepServer& server : servers) all += server.connections();
        return all;
    };
    const auto check_all = [&] {
        for (const auto& probe : probes) ASSERT_TRUE(http.pulse.run(probe).has_value());
    };
    check_all();  // each has its first connection now
    for (int round = 0; round < 20; ++round) {
        const size_t before = connections();
        check_all();
        EXPECT_EQ(connections() - before, 2U) << "a tenth of them, round " << round;
    }
}

TEST(PulseHttpAlive, AConnectionThatIsNotKeptIsClosedByTheServerFirst) {
    std::atomic<int> end{-1};
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        end = peer.wait_for_end();  // what the client did before we close
    });
    Checked http(server.port(), {{"keep-alive", "false"}});
    EXPECT_EQ(http.check().verdict, GORB_PASS);
    http.turn();
    EXPECT_EQ(end, -1) << "the client waits for the server to close";
    http.host.loop().advance(seconds(5));
    EXPECT_TRUE(http.turn_until([&] { return end != -1; }));
    EXPECT_EQ(end, ECONNRESET) << "but not beyond the check's deadline";
    EXPECT_TRUE(http.nothing());

    const KeepServer prompt(
        [](size_t, size_t, const std::string&) { return KeepServer::closing(KeepServer::ok()); });
    Checked other(prompt.port(), {{"keep-alive", "false"}});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(other.check().verdict, GORB_PASS);
    EXPECT_THAT(prompt.seen().back().text, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_EQ(prompt.connections(), 3u);
    EXPECT_TRUE(other.turn_until([&] { return other.nothing(); }));
    EXPECT_TRUE(other.host.rechecks().empty()) << "there is nothing to watch";
}

TEST(PulseHttpAlive, TheNextCheckDoesNotWaitForAServerThatDoesNotClose) {
    const KeepServer server(&always_ok);
    Checked http(server.port(), {{"keep-alive", "false"}});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(http.check().verdict, GORB_PASS);
    EXPECT_EQ(server.connections(), 3u);
}

TEST(PulseHttpAlive, AServerThatDiesAsksForACheckAtOnceAndThatIsNoVerdict) {
    auto server = std::make_unique<KeepServer>(&always_ok);
    Checked http(server->port());
    EXPECT_EQ(http.check().verdict, GORB_PASS);
    EXPECT_TRUE(http.host.rechecks().empty());
    server.reset();
    EXPECT_TRUE(http.turn_until([&] { return !http.host.rechecks().empty(); }));
    EXPECT_EQ(http.host.rechecks(), std::vector<gorb_run>{http.run_id});
    EXPECT_EQ(http.host.reports().size(), 1u) << "the check decides, not the close";
    EXPECT_TRUE(http.nothing());
    const auto report = http.check();
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "connection refused");
    http.turn();
    EXPECT_EQ(http.host.rechecks().size(), 1u);
}

TEST(PulseHttpAlive, WhatComesUnaskedEndsTheConnectionAndAsksForACheck) {
    std::atomic<bool> talk{false};
    const Server server([&](Peer& peer) {
        peer.read_until("\r\n\r\n");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        while (!talk) std::this_thread::yield();
        peer.write("HTTP/1.1 408 Request Timeout\r\n\r\n");
        peer.wait_for_end();
    });
    Checked http(server.port());
    const auto report = http.check();
    const bool kept = http.kept();
    talk = true;
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_TRUE(kept);
    EXPECT_TRUE(http.turn_until([&] { return http.nothing(); }));
    EXPECT_EQ(http.host.rechecks().size(), 1u);
}

TEST(PulseHttpAlive, AServersIdleTimeoutIsLearntAndAsksForNothingThen) {
    const KeepServer server(
        [](size_t, size_t, const std::string&) { return KeepServer::closing(KeepServer::ok()); });
    Checked http(server.port());
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_TRUE(http.turn_until([&] { return http.nothing(); }));
    }
    EXPECT_LE(http.host.rechecks().size(), 2u);
}

TEST(PulseHttpAlive, ARequestThatAClosingConnectionLostIsSentAgainOnce) {
    for (const bool reset : {false, true}) {
        const KeepServer server([reset](size_t connection, size_t request, const std::string&) {
            if (connection == 0 && request == 1) return KeepServer::Act{"", !reset, reset};
            return KeepServer::ok();
        });
        Checked http(server.port());
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_EQ(server.connections(), 2u);
        EXPECT_EQ(server.seen().size(), 3u) << "asked once, and twice in the second run";
        EXPECT_TRUE(http.kept());
    }
}

TEST(PulseHttpAlive, A408ThatEndsAnIdleConnectionIsNoAnswerToTheRequestThatMeetsIt) {
    const std::string timeout =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    for (const bool always : {false, true}) {
        const KeepServer server([&](size_t connection, size_t request, const std::string&) {
            if (request == 1 || (always && connection > 0))
                return KeepServer::closing(KeepServer::raw(timeout));
            return KeepServer::ok();
        });
        Checked http(server.port());
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        const Report report = http.check();
        EXPECT_EQ(report.verdict, always ? GORB_FAIL : GORB_PASS) << report.detail;
        EXPECT_EQ(report.code, always ? 408 : 200);
        EXPECT_EQ(server.connections(), 2u);
    }
}

TEST(PulseHttpAlive, TheSecondAttemptIsTheLast) {
    const KeepServer server([](size_t connection, size_t, const std::string&) {
        return connection == 0 ? KeepServer::ok() : KeepServer::Act{"", true};
    });
    Checked http(server.port());
    EXPECT_EQ(http.check().verdict, GORB_PASS);
    // Connection 0 is kept, and serves; what is asked on a fresh one gets no answer.
    EXPECT_EQ(http.check().verdict, GORB_PASS);
    Checked fresh(server.port());
    http.pulse.remove(http.probe);
    const auto report = fresh.check();
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "connection closed before a reply");
    EXPECT_EQ(server.connections(), 2u) << "a fresh connection gets no second attempt";
}

TEST(PulseHttpAlive, NothingIsSentAgainOnceAByteOfTheReplyHasCome) {
    const KeepServer server([](size_t, size_t request, const std::string&) {
        return request == 0 ? KeepServer::ok() : KeepServer::Act{"HTTP/1.1 200 OK\r\nServ", true};
    });
    Checked http(server.port());
    EXPECT_EQ(http.check().verdict, GORB_PASS);
    const auto report = http.check();
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "connection closed in the middle of a reply");
    EXPECT_EQ(server.connections(), 1u);
}

TEST(PulseHttpAlive, AfterAFailureTheConnectionIsFresh) {
    const KeepServer server([](size_t connection, size_t, const std::string&) {
        return connection == 0 ? KeepServer::raw("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                               : KeepServer::ok();
    });
    Checked http(server.port());
    EXPECT_EQ(http.check().verdict, GORB_FAIL);
    EXPECT_TRUE(http.nothing());
    EXPECT_EQ(http.check().verdict, GORB_PASS);
    EXPECT_EQ(server.connections(), 2u);
}

TEST(PulseHttpAlive, OnlyAWantOfPortsOrDescriptorsForbidsToKeepAConnection) {
    for (const auto& [err, kept] : {std::pair(ENETUNREACH, true),
                                    {ENOENT, true},
                                    {0, true},
                                    {EADDRNOTAVAIL, false},
                                    {EMFILE, false},
                                    {ENFILE, false}}) {
        const KeepServer server(&always_ok);
        Checked http(server.port());
        http.host.fail_open = "not now";
        http.host.fail_open_errno = err;
        const Report report = http.check();
        EXPECT_EQ(report.verdict, GORB_UNKNOWN);
        EXPECT_EQ(report.code, err);
        http.host.fail_open = "";
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_EQ(http.kept(), kept) << err;
        if (kept) continue;
        http.host.loop().advance(std::chrono::minutes(10));
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_TRUE(http.kept()) << err;
    }
}

TEST(PulseHttpAlive, AReplyThatSaysCloseIsNotKept) {
    const KeepServer server([](size_t, size_t, const std::string&) {
        return KeepServer::closing(KeepServer::ok("ok", "Connection: close\r\n"));
    });
    Checked http(server.port());
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_TRUE(http.turn_until([&] { return http.nothing(); }));
    }
    EXPECT_TRUE(http.host.rechecks().empty()) << "it said so";
}

TEST(PulseHttpAlive, TheRestOfABodyIsReadAfterTheVerdictSoThatTheConnectionCanBeKept) {
    std::atomic<bool> rest{false};
    const Server server([&](Peer& peer) {
        for (;;) {
            if (peer.read_until("\r\n\r\n").empty()) return;
            peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            while (!rest) std::this_thread::yield();
            peer.write("0\r\n\r\n");
        }
    });
    Checked http(server.port());
    const auto report = http.check();
    const auto held = http.host.held();
    rest = true;
    EXPECT_EQ(report.verdict, GORB_PASS) << "before the body's end";
    EXPECT_EQ(held, (std::vector<std::string>{"1 connection", "1 timer"}));
    EXPECT_TRUE(http.turn_until([&] { return http.kept(); }));
    EXPECT_EQ(http.check().verdict, GORB_PASS);
}

TEST(PulseHttpAlive, ABodyThatDoesNotEndIsGivenUpAtTheDeadline) {
    const KeepServer server([](size_t, size_t, const std::string&) {
        return KeepServer::Act{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false,
                               false, true};
    });
    Checked http(server.port());
    EXPECT_EQ(http.check().verdict, GORB_PASS);
    EXPECT_FALSE(http.nothing());
    http.host.loop().advance(seconds(5));
    EXPECT_TRUE(http.nothing());
    EXPECT_TRUE(http.host.rechecks().empty());
    EXPECT_TRUE(http.turn_until([&] { return server.end_of(0) == ECONNRESET; }));
}

TEST(PulseHttpAlive, ALongBodyIsNotReadForTheSakeOfTheConnection) {
    for (const char* length : {"Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"}) {
        const Server server([&](Peer& peer) {
            peer.read_until("\r\n\r\n");
            std::string reply = "HTTP/1.1 200 OK\r\n" + std::string(length) + "\r\n";
            if (length[0] == 'T') reply += "186a0\r\n";
            peer.write(reply + std::string(100000, 'a'));
            peer.wait_for_end();
        });
        Checked http(server.port());
        EXPECT_EQ(http.check().verdict, GORB_PASS);
        EXPECT_TRUE(http.turn_until([&] { return http.nothing(); })) << length;
    }
}

TEST(PulseHttpAlive, CancelEndsTheCheckInEveryStateAndSparesAKeptConnection) {
    std::atomic<int> mode{0};
    const KeepServer server([&](size_t, size_t, const std::string&) {
        switch (mode) {
            case 1:
                return KeepServer::Act{"", false, false, true};
            case 2:
                return KeepServer::Act{"HTTP/1.1 200 OK\r\n", false, false, true};
            case 3:
                return KeepServer::Act{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", false, false, true};
            default:
                return KeepServer::ok();
        }
    });
    Checked http(server.port(), {{"expect-body", "ok"}});
    for (const int state : {0, 1, 2, 3}) {
        mode = state;
        const size_t before = server.seen().size();
        const gorb_run run = http.pulse.start(http.probe);
        if (state > 0) http.turn_until([&] { return server.seen().size() > before; });
        if (state > 1) http.turn();
        ASSERT_TRUE(http.host.run_open(run)) << state;
        http.pulse.cancel(http.probe, run);
        EXPECT_TRUE(http.nothing()) << state;
        http.turn();
        EXPECT_TRUE(http.host.reports_of(run).empty()) << state;
        mode = 0;
        EXPECT_EQ(http.check().verdict, GORB_PASS) << state;
        EXPECT_TRUE(http.kept());
        http.pulse.cancel(http.probe, http.run_id);
        EXPECT_TRUE(http.kept()) << "that run was over";
        // and one on the kept connection, before anything came back
        mode = 1;
        const gorb_run again = http.pulse.start(http.probe);
        http.pulse.cancel(http.probe, again);
        EXPECT_TRUE(http.nothing());
    }
}

TEST(PulseHttpAlive, WithoutTimersChecksGoOnAndNothingIsLeftHanging) {
    const KeepServer server(&always_ok);
    Checked http(server.port());
    http.host.fail_timers = true;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(http.check().verdict, GORB_PASS);
    EXPECT_TRUE(http.kept());
    Checked closing(server.port(), {{"keep-alive", "false"}});
    http.pulse.remove(http.probe);
    closing.host.fail_timers = true;
    EXPECT_EQ(closing.check().verdict, GORB_PASS);
    EXPECT_TRUE(closing.nothing()) << "nobody would end it";
}

TEST(PulseHttpAlive, ManyPassesShareOneKeptConnection) {
    const KeepServer server(&always_ok);
    Checked http(server.port(), {{"fresh-every", "0"}});
    for (int i = 0; i < 200; ++i) ASSERT_EQ(http.check().verdict, GORB_PASS);
    EXPECT_EQ(server.connections(), 1u);
}

}  // namespace
}  // namespace plugin_test
