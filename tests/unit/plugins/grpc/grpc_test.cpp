#include <gmock/gmock.h>

#include <gorb/testing.hpp>
#include <mutex>

#include "grpc/frames.h"
#include "loaded.h"
#include "server.h"
#include "tls_server.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::PulseRunner;
using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

const Values keep = {{"keep-alive", "true"}};

// Reads frames until a request (HEADERS and its DATA with END_STREAM) has come whole; false: the client left.
bool read_request(Peer& peer, std::string* seen = nullptr, bool first = true) {
    if (first) peer.read(24);  // the preface
    for (;;) {
        const std::string head = peer.read(9);
        if (head.size() < 9) return false;
        const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(head[i])); };
        const std::string payload = peer.read(byte(0) << 16 | byte(1) << 8 | byte(2));
        if (seen) *seen += payload;
        if (head[3] == h2::data && (head[4] & h2::end_stream) != 0) return true;
    }
}
std::string refusal(const Values& args) {
    return PulseRunner::check(plugin("grpc"), args);
}

TEST(PulseGrpc, ArgumentsThatMakeNoSenseAreRefusedWithWords) {
    EXPECT_EQ(refusal({}), "");
    EXPECT_EQ(refusal({{"tls", "true"}, {"ca", "/etc/ca.pem"}, {"tls-name", "web.example"}}), "");
    EXPECT_EQ(refusal({{"ca", "/etc/ca.pem"}}), "\"ca\" needs \"tls\": true");
    for (const char* option : {"ca", "cert", "key"}) {
        EXPECT_EQ(refusal({{"tls", "true"}, {option, "file.pem"}}),
                  std::string("\"") + option + "\" must be the absolute path of a PEM file");
    }
    EXPECT_THAT(refusal({{"tls", "true"}, {"key", "/k.pem"}}), HasSubstr("needs \"cert\""));
    EXPECT_THAT(refusal({{"authority", "a b"}}), HasSubstr("\"authority\" must be a name"));
    EXPECT_THAT(refusal({{"authority", ":80"}}), HasSubstr("\"authority\" must be a name"));
    EXPECT_THAT(refusal({{"tls", "true"}, {"tls-name", "a:443"}}), HasSubstr("\"tls-name\" must be a name"));
    EXPECT_THAT(refusal({{"service", std::string(1025, 'x')}}), HasSubstr("longer than 1024"));
}

TEST(PulseGrpc, PassesWithWordsHoweverTheAnswerIsCut) {
    const Server server([](Peer& peer) {
        read_request(peer);
        peer.write_slowly(h2::hello + h2::answer(1));
        peer.wait_for_end();
    });
    Instance grpc("grpc");
    const Report report = grpc.run(server.port());
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
    EXPECT_EQ(report.detail, "SERVING");
    EXPECT_EQ(grpc.host.held(), std::vector<std::string>()) << "the connection is not kept unless asked to";
}

TEST(PulseGrpc, TheAuthorityIsTheOneGivenOrTheBackends) {
    std::mutex mutex;
    std::string seen;
    const Server server([&](Peer& peer) {
        const std::lock_guard<std::mutex> lock(mutex);
        read_request(peer, &seen);
        peer.write(h2::hello + h2::answer(1));
        peer.wait_for_end();
    });
    Instance grpc("grpc");
    const auto asked = [&](const Values& args) {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            seen.clear();
        }
        EXPECT_EQ(grpc.run(server.port(), args).verdict, GORB_PASS);
        const std::lock_guard<std::mutex> lock(mutex);
        return seen.size();
    };
    // Compressed on the wire; what differs is the length.
    EXPECT_NE(asked({{"authority", "x"}}), asked({}));
    const size_t brackets = asked({{"authority", "[2001:db8::1]"}});
    EXPECT_EQ(asked({{"authority", "2001:db8::1"}}), brackets) << "they are put around it";
}

