#include "io/tls.h"

#include <thread>

#include "io/conn.h"
#include "io/timer_wheel.h"
#include "io/trouble.h"
#include "net_fixture.h"
#include "unit/tls_server.h"

namespace gorb::io::io_tls_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using tls_test::Identity;
using tls_test::PemFile;
using Served = tls_test::TlsPeer;
using tls_test::TlsServer;

constexpr uint64_t second = 1'000'000'000;

void greet(Served& peer) {
    peer.write("hello");
    peer.wait_for_end();
}

struct Client final : ConnEvents {
    void opened(Conn& c) override {
        is_open = true;
        if (const TlsPeer* shown = c.tls_peer()) peer = *shown;
        if (!say.empty()) c.send(say.data(), say.size());
    }
    size_t received(Conn&, const uint8_t* data, size_t size) override {
        read.append(reinterpret_cast<const char*>(data), size);
        return size;
    }
    void closed(Conn& c, int w) override {
        why = w;
        reason = c.reason();
        over = true;
        conn = nullptr;
    }
    Conn* conn = nullptr;
    TlsPeer peer;
    bool is_open = false, over = false;
    int why = 0;
    std::string read, reason, say;
};

class TlsTest : public testing::Test {
  protected:
    TlsTest() {
        tls.verify = true;
        tls.name = "web.example";
        tls.ca = trusted.path();
    }
    base::Status begin(Client& client, uint16_t port, uint64_t deadline = 0) {
        ConnOptions options;
        options.peer = {ip_of("127.0.0.1"), port};
        options.tls = &tls;
        options.deadline = deadline;
        auto opened = Conn::open(loop, options, client);
        if (!opened) return base::fail(std::move(opened.error()));
        client.conn = *opened;
        return {};
    }
    Client talk(uint16_t port, size_t wanted = 5) {
        Client client;
        auto begun = begin(client, port);
        EXPECT_TRUE(begun) << begun.error().sentence;
        EXPECT_TRUE(turn_until(loop, [&] { return client.over || client.read.size() >= wanted; }));
        if (client.conn) client.conn->close();
        return client;
    }
    base::ManualClock clock{};
    Loop loop{"test", &clock};
    const Identity ca = Identity::authority();
    const PemFile trusted{ca.certificate_pem()};
    TlsOptions tls;
};

TEST_F(TlsTest, TalksWithAServerWhoseCertificateIsRightAndTellsWhatItShowed) {
    const Identity web = ca.sign({{"web.example"}, "web", -10, 1000});
    std::string asked_for;
    const auto handler = [&](Served& peer) {
        asked_for = peer.server_name();
        greet(peer);
    };
    {
        const TlsServer server(web, handler, {"h2"});
        tls.alpn = "http/1.1,h2";
        const Client client = talk(server.port());
        EXPECT_EQ(client.read, "hello") << client.reason;
        EXPECT_TRUE(client.peer.verified);
        EXPECT_EQ(client.peer.alpn, "h2");
        EXPECT_EQ(client.peer.subject, "CN=web");
        EXPECT_NEAR(static_cast<double>(client.peer.not_after), static_cast<double>(time(nullptr) + 1000),
                    60);
    }
    EXPECT_EQ(asked_for, "web.example");
}

TEST_F(TlsTest, TheFinalDotOfAnAbsoluteNameIsNoPartOfIt) {
    std::string asked_for;
    {
        const TlsServer server(ca.sign({{"web.example"}}), [&](Served& peer) {
            asked_for = peer.server_name();
            greet(peer);
        });
        tls.name = "web.example.";
        const Client client = talk(server.port());
        EXPECT_EQ(client.read, "hello") << client.reason;
    }
    EXPECT_EQ(asked_for, "web.example") << "RFC 6066, 3";
}

