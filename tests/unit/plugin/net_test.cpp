// gorb.net/1 of ABI 1.1 as a plugin sees it: TLS, probes, and options of an older SDK.
#include <sys/resource.h>

#include <cerrno>

#include "unit/plugin/pulse_fixture.h"
#include "unit/tls_server.h"

namespace gorb::plugin::net_test {
namespace {

using tls_test::Identity;
using tls_test::PemFile;
using tls_test::TlsPeer;
using tls_test::TlsServer;

base::Endpoint at(uint16_t port) {
    return {base::Ip::parse("127.0.0.1").value(), port};
}

// One process asks its environment once, so all tests here trust the same CA.
const Identity& ca() {
    static const Identity made = Identity::authority();
    static const PemFile file(made.certificate_pem());
    setenv("PUPPET_CA", file.path().c_str(), 1);
    return made;
}

TEST_F(PulseTest, TheNetServiceSpeaksTlsAndTellsWhatTheServerShowed) {
    const TlsServer server(ca().sign({{"web.example"}, "web", -10, 10 * 86400 + 600}),
                           [](TlsPeer& peer) { peer.wait_for_end(); }, {"h2"});
    const Report report = check("tls", at(server.port()));
    EXPECT_EQ(report.verdict, Verdict::pass) << report.detail;
    EXPECT_EQ(report.detail, "CN=web h2 verified");
    EXPECT_EQ(report.code, 10);
}

TEST_F(PulseTest, WhatIsWrongWithTlsReachesThePluginInWords) {
    const TlsServer server(ca().sign({{"web.example"}, "old", -1000, -10}), [](TlsPeer&) {});
    const Report report = check("tls", at(server.port()));
    EXPECT_EQ(report.verdict, Verdict::fail);
    EXPECT_EQ(report.code, -EPROTO);
    EXPECT_EQ(report.detail, "certificate has expired");
}

TEST_F(PulseTest, AProbeOpensWithoutTheServerAcceptingIt) {
    const Peer peer(SOCK_STREAM);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(check("probe", peer.endpoint).detail, "opened");
    EXPECT_EQ(counted("closed_is_closed"), 5) << "its handle is over after close()";
    EXPECT_EQ(counted("no_tls_no_peer"), 5);
    pollfd waiting{peer.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&waiting, 1, 0), 0) << "nobody to accept";
}

TEST_F(PulseTest, AProbeOfAClosedPortIsRefused) {
    base::Endpoint nobody;
    {
        const Peer peer(SOCK_STREAM);
        nobody = peer.endpoint;
    }
    for (int i = 0; i < 5; ++i) {
        const Report report = check("probe", nobody);
        EXPECT_EQ(report.verdict, Verdict::fail);
        EXPECT_EQ(report.code, -ECONNREFUSED);
    }
}

TEST_F(PulseTest, AConnectionThatCanNotBeOpenedIsToldInWordsAndByItsErrno) {
    instance = make().value();
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit none = {0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    const Report short_of = check("connect", at(1));
    setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(short_of.verdict, Verdict::unknown);
    EXPECT_THAT(short_of.detail, testing::HasSubstr("no free file descriptor"));
    EXPECT_EQ(short_of.code, EMFILE);
    EXPECT_EQ(check("connect", at(0)).code, EINVAL);
}

TEST_F(PulseTest, OptionsOfAnOlderSdkAreReadAsFarAsTheyGo) {
    const Peer peer(SOCK_STREAM);
    EXPECT_EQ(check("old-sdk", peer.endpoint).detail, "opened");
}

}  // namespace
}  // namespace gorb::plugin::net_test