TEST(PulseGrpc, WhatTheServerDoesWrongFailsWithItsWords) {
    const std::pair<std::string, const char*> wrong[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", "the server speaks HTTP/1, not HTTP/2"},
        {"220 mail.example ESMTP ready and waiting\r\n", "the server does not speak HTTP/2"},
        {h2::hello + h2::answer(1, 2), "the server is NOT_SERVING"},
        {h2::hello + h2::frame(h2::rst_stream, 0, 1, h2::u32(2)),
         "the server ended the call: INTERNAL_ERROR"},
        {h2::hello + h2::frame(h2::goaway, 0, 0, h2::u32(0) + h2::u32(0)),
         "the server says goodbye (NO_ERROR)"},
    };
    for (const auto& [bytes, words] : wrong) {
        const Server server([&, said = bytes](Peer& peer) {
            read_request(peer);
            peer.write(said);
            peer.wait_for_end();
        });
        Instance grpc("grpc");
        const Report report = grpc.run(server.port());
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_THAT(report.detail, StartsWith(words));
    }
}

TEST(PulseGrpc, TheConnectionsEndFailsAndSaysWhen) {
    const ClosedPort closed;
    Instance grpc("grpc");
    const Report refused = grpc.run(closed.port());
    EXPECT_EQ(refused.verdict, GORB_FAIL);
    EXPECT_EQ(refused.detail, "connection refused");
    EXPECT_EQ(refused.code, ECONNREFUSED);
    const Server hang_up([](Peer& peer) { read_request(peer); });
    EXPECT_EQ(grpc.run(hang_up.port()).verdict, GORB_FAIL);
    const Server greets([](Peer& peer) {
        read_request(peer);
        peer.write(h2::hello);
    });
    EXPECT_THAT(grpc.run(greets.port()).detail, HasSubstr("before an answer"));
    const Server half([](Peer& peer) {
        read_request(peer);
        peer.write(h2::hello + h2::frame(h2::headers, h2::end_headers, 1, h2::ok));
    });
    EXPECT_THAT(grpc.run(half.port()).detail, HasSubstr("in the middle of an answer"));
}

TEST(PulseGrpc, AtTheDeadlineSilenceFailsInItsOwnWords) {
    for (const bool kept : {false, true}) {
        std::atomic<bool> asked{false};
        const Server server([&](Peer& peer) {
            asked = read_request(peer);
            peer.wait_for_end();
        });
        Instance grpc("grpc");
        const gorb_run run =
            grpc.pulse.start(grpc.pulse.add(address("127.0.0.1", server.port()), kept ? keep : Values{}));
        EXPECT_TRUE(grpc.host.loop().run_until([&] { return asked.load(); }));
        grpc.host.loop().advance(seconds(5));
        const auto report = grpc.pulse.wait(run);
        ASSERT_TRUE(report);
        EXPECT_EQ(report->verdict, GORB_FAIL);
        EXPECT_EQ(report->detail, "timed out, before an answer");
        EXPECT_EQ(grpc.host.held(), std::vector<std::string>());
    }
}

TEST(PulseGrpc, OurOwnTroubleIsUnknown) {
    Instance grpc("grpc");
    grpc.host.fail_open = "no free file descriptor in this process";
    EXPECT_EQ(grpc.run(1).verdict, GORB_UNKNOWN);
    grpc.host.fail_open = "";
    grpc.host.fail_connect = EADDRNOTAVAIL;
    EXPECT_EQ(grpc.run(1).verdict, GORB_UNKNOWN);
}

// ---- TLS ----

const Values over_tls = {{"tls", "true"}, {"verify", "false"}};

Report over_tls_with(const std::string& alpn, bool must = true) {
    const tls_test::Identity ca = tls_test::Identity::authority();
    const tls_test::TlsServer server(ca.sign({.names = {"127.0.0.1"}}),
                                     [](tls_test::TlsPeer& peer) {
                                         peer.write(h2::hello + h2::answer(1));
                                         peer.wait_for_end();
                                     },
                                     {.alpn = alpn});
    Values args = over_tls;
    if (!must) args["alpn"] = "false";
    Instance grpc("grpc");
    return grpc.run(server.port(), args);
}

