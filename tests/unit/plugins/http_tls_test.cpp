// Pulse "http" over TLS, against a server with certificates made here.
#include <gmock/gmock.h>

#include "loaded.h"
#include "tls_server.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;
using tls_test::Identity;
using tls_test::PemFile;
using tls_test::TlsPeer;
using tls_test::TlsServer;

constexpr int64_t day = 86400;

void serve(TlsPeer& peer) {
    while (!peer.read_until("\r\n\r\n").empty()) peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

struct Https : Instance {
    Https() : Instance("http") {}
    Report checked(const TlsServer& server, Values args) {
        args["tls"] = "true";
        auto* probe = pulse.add(address("127.0.0.1", server.port()), args);
        const auto report = pulse.run(probe);
        pulse.remove(probe);
        EXPECT_TRUE(report.has_value()) << "no answer";
        return report.value_or(Report{});
    }

    const Identity ca = Identity::authority();
    const PemFile trusted{ca.certificate_pem()};
};

TEST(PulseHttps, ATrustedCertificateForTheAddressPasses) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}}), &serve);
    const auto report = http.checked(server, {{"ca", http.trusted.path()}, {"expect-body", "^ok$"}});
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
    EXPECT_EQ(report.detail, "status 200");
    EXPECT_EQ(report.warning, "");
}

TEST(PulseHttps, TheNameToVerifyIsTheHostsUnlessAnotherIsGiven) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"shop.example"}}), &serve);
    EXPECT_EQ(http.checked(server, {{"ca", http.trusted.path()}, {"host", "shop.example"}}).verdict,
              GORB_PASS);
    EXPECT_EQ(http.checked(server, {{"ca", http.trusted.path()}, {"host", "shop.example:8443"}}).verdict,
              GORB_PASS);
    EXPECT_EQ(
        http.checked(server,
                     {{"ca", http.trusted.path()}, {"host", "other.example"}, {"tls-name", "shop.example"}})
            .verdict,
        GORB_PASS);
    for (const Values& wrong : {Values{{"host", "other.example"}}, Values{}}) {
        Values args = wrong;
        args["ca"] = http.trusted.path();
        const auto report = http.checked(server, args);
        EXPECT_EQ(report.verdict, GORB_FAIL);
        EXPECT_THAT(report.detail, StartsWith("certificate is for other names than \""));
        EXPECT_THAT(report.detail, HasSubstr("shop.example"));
    }
}

TEST(PulseHttps, AnUntrustedCertificateFailsUnlessVerifyIsOff) {
    Https http;
    const TlsServer server(Identity::self_signed({.names = {"127.0.0.1"}}), &serve);
    const auto report = http.checked(server, {{"ca", http.trusted.path()}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "self-signed certificate");
    EXPECT_EQ(http.checked(server, {{"verify", "false"}}).verdict, GORB_PASS);
}

TEST(PulseHttps, AnExpiredCertificateFailsWithVerifyOffToo) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}, .ends = -day}), &serve);
    const auto report = http.checked(server, {{"ca", http.trusted.path()}});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_THAT(report.detail, StartsWith("certificate has expired"));
    const auto unverified = http.checked(server, {{"verify", "false"}});
    EXPECT_EQ(unverified.verdict, GORB_FAIL);
    EXPECT_THAT(unverified.detail, StartsWith("certificate has expired ("));
}

TEST(PulseHttps, OneThatEndsSoonIsAWarningAndThenAFailure) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}, .ends = 6 * day + 3600}), &serve);
    const std::string ca = http.trusted.path();
    const auto warned = http.checked(server, {{"ca", ca}});
    EXPECT_EQ(warned.verdict, GORB_PASS);
    EXPECT_EQ(warned.detail, "status 200");
    EXPECT_THAT(warned.warning, StartsWith("certificate ends in 6 days ("));
    EXPECT_EQ(http.checked(server, {{"ca", ca}, {"expire-warning", "5"}}).warning, "");
    const auto failed = http.checked(server, {{"ca", ca}, {"expire-failure", "7"}});
    EXPECT_EQ(failed.verdict, GORB_FAIL);
    EXPECT_THAT(failed.detail, StartsWith("certificate ends in 6 days ("));
    EXPECT_THAT(failed.detail, HasSubstr("at least 7 days expected"));
}

