// TLS of the FakeHost, through the glue, against a real server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gorb/plugin.hpp>
#include <gorb/testing.hpp>

#include "unit/tls_server.h"

namespace gorb::sdk {
namespace {

using gorb::testing::FakeHost;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using tls_test::Identity;
using tls_test::PemFile;
using tls_test::TlsPeer;
using tls_test::TlsServer;

void greet(TlsPeer& peer) {
    peer.write("hello");
    peer.wait_for_end();
}

// One connection and what became of it.
struct Client final : ConnectionEvents {
    explicit Client(FakeHost& f) : fake(f), host(f.c()), connection(host, *this) {
        options.transport = GORB_TLS;
        options.flags = GORB_TLS_VERIFY;
        options.peer.family = 4;
        options.peer.ip[0] = 127;
        options.peer.ip[3] = 1;
    }
    void opened() override {
        is_open = true;
        peer = connection.peer();
        connection.send("hi");
    }
    size_t received(std::string_view bytes) override {
        read += bytes;
        return bytes.size();
    }
    void closed(int32_t w) override {
        why = w;
        reason = connection.reason();
        over = true;
    }
    void talk(uint16_t port) {
        options.peer.port = port;
        connection.open(options);
        EXPECT_TRUE(fake.loop().run_until([&] { return over || !read.empty(); }));
    }
    FakeHost& fake;
    const Host host;
    Connection connection;
    Connection::Options options;
    std::optional<Connection::Peer> peer;
    bool is_open = false, over = false;
    int32_t why = 0;
    std::string read, reason;
};

class FakeHostTls : public ::testing::Test {
  protected:
    FakeHost fake;
    const Identity ca = Identity::authority();
    const PemFile trusted{ca.certificate_pem()};
};

TEST_F(FakeHostTls, TalksWithAServerWhoseCertificateIsRightAndTellsWhatItShowed) {
    const Identity web = ca.sign({{"web.example"}, "web", -10, 1000});
    const TlsServer server(web, greet, {"h2"});
    Client client(fake);
    client.options.tls_name = "web.example";
    client.options.tls_alpn = "h2,http/1.1";
    client.options.tls_ca = trusted.path();
    client.talk(server.port());
    EXPECT_EQ(client.read, "hello") << client.reason;
    ASSERT_TRUE(client.peer);
    EXPECT_TRUE(client.peer->verified);
    EXPECT_EQ(client.peer->alpn, "h2");
    EXPECT_EQ(client.peer->subject, "CN=web");
    EXPECT_NEAR(static_cast<double>(client.peer->not_after), static_cast<double>(time(nullptr) + 1000), 60);
    EXPECT_THAT(fake.violations(), IsEmpty());
}

TEST_F(FakeHostTls, SaysInWordsWhyACertificateIsRefused) {
    const std::pair<Identity, const char*> cases[] = {
        {ca.sign({{"web.example"}, "old", -1000, -10}), "certificate has expired"},
        {ca.sign({{"web.example"}, "early", 1000, 2000}), "certificate is not valid yet"},
        {ca.sign({{"other.example", "10.0.0.1"}}),
         "certificate is for other names than \"web.example\": its names are other.example, 10.0.0.1"},
        {Identity::self_signed({{"web.example"}}), "self-signed certificate"},
        {Identity::authority("another CA").sign({{"web.example"}}),
         "certificate is not signed by a trusted CA"},
    };
    for (const auto& [identity, words] : cases) {
        const TlsServer server(identity, greet);
        Client client(fake);
        client.options.tls_name = "web.example";
        client.options.tls_ca = trusted.path();
        client.talk(server.port());
        EXPECT_FALSE(client.is_open);
        EXPECT_EQ(client.why, -EPROTO);
        EXPECT_EQ(client.reason, words);

        Client careless(fake);
        careless.options.flags = 0;
        careless.talk(server.port());
        EXPECT_EQ(careless.read, "hello");
        ASSERT_TRUE(careless.peer);
        EXPECT_FALSE(careless.peer->verified);
        EXPECT_NE(careless.peer->not_after, 0);
    }
}

struct Greeting : ConnectionPulse {
    static constexpr const char *name = "greeting", *version = "1", *summary = "reads a word";
    Greeting(const Host& host, const Target& target) : ConnectionPulse(host, target, GORB_TLS) {
        options().flags |= GORB_TLS_VERIFY;
    }
    void opened() override {}
};

TEST_F(FakeHostTls, AConnectionPulseGivesTheWordsThatTheErrnoHasNot) {
    fake.fail_tls = "certificate has expired";
    const TlsServer server(ca.sign({}), greet);
    gorb::testing::PulseRunner pulse(fake, Pulse<Greeting>::table);
    const auto report = pulse.run(pulse.add(gorb::testing::address("127.0.0.1", server.port())));
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_FAIL);
    EXPECT_EQ(report->detail, "certificate has expired");
    EXPECT_EQ(report->code, EPROTO);
}

TEST_F(FakeHostTls, WithoutANameTheCertificateMustBeForTheAddress) {
    const TlsServer right(ca.sign({{"127.0.0.1"}}), greet), wrong(ca.sign({{"web.example"}}), greet);
    Client client(fake);
    client.options.tls_ca = trusted.path();
    client.talk(right.port());
    EXPECT_EQ(client.read, "hello") << client.reason;
    Client other(fake);
    other.options.tls_ca = trusted.path();
    other.talk(wrong.port());
    EXPECT_THAT(other.reason, StartsWith("certificate is for other names than \"127.0.0.1\""));
}

TEST_F(FakeHostTls, AnIntermediateCaIsTrustedWithoutItsRootAsByGorbd) {
    const Identity ours = ca.sign({{}, "our CA", -10, 1000, true});
    const PemFile named(ours.certificate_pem());
    const TlsServer server(ours.sign({{"web.example"}}), greet);
    Client client(fake);
    client.options.tls_name = "web.example";
    client.options.tls_ca = named.path();
    client.talk(server.port());
    EXPECT_EQ(client.read, "hello") << client.reason;
}

TEST_F(FakeHostTls, ShowsAClientCertificateWhereOneIsDemanded) {
    TlsServer::Options options;
    options.client_ca = trusted.path();
    const TlsServer server(ca.sign({}), greet, options);
    const Identity me = ca.sign({{}, "gorb"});
    const PemFile cert(me.certificate_pem()), key(me.key_pem());
    Client client(fake);
    client.options.tls_ca = trusted.path();
    client.options.tls_cert = cert.path();
    client.options.tls_key = key.path();
    client.talk(server.port());
    EXPECT_EQ(client.read, "hello") << client.reason;
    client.connection.close();
    Client without(fake);
    without.options.tls_ca = trusted.path();
    without.talk(server.port());
    EXPECT_EQ(without.why, -EPROTO);
    EXPECT_EQ(without.reason, "the server wants a client certificate");
}

TEST_F(FakeHostTls, RefusesFilesThatCanNotBeReadNamingThem) {
    Client client(fake);
    client.options.peer.port = 1;
    client.options.tls_ca = "/nowhere/ca.pem";
    try {
        client.connection.open(client.options);
        ADD_FAILURE() << "opened";
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("/nowhere/ca.pem"));
        EXPECT_THAT(e.what(), HasSubstr("No such file"));
    }
}