TEST(PulseGrpc, AServerThatAgreesOnNoProtocolIsNoneForGrpcClients) {
    const Report agreed = over_tls_with("h2");
    EXPECT_EQ(agreed.verdict, GORB_PASS) << agreed.detail;
    const Report silent = over_tls_with("");
    EXPECT_EQ(silent.verdict, GORB_FAIL);
    EXPECT_EQ(
        silent.detail,
        "the server agrees on no HTTP/2 by ALPN (h2 offered, nothing chosen), which gRPC clients insist on");
    EXPECT_EQ(over_tls_with("", false).verdict, GORB_PASS);
}

TEST(PulseGrpc, AHandshakeThatNeverEndsIsTimedOutAsSuch) {
    const Server server([](Peer& peer) { peer.wait_for_end(); });
    Instance grpc("grpc");
    const gorb_run run = grpc.pulse.start(grpc.pulse.add(address("127.0.0.1", server.port()), over_tls));
    for (int i = 0; i < 20; ++i) grpc.host.loop().step(milliseconds(2));
    grpc.host.loop().advance(seconds(5));
    const auto report = grpc.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->detail, "timed out, in the TLS handshake");
}

// ---- what a server says when it ends the connection ----

TEST(PulseGrpc, TheServersGoodByeIsTheReason) {
    const auto said = [](const std::string& goodbye) {
        const Server server([&](Peer& peer) {
            read_request(peer);
            peer.write(h2::hello + goodbye);
        });
        Instance grpc("grpc");
        const Report report = grpc.run(server.port());
        EXPECT_EQ(report.verdict, GORB_FAIL);
        return report.detail;
    };
    const std::string calm = h2::u32(11);
    // It did not look at the call, and it did and never answered.
    EXPECT_EQ(said(h2::frame(h2::goaway, 0, 0, h2::u32(0) + calm + "too_many_pings")),
              "the server says goodbye (ENHANCE_YOUR_CALM: too_many_pings)");
    EXPECT_THAT(
        said(h2::frame(h2::goaway, 0, 0, h2::u32(1) + calm + "too\n\x80many" + std::string(200, 'x'))),
        StartsWith("the server says goodbye (ENHANCE_YOUR_CALM: too??many" + std::string(91, 'x') +
                   "...), connection "));
    EXPECT_EQ(said(h2::frame(h2::goaway, 0, 0, h2::u32(0) + h2::u32(0))),
              "the server says goodbye (NO_ERROR)");
}

// ---- kept connections ----

TEST(PulseGrpc, SilenceOnAKeptConnectionIsToldAsThat) {
    std::atomic<bool> asked{false};
    const Server server([&](Peer& peer) {
        read_request(peer);
        peer.write(h2::hello + h2::answer(1));
        asked = read_request(peer, nullptr, false);
        peer.wait_for_end();
    });
    Instance grpc("grpc");
    const auto probe = grpc.pulse.add(address("127.0.0.1", server.port()), keep);
    EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);
    const gorb_run run = grpc.pulse.start(probe);
    EXPECT_TRUE(grpc.host.loop().run_until([&] { return asked.load(); }));
    grpc.host.loop().advance(seconds(5));
    const auto report = grpc.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->detail, "timed out, before an answer, on the connection kept from an earlier check");
}

// Answers `calls` calls on each connection, then closes it.
struct KeepServer {
    explicit KeepServer(int calls, bool goodbye = false)
        : server([=, this](Peer& peer) {
              ++connections;
              for (int call = 0; call < calls; ++call) {
                  if (!read_request(peer, nullptr, call == 0)) return;
                  peer.write((call == 0 ? h2::hello : "") + h2::answer(static_cast<uint32_t>(2 * call + 1)));
              }
              if (!goodbye) return;
              peer.write(h2::frame(h2::goaway, 0, 0, h2::u32(1) + h2::u32(0)));
              peer.wait_for_end();
          }) {}
    std::atomic<int> connections{0};
    const Server server;
};

TEST(PulseGrpc, AKeptConnectionServesTheNextChecks) {
    const KeepServer server(100);
    Instance grpc("grpc");
    const auto probe = grpc.pulse.add(address("127.0.0.1", server.server.port()), keep);
    for (int turn = 0; turn < 20; ++turn) {
        EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);
        grpc.host.loop().advance(seconds(60));
    }
    EXPECT_EQ(server.connections, 1);
    EXPECT_TRUE(grpc.host.rechecks().empty());
}