TEST_F(TlsTest, SaysInWordsWhyACertificateIsRefusedAndTakesItWhereNobodyAsksForVerification) {
    const std::pair<Identity, const char*> cases[] = {
        {ca.sign({{"web.example"}, "old", -1000, -10}), "certificate has expired"},
        {ca.sign({{"web.example"}, "early", 1000, 2000}), "certificate is not valid yet"},
        {ca.sign({{"other.example", "10.0.0.1", "*.example.org"}}),
         "certificate is for other names than \"web.example\": its names are other.example, 10.0.0.1, "
         "*.example.org"},
        {ca.sign({{}}), "certificate is for other names than \"web.example\": its names are backend"},
        {Identity::self_signed({{"web.example"}}), "self-signed certificate"},
        {Identity::authority("another CA").sign({{"web.example"}}),
         "certificate is not signed by a trusted CA"},
    };
    for (const auto& [identity, words] : cases) {
        const TlsServer server(identity, greet);
        tls.verify = true;
        const Client careful = talk(server.port());
        EXPECT_FALSE(careful.is_open);
        EXPECT_EQ(careful.why, -EPROTO);
        EXPECT_EQ(careful.reason, words);
        EXPECT_EQ(server.handshakes(), 0u) << "the server is told";

        tls.verify = false;
        const Client careless = talk(server.port());
        EXPECT_EQ(careless.read, "hello") << careless.reason;
        EXPECT_FALSE(careless.peer.verified);
        EXPECT_NE(careless.peer.not_after, 0);
    }
}

TEST_F(TlsTest, AnIntermediateCAInTheFileIsTrustedWithoutItsRootAndNothingElseOfThatRoot) {
    const Identity ours = ca.sign({{}, "our CA", -10, 1000, true});
    const Identity theirs = ca.sign({{}, "their CA", -10, 1000, true});
    const PemFile pinned(ours.certificate_pem());
    tls.ca = pinned.path();
    const TlsServer under(ours.sign({{"web.example"}}), greet);
    const Client good = talk(under.port());
    EXPECT_EQ(good.read, "hello") << good.reason;
    EXPECT_TRUE(good.peer.verified);
    for (const Identity& other : {theirs.sign({{"web.example"}}), ca.sign({{"web.example"}}),
                                  Identity::self_signed({{"web.example"}})}) {
        const TlsServer server(other, greet);
        const Client bad = talk(server.port());
        EXPECT_FALSE(bad.is_open);
        EXPECT_EQ(bad.why, -EPROTO);
    }
    const TlsServer another_name(ours.sign({{"shop.example"}}), greet);
    EXPECT_THAT(talk(another_name.port()).reason, StartsWith("certificate is for other names"));
}

TEST_F(TlsTest, WithoutANameOrWithAnAddressForOneTheCertificateMustBeForTheAddress) {
    const TlsServer right(ca.sign({{"127.0.0.1"}}), greet), wrong(ca.sign({{"web.example"}}), greet);
    for (const char* name : {"", "127.0.0.1"}) {
        tls.name = name;
        EXPECT_EQ(talk(right.port()).read, "hello");
        EXPECT_THAT(talk(wrong.port()).reason,
                    StartsWith("certificate is for other names than \"127.0.0.1\""));
    }
}

TEST_F(TlsTest, ShowsAClientCertificateWhereOneIsDemanded) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsServer::Options options;
        options.client_ca = trusted.path();
        options.most = version;
        const TlsServer server(ca.sign({{"web.example"}}), greet, options);
        const Identity me = ca.sign({{}, "gorb"});
        const PemFile cert(me.certificate_pem()), key(me.key_pem()),
            both(me.certificate_pem() + me.key_pem());
        tls.cert = cert.path();
        tls.key = key.path();
        EXPECT_EQ(talk(server.port()).read, "hello");
        tls.cert = both.path();
        tls.key = "";
        EXPECT_EQ(talk(server.port()).read, "hello");
        tls.cert = "";
        const Client without = talk(server.port());
        EXPECT_EQ(without.why, -EPROTO);
        EXPECT_THAT(without.reason, HasSubstr("wants a client certificate"));
    }
}