TEST(PulseHttps, TheWarningStaysOnAKeptConnection) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}, .ends = 6 * day + 3600}), &serve);
    auto* probe =
        http.pulse.add(address("127.0.0.1", server.port()), {{"tls", "true"}, {"ca", http.trusted.path()}});
    for (int i = 0; i < 3; ++i) {
        const auto report = http.pulse.run(probe);
        ASSERT_TRUE(report);
        EXPECT_EQ(report->verdict, GORB_PASS);
        EXPECT_THAT(report->warning, StartsWith("certificate ends in 6 days ("));
    }
    EXPECT_EQ(server.handshakes(), 1u) << "three checks, one connection";
}

TEST(PulseHttps, AClientCertificateIsShownWhereItIsGiven) {
    Https http;
    const Identity client = http.ca.sign({.names = {"gorb"}});
    const PemFile cert(client.certificate_pem()), key(client.key_pem());
    const PemFile both(client.certificate_pem() + client.key_pem());
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}}), &serve,
                           {.client_ca = http.trusted.path()});
    const std::string ca = http.trusted.path();
    EXPECT_EQ(http.checked(server, {{"ca", ca}, {"cert", cert.path()}, {"key", key.path()}}).verdict,
              GORB_PASS);
    EXPECT_EQ(http.checked(server, {{"ca", ca}, {"cert", both.path()}}).verdict, GORB_PASS);
    const auto without = http.checked(server, {{"ca", ca}});
    EXPECT_EQ(without.verdict, GORB_FAIL);
    EXPECT_NE(without.detail, "");
}

TEST(PulseHttps, ThatTheClientCertificateHasEndedIsNoFailureOfTheServerThatRefusesIt) {
    Https http;
    TlsServer::Options options;
    options.client_ca = http.trusted.path();
    const Identity me = http.ca.sign({.names = {}, .begins = -3 * day, .ends = -day});
    const PemFile cert(me.certificate_pem() + me.key_pem());
    const Values args = {{"ca", http.trusted.path()}, {"cert", cert.path()}};
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        options.most = version;
        const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}}), &serve, options);
        const auto report = http.checked(server, args);
        EXPECT_EQ(report.verdict, GORB_UNKNOWN);
        EXPECT_THAT(report.detail, StartsWith("client certificate " + cert.path() + " has expired ("));
    }
    const TlsServer easy(http.ca.sign({.names = {"127.0.0.1"}}), &serve);
    EXPECT_EQ(http.checked(easy, args).verdict, GORB_PASS) << "it does not ask for it";
}

TEST(PulseHttps, FilesThatCanNotBeReadAreOurOwnTrouble) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}}), &serve);
    const auto report = http.checked(server, {{"ca", "/nowhere/ca.pem"}});
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_THAT(report.detail, HasSubstr("/nowhere/ca.pem"));
}

TEST(PulseHttps, AHandshakeThatNeverEndsIsEndedByTheDeadline) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}}), &serve);
    http.host.stall_tls = true;
    auto* probe = http.pulse.add(address("127.0.0.1", server.port()), {{"tls", "true"}, {"verify", "false"}});
    const gorb_run run = http.pulse.start(probe, seconds(2));
    for (int i = 0; i < 20; ++i) http.host.loop().step(std::chrono::milliseconds(2));
    http.host.loop().advance(seconds(2));
    const auto report = http.pulse.wait(run);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_FAIL);
    EXPECT_EQ(report->detail, "timed out, in the TLS handshake");
}

TEST(PulseHttps, WhatTheHandshakeSaysIsTheReason) {
    Https http;
    const TlsServer server(http.ca.sign({.names = {"127.0.0.1"}}), &serve);
    http.host.fail_tls = "the server speaks no TLS";
    const auto report = http.checked(server, {});
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "the server speaks no TLS");
}

}  // namespace
}  // namespace plugin_test