TEST_F(FakeHostTls, FaultsCanBeOrdered) {
    const TlsServer server(ca.sign({}), greet);
    fake.fail_tls = "certificate has expired";
    Client client(fake);
    client.talk(server.port());
    EXPECT_EQ(client.why, -EPROTO);
    EXPECT_EQ(client.reason, "certificate has expired");
    fake.fail_tls.clear();
    fake.tls_not_after = 4711;
    Client dated(fake);
    dated.options.flags = 0;
    dated.talk(server.port());
    ASSERT_TRUE(dated.peer);
    EXPECT_EQ(dated.peer->not_after, 4711);

    fake.stall_tls = true;
    Client slow(fake);
    slow.options.flags = 0;
    slow.options.peer.port = server.port();
    slow.options.deadline_ns = fake.in(std::chrono::seconds(1));
    slow.connection.open(slow.options);
    for (int i = 0; i < 20; ++i) fake.loop().step(std::chrono::milliseconds(1));
    EXPECT_FALSE(slow.is_open);
    fake.loop().advance(std::chrono::seconds(1));
    EXPECT_EQ(slow.why, -ETIMEDOUT);
}

TEST_F(FakeHostTls, AServerThatSpeaksNoTlsIsNamedAsSuch) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in addr{};
    socklen_t size = sizeof addr;
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&addr), size), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&addr), &size);
    std::thread server([&] {
        const int fd = accept(listener, nullptr, nullptr);
        const std::string_view banner = "220 mail.example ESMTP\r\n";
        send(fd, banner.data(), banner.size(), MSG_NOSIGNAL);
        char buffer[100];
        while (recv(fd, buffer, sizeof buffer, 0) > 0) continue;
        close(fd);
    });
    Client client(fake);
    client.talk(ntohs(addr.sin_port));
    server.join();
    close(listener);
    EXPECT_EQ(client.why, -EPROTO);
    EXPECT_EQ(client.reason, "the server does not speak TLS");
}

}  // namespace
}  // namespace gorb::sdk