TEST_F(TlsTest, ThatOurOwnCertificateHasEndedIsOurTroubleWhereItIsRefused) {
    const int64_t day = 86400;
    const Identity me = ca.sign({{}, "gorb", -3 * day, -day});
    const PemFile mine(me.certificate_pem() + me.key_pem());
    tls.cert = mine.path();
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsServer::Options options;
        options.most = version;
        const TlsServer easy(ca.sign({{"web.example"}}), greet, options);
        EXPECT_EQ(talk(easy.port()).read, "hello") << "nobody asks for it";
        options.client_ca = trusted.path();
        const TlsServer server(ca.sign({{"web.example"}}), greet, options);
        const Client refused = talk(server.port());
        EXPECT_EQ(refused.why, -EINVAL);
        EXPECT_TRUE(our_trouble(refused.why));
        EXPECT_THAT(refused.reason, testing::MatchesRegex("client certificate " + mine.path() +
                                                          " has expired \\([0-9]{4}-[0-9]{2}-[0-9]{2}\\)"));
    }
    // One that is in date, and of another CA.
    const Identity other = Identity::authority().sign({{}, "gorb"});
    const PemFile theirs(other.certificate_pem() + other.key_pem());
    tls.cert = theirs.path();
    TlsServer::Options options;
    options.client_ca = trusted.path();
    const TlsServer server(ca.sign({{"web.example"}}), greet, options);
    const Client refused = talk(server.port());
    EXPECT_EQ(refused.why, -EPROTO);
    EXPECT_EQ(refused.reason, "the server does not accept our client certificate");
}

TEST_F(TlsTest, TheEndThatItTellsIsTheFirstOfTheChainWithoutItsRoot) {
    const int64_t day = 86400;
    const auto days_left = [&](const TlsServer& server) {
        const Client client = talk(server.port());
        EXPECT_EQ(client.read, "hello") << client.reason;
        return (client.peer.not_after - time(nullptr) + 3600) / day;
    };
    const TlsServer beyond(ca.sign({{"web.example"}, "web", -10, 20 * 365 * day}), greet);
    EXPECT_EQ(days_left(beyond), 20 * 365) << "the root ends before";
    const Identity ours = ca.sign({{}, "our CA", -10, 2 * day, true});
    const PemFile both(ca.certificate_pem() + ours.certificate_pem());
    tls.ca = both.path();
    const TlsServer server(ours.sign({{"web.example"}, "web", -10, 300 * day}), greet);
    EXPECT_EQ(days_left(server), 2);
    tls.verify = false;
    tls.ca = trusted.path();
    EXPECT_EQ(days_left(server), 300) << "no chain could be made";
}

TEST_F(TlsTest, ACertificateWithoutNamesIsShownByItsCommonName) {
    const TlsServer server(ca.sign({{}, "shop.example"}), greet);
    EXPECT_EQ(talk(server.port()).reason,
              "certificate is for other names than \"web.example\": its names are shop.example");
    tls.name = "shop.example";
    EXPECT_EQ(talk(server.port()).read, "hello");
}

TEST_F(TlsTest, FilesThatCanNotBeUsedAreOurOwnTroubleAndNamed) {
    Client client;
    const PemFile rubbish("no PEM here\n");
    const auto why = [&] {
        auto begun = begin(client, 9);
        EXPECT_FALSE(begun);
        return begun ? base::Error{} : begun.error();
    };
    tls.ca = "/nowhere/ca.pem";
    EXPECT_EQ(why().sentence, "CA file /nowhere/ca.pem can not be used: No such file or directory");
    EXPECT_EQ(why().os_error, ENOENT);
    tls.ca = rubbish.path();
    EXPECT_THAT(why().sentence, StartsWith("CA file " + rubbish.path() + " can not be used: "));
    EXPECT_EQ(why().os_error, EINVAL);
    tls.ca = trusted.path();
    tls.cert = "/nowhere/cert.pem";
    EXPECT_THAT(why().sentence, StartsWith("client certificate /nowhere/cert.pem can not be used: No such"));
    tls.cert = trusted.path();
    tls.key = rubbish.path();
    EXPECT_THAT(why().sentence, StartsWith("client key " + rubbish.path() + " can not be used: "));
    const PemFile other_key(Identity::authority().key_pem());
    tls.key = other_key.path();
    EXPECT_THAT(why().sentence, StartsWith("client key " + other_key.path() + " can not be used: "));
    tls.cert = tls.key = "";
    tls.alpn = "h2,,x";
    EXPECT_THAT(why().sentence, HasSubstr("\"h2,,x\""));
}