TEST(PulseGrpc, TheEndOfAKeptConnectionAsksForACheckAndIsNoVerdict) {
    for (const bool goodbye : {false, true}) {
        const KeepServer server(2, goodbye);
        Instance grpc("grpc");
        const auto probe = grpc.pulse.add(address("127.0.0.1", server.server.port()), keep);
        EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);
        EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);
        EXPECT_TRUE(grpc.host.loop().run_until([&] { return !grpc.host.rechecks().empty(); })) << goodbye;
        EXPECT_EQ(grpc.host.reports().size(), 2u);
        EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS) << "over a new connection";
        EXPECT_EQ(server.connections, 2);
    }
}

// The good-bye crosses the call: what the server sends after it has read the second one on a connection.
TEST(PulseGrpc, AGoodByeThatCrossesTheCallIsNoVerdictOverAKeptConnection) {
    const std::string last = h2::u32(1), refused = h2::u32(7);
    for (const std::string& goodbye : {h2::frame(h2::goaway, 0, 0, last + h2::u32(0)),
                                       h2::frame(h2::rst_stream, 0, 3, refused), std::string()}) {
        std::atomic<int> connections = 0;
        const Server server([&](Peer& peer) {
            const bool first = ++connections == 1;
            if (!read_request(peer)) return;
            peer.write(h2::hello + h2::answer(1));
            if (!read_request(peer, nullptr, false)) return;
            if (first) peer.write(h2::frame(h2::ping, 0, 0, "12345678") + goodbye);
        });
        Instance grpc("grpc");
        const auto probe = grpc.pulse.add(address("127.0.0.1", server.port()), keep);
        EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);
        const auto second = grpc.pulse.run(probe);
        ASSERT_TRUE(second);
        EXPECT_EQ(second->verdict, GORB_PASS) << second->detail;
        EXPECT_EQ(connections, 2);
    }
}

TEST(PulseGrpc, AServerThatHangsUpAfterEachCallDoesNotCauseChecksWithoutEnd) {
    const KeepServer server(1);
    Instance grpc("grpc");
    const auto probe = grpc.pulse.add(address("127.0.0.1", server.server.port()), keep);
    const auto closed = [&] { return grpc.host.held().empty(); };
    EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);
    EXPECT_TRUE(grpc.host.loop().run_until(closed));
    EXPECT_EQ(grpc.host.rechecks().size(), 1u);
    EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);  // the check that was asked for
    EXPECT_TRUE(grpc.host.loop().run_until(closed));
    EXPECT_EQ(grpc.host.rechecks().size(), 1u);
}

TEST(PulseGrpc, OnlyAWantOfPortsOrDescriptorsForbidsToKeepAConnection) {
    for (const auto& [err, kept] :
         {std::pair(ENETUNREACH, true), {ENOENT, true}, {0, true}, {EADDRNOTAVAIL, false}, {EMFILE, false}}) {
        const KeepServer server(100);
        Instance grpc("grpc");
        const auto probe = grpc.pulse.add(address("127.0.0.1", server.server.port()), keep);
        grpc.host.fail_open = "not now";
        grpc.host.fail_open_errno = err;
        EXPECT_EQ(grpc.pulse.run(probe)->code, err);
        grpc.host.fail_open = "";
        EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_PASS);
        EXPECT_EQ(!grpc.host.held().empty(), kept) << err;
    }
}

TEST(PulseGrpc, ACheckThatIsCancelledLeavesNoConnection) {
    const Server server([](Peer& peer) { peer.wait_for_end(); });
    Instance grpc("grpc");
    const auto probe = grpc.pulse.add(address("127.0.0.1", server.port()), keep);
    for (int turn = 0; turn < 3; ++turn) {
        const gorb_run run = grpc.pulse.start(probe);
        EXPECT_FALSE(grpc.pulse.wait(run, milliseconds(20)));
        grpc.pulse.cancel(probe, run);
        EXPECT_EQ(grpc.host.held(), std::vector<std::string>());
    }
}

}  // namespace
}  // namespace plugin_test