TEST_F(TlsTest, NobodyIsAskedForThePassphraseOfAKey) {
    const Identity me = ca.sign({{}, "gorb"});
    const std::unique_ptr<BIO, int (*)(BIO*)> out(BIO_new(BIO_s_mem()), BIO_free);
    ASSERT_EQ(
        PEM_write_bio_PKCS8PrivateKey(out.get(), me.key(), EVP_aes_128_cbc(), "secret", 6, nullptr, nullptr),
        1);
    char* pem = nullptr;
    const long size = BIO_get_mem_data(out.get(), &pem);
    const PemFile cert(me.certificate_pem()), key(std::string_view(pem, static_cast<size_t>(size)));
    tls.cert = cert.path();
    tls.key = key.path();
    // Where there is no terminal OpenSSL asks standard input, and waits as long as it takes.
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    ASSERT_EQ(write(ends[1], "secret\n", 7), 7);
    const int before = dup(0);
    ASSERT_EQ(dup2(ends[0], 0), 0);
    Client client;
    const auto begun = begin(client, 9);
    dup2(before, 0);
    for (const int fd : {before, ends[0], ends[1]}) close(fd);
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().sentence, "client key " + key.path() +
                                          " can not be used: it has a passphrase, which nobody is asked for");
    EXPECT_EQ(begun.error().os_error, EINVAL);
}

TEST_F(TlsTest, WhatIsNoFileIsRefusedAndNotWaitedFor) {
    Client client;
    const PemFile place("");
    ASSERT_EQ(unlink(place.path().c_str()), 0);
    ASSERT_EQ(mkfifo(place.path().c_str(), 0600), 0);                       // nobody writes to it
    for (const char* path : {place.path().c_str(), "/dev/zero", "/tmp"}) {  // and that one never ends
        tls.ca = path;
        const auto begun = begin(client, 9);
        ASSERT_FALSE(begun);
        EXPECT_EQ(begun.error().sentence, "CA file " + tls.ca + " can not be used: it is no regular file");
        EXPECT_EQ(begun.error().os_error, EINVAL);
    }
}

TEST_F(TlsTest, AFileThatChangesIsReadAgain) {
    PemFile file(Identity::authority("another CA").certificate_pem());
    const TlsServer server(ca.sign({{"web.example"}}), greet);
    tls.ca = file.path();
    EXPECT_EQ(talk(server.port()).reason, "certificate is not signed by a trusted CA");
    file.write(ca.certificate_pem() + "\n");
    EXPECT_EQ(talk(server.port()).read, "hello");
}

TEST_F(TlsTest, TheSystemsCAsAreReadAgainWhenTheyChange) {
    PemFile file(Identity::authority("another CA").certificate_pem());
    const PemFile elsewhere("");
    const TlsServer server(ca.sign({{"web.example"}}), greet);
    setenv(X509_get_default_cert_file_env(), file.path().c_str(), 1);
    setenv(X509_get_default_cert_dir_env(), (elsewhere.path() + ".d").c_str(), 1);
    tls.ca = "";
    EXPECT_EQ(talk(server.port()).reason, "certificate is not signed by a trusted CA");
    file.write(ca.certificate_pem() + "\n");
    EXPECT_EQ(talk(server.port()).read, "hello");
    unsetenv(X509_get_default_cert_file_env());
    unsetenv(X509_get_default_cert_dir_env());
}

TEST_F(TlsTest, NamesWhatTheServerDoesNotOffer) {
    const Identity web = ca.sign({{"web.example"}});
    {
        const TlsServer old(web, greet, {"", "", TLS1_VERSION, TLS1_1_VERSION});
        EXPECT_EQ(talk(old.port()).reason, "the server speaks no TLS version from 1.2 on");
    }
    const TlsServer other(web, greet, {"http/1.1"});
    tls.alpn = "h2";
    EXPECT_EQ(talk(other.port()).reason, "the server does not speak \"h2\"");
}

// A server that answers the first bytes with `reply`, and then closes or waits.
class PlainServer {
  public:
    PlainServer(std::string reply, bool closes)
        : thread_([this, reply = std::move(reply), closes] {
              pollfd waiting{listener_.fd(), POLLIN, 0};
              if (poll(&waiting, 1, 60'000) != 1) return;
              const int fd = listener_.accept();
              pollfd first{fd, POLLIN, 0};
              poll(&first, 1, 60'000);
              char buffer[4096];
              (void)recv(fd, buffer, sizeof buffer, 0);
              (void)send(fd, reply.data(), reply.size(), MSG_NOSIGNAL);
              if (!closes) {
                  poll(&first, 1, 60'000);
                  while (recv(fd, buffer, sizeof buffer, 0) > 0) continue;
              }
              close(fd);
          }) {}
    ~PlainServer() { thread_.join(); }
    PlainServer(const PlainServer&) = delete;
    PlainServer& operator=(const PlainServer&) = delete;
    uint16_t port() const { return listener_.port(); }

  private:
    Listener listener_;
    std::thread thread_;
};

TEST_F(TlsTest, AServerThatSpeaksNoTlsIsNamedAsSuch) {
    for (const char* reply :
         {"HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n", "SSH-2.0-x\r\n"}) {
        const PlainServer server(reply, false);
        const Client client = talk(server.port());
        EXPECT_EQ(client.why, -EPROTO);
        EXPECT_EQ(client.reason, "the server does not speak TLS");
    }
    const PlainServer mute("", true);
    const Client client = talk(mute.port());
    EXPECT_EQ(client.why, -EPROTO);
    EXPECT_EQ(client.reason, "the server ended the connection during the TLS handshake");
}

TEST_F(TlsTest, AHandshakeThatNeverEndsIsEndedByTheDeadline) {
    const Listener silent;
    Client client;
    ASSERT_TRUE(begin(client, silent.port(), clock.now() + second));
    for (int i = 0; i < 50; ++i) {
        loop.step();
        poll(nullptr, 0, 1);
    }
    EXPECT_FALSE(client.over);
    clock.advance(second + TimerWheel::slot_ns);
    loop.step();
    EXPECT_EQ(client.why, -ETIMEDOUT);
    EXPECT_EQ(client.reason, "timed out in the TLS handshake");
}

TEST_F(TlsTest, MuchMoreThanARecordGoesBothWays) {
    constexpr size_t much = 900'000;
    std::string got;
    {
        const TlsServer server(ca.sign({{"web.example"}}), [&](Served& peer) {
            char buffer[16384];
            while (!got.ends_with("END")) {
                const int size = SSL_read(peer.ssl(), buffer, sizeof buffer);
                if (size <= 0) return;
                got.append(buffer, static_cast<size_t>(size));
            }
            peer.write(std::string(much, 'y'));
            peer.wait_for_end();
        });
        Client client;
        client.say = std::string(much, 'x') + "END";
        ASSERT_TRUE(begin(client, server.port()));
        EXPECT_TRUE(turn_until(loop, [&] { return client.over || client.read.size() == much; }));
        EXPECT_EQ(client.read, std::string(much, 'y'));
        client.conn->close();
    }
    EXPECT_EQ(got.size(), much + 3);
}

TEST_F(TlsTest, TheEndOfTheServersStreamIsNoError) {
    const TlsServer server(ca.sign({{"web.example"}}), [](Served& peer) { peer.write("bye"); });
    const Client client = talk(server.port(), 100);
    EXPECT_EQ(client.read, "bye");
    EXPECT_EQ(client.why, 0);
    EXPECT_EQ(client.reason, "");
}

}  // namespace
}  // namespace gorb::io::io_tls_test
