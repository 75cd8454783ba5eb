#include "io/conn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gorb::io::conn_test {
namespace {

base::Ip ip(const char* text) {
    return base::Ip::parse(text).value();
}

// A plain blocking socket on the loopback, the other side of the connections here.
class Peer {
  public:
    Peer(int type, const char* address) : ip_(ip(address)) {
        fd_ = socket(ip_.af(), type | SOCK_CLOEXEC, 0);
        sockaddr_storage storage{};
        socklen_t size = 0;
        if (ip_.v4()) {
            auto* in = reinterpret_cast<sockaddr_in*>(&storage);
            in->sin_family = AF_INET;
            std::memcpy(&in->sin_addr, ip_.bytes.data(), 4);
            size = sizeof *in;
        } else {
            auto* in6 = reinterpret_cast<sockaddr_in6*>(&storage);
            in6->sin6_family = AF_INET6;
            std::memcpy(&in6->sin6_addr, ip_.bytes.data(), 16);
            size = sizeof *in6;
        }
        usable_ = bind(fd_, reinterpret_cast<sockaddr*>(&storage), size) == 0;
        if (type == SOCK_STREAM) usable_ = usable_ && listen(fd_, 16) == 0;
        size = sizeof storage;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &size);
        port_ = ntohs(ip_.v4() ? reinterpret_cast<sockaddr_in*>(&storage)->sin_port
                               : reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { shut(); }
    void shut() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
    }
    bool usable() const { return usable_; }  // a machine without IPv6 is no fault of ours
    base::Endpoint endpoint() const { return {ip_, port_}; }
    int fd() const { return fd_; }
    // -1 when nobody comes in `ms`.
    int accept(int ms = 60'000) const {
        pollfd waiting{fd_, POLLIN, 0};
        return poll(&waiting, 1, ms) == 1 ? ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC) : -1;
    }

  private:
    base::Ip ip_;
    int fd_ = -1;
    uint16_t port_ = 0;
    bool usable_ = false;
};

// Writes down what happens, and lets a test answer it.
struct Events final : ConnEvents {
    void opened(Conn& conn) override {
        log.emplace_back("opened");
        if (on_opened) on_opened(conn);
    }
    size_t received(Conn& conn, const uint8_t* data, size_t size) override {
        log.push_back("received " + std::string(reinterpret_cast<const char*>(data), size));
        return on_received ? on_received(conn, size) : size;
    }
    void closed(Conn& conn, int why) override {
        log.push_back("closed " + std::to_string(why));
        closed_why = why;
        closed_reason = conn.reason();
        if (on_closed) on_closed(conn);
    }
    std::vector<std::string> log;
    int closed_why = 1;
    std::string closed_reason;
    std::function<void(Conn&)> on_opened, on_closed;
    std::function<size_t(Conn&, size_t)> on_received;
};

// The parameter: with sockets of a pool, or each with its own.
struct ConnTest : testing::TestWithParam<bool> {
    // Turns the loop until `done`, for a minute at most.
    bool turn_until(const std::function<bool()>& done) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done() && std::chrono::steady_clock::now() < until) {
            if (!loop.step()) poll(nullptr, 0, 1);
        }
        return done();
    }
    bool turn_until_log(size_t entries) {
        return turn_until([&] { return events.log.size() >= entries; });
    }
    base::Result<Conn*> open(const Peer& peer, Transport transport = Transport::tcp) {
        ConnOptions options = fresh();
        options.transport = transport;
        options.peer = peer.endpoint();
        return Conn::open(loop, options, events);
    }
    ConnOptions fresh() {
        ConnOptions options;
        if (GetParam()) options.sockets = &*sockets;
        return options;
    }
    base::ManualClock clock;
    Loop loop{"loop-test", &clock};
    std::optional<SocketPool> sockets{std::in_place, loop};
    Events events;
};

INSTANTIATE_TEST_SUITE_P(Sockets, ConnTest, testing::Bool(),
                         [](const auto& param) { return param.param ? "Pooled" : "Own"; });

std::string read_all(int fd) {
    std::string all;
    std::array<char, 65536> buffer{};
    for (ssize_t n = 0; (n = read(fd, buffer.data(), buffer.size())) > 0;) all.append(buffer.data(), n);
    return all;
}

void tcp_exchange(ConnTest& test, const char* address) {
    const Peer peer(SOCK_STREAM, address);
    if (!peer.usable()) GTEST_SKIP() << "no " << address << " here";
    const auto conn = test.open(peer);
    ASSERT_TRUE(conn);
    EXPECT_TRUE(test.events.log.empty());  // nothing before open() has returned
    EXPECT_EQ((*conn)->send("x", 1), -ENOTCONN);
    test.events.on_opened = [](Conn& c) {
        EXPECT_EQ(c.send("hel", 3), 0);
        EXPECT_EQ(c.send("lo", 2), 0);
    };
    ASSERT_TRUE(test.turn_until_log(1));
    const int other = peer.accept();
    std::array<char, 5> got{};
    ASSERT_EQ(recv(other, got.data(), got.size(), MSG_WAITALL), 5);
    EXPECT_EQ(std::string(got.data(), 5), "hello");
    ASSERT_EQ(write(other, "world", 5), 5);
    ASSERT_TRUE(test.turn_until_log(2));
    close(other);
    ASSERT_TRUE(test.turn_until_log(3));
    EXPECT_THAT(test.events.log, testing::ElementsAre("opened", "received world", "closed 0"));
}

TEST_P(ConnTest, TcpTalksBothWaysAndTellsTheEnd) {
    tcp_exchange(*this, "127.0.0.1");
}
TEST_P(ConnTest, TcpTalksOverIpv6) {
    tcp_exchange(*this, "::1");
}

TEST_P(ConnTest, ARefusedConnectionComesThroughClosed) {
    Peer peer(SOCK_STREAM, "127.0.0.1");
    peer.shut();
    ASSERT_TRUE(open(peer));
    ASSERT_TRUE(turn_until_log(1));
    EXPECT_THAT(events.log, testing::ElementsAre("closed " + std::to_string(-ECONNREFUSED)));
}

TEST_P(ConnTest, ANetworkWithoutARouteIsOurOwnTrouble) {
    ConnOptions options = fresh();
    options.peer = {ip("255.255.255.255"), 9};  // no route for TCP, and connect() says so
    const auto conn = Conn::open(loop, options, events);
    ASSERT_FALSE(conn);
    EXPECT_EQ(conn.error().os_error, ENETUNREACH);
    EXPECT_EQ(conn.error().sentence, "can not connect to 255.255.255.255:9: no route to that network");
    loop.step();
    EXPECT_TRUE(events.log.empty());
}

TEST_P(ConnTest, ADeviceIsUsedAndOneThatIsNotThereIsAnErrorOfOpen) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    ConnOptions options = fresh();
    options.peer = peer.endpoint();
    options.way.interface = "lo";
    const auto conn = Conn::open(loop, options, events);
    ASSERT_TRUE(conn) << conn.error().sentence;
    ASSERT_TRUE(turn_until_log(1));
    EXPECT_EQ(events.log[0], "opened");
    (*conn)->close();
    options.way.interface = "no-such-device";
    const auto refused = Conn::open(loop, options, events);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().sentence, "can not use interface no-such-device: no such network device");
}

// How the peer sees the end: 0 for a finished stream, or the errno.
int end_seen(int fd) {
    char byte = 0;
    pollfd waiting{fd, POLLIN, 0};
    poll(&waiting, 1, 60'000);
    const ssize_t got = recv(fd, &byte, 1, 0);
    return got < 0 ? errno : static_cast<int>(got);
}

TEST_P(ConnTest, ClosesWithAResetUnlessAskedToFinish) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    for (const bool finish : {false, true}) {
        events.log.clear();
        ConnOptions options = fresh();
        options.peer = peer.endpoint();
        options.finish = finish;
        const auto conn = Conn::open(loop, options, events);
        ASSERT_TRUE(conn);
        ASSERT_TRUE(turn_until_log(1));
        const int other = peer.accept();
        (*conn)->close();
        EXPECT_EQ(end_seen(other), finish ? 0 : ECONNRESET);
        close(other);
    }
}

TEST_P(ConnTest, AnIdleConnectionHearsOfItsPeersEndWithinTheTurn) {
    for (const bool reset : {false, true}) {
        events.log.clear();
        const Peer peer(SOCK_STREAM, "127.0.0.1");
        ASSERT_TRUE(open(peer));
        ASSERT_TRUE(turn_until_log(1));
        const int other = peer.accept();
        for (int i = 0; i < 5; ++i) loop.step();
        if (reset) {
            const linger now{1, 0};
            setsockopt(other, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        close(other);  // loopback delivers it before close() returns
        loop.step();
        ASSERT_EQ(events.log.size(), 2u);
        EXPECT_EQ(events.closed_why, reset ? -ECONNRESET : 0);
    }
}

TEST_P(ConnTest, WhatComesTogetherWithTheEndIsReadFirst) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    ASSERT_TRUE(open(peer));
    const int other = peer.accept();
    EXPECT_EQ(::send(other, "last words", 10, 0), 10);
    close(other);
    ASSERT_TRUE(turn_until_log(3));
    EXPECT_THAT(events.log, testing::ElementsAre("opened", "received last words", "closed 0"));
}

// However late the loop is: the connection stood.
TEST_P(ConnTest, APeerThatResetsAtOnceWasConnectedAndWhatItSaidIsRead) {
    for (const bool speaks : {false, true}) {
        events = {};
        const Peer peer(SOCK_STREAM, "127.0.0.1");
        ASSERT_TRUE(open(peer));
        const int other = peer.accept();
        if (speaks) {
            EXPECT_EQ(::send(other, "go away", 7, 0), 7);
        }
        const linger reset{1, 0};
        setsockopt(other, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(other);
        ASSERT_TRUE(turn_until([&] { return events.closed_why != 1; }));
        std::vector<std::string> wanted{"opened", "received go away", "closed -104"};
        if (!speaks) wanted.erase(wanted.begin() + 1);
        EXPECT_EQ(events.log, wanted);
    }
}

TEST_P(ConnTest, ASocketThatMeetsItselfHasFoundNobody) {
    for (const auto transport : {Transport::tcp, Transport::udp}) {
        ConnOptions options = fresh();
        options.transport = transport;
        {
            const Peer nobody(transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM, "127.0.0.1");
            options.peer = options.way.source = nobody.endpoint();
        }
        events = {};
        ASSERT_TRUE(Conn::open(loop, options, events));
        ASSERT_TRUE(turn_until_log(1));
        EXPECT_THAT(events.log, testing::ElementsAre("closed -111"));
    }
}

// A server that has read enough says so and hangs up, while the rest of the request still waits here.
TEST_P(ConnTest, AnAnswerToHalfARequestIsReadBeforeTheReset) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    const int little = 4096;
    setsockopt(peer.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    events.on_opened = [](Conn& conn) {
        const std::string piece(1 << 18, 'x');
        for (int i = 0; i < 1000 && conn.send(piece.data(), piece.size()) == 0; ++i) continue;
    };
    ASSERT_TRUE(open(peer));
    ASSERT_TRUE(turn_until_log(1));
    const int other = peer.accept();
    EXPECT_EQ(::send(other, "too large", 9, 0), 9);
    close(other);  // with unread bytes: a reset
    ASSERT_TRUE(turn_until([&] { return events.closed_why != 1; }));
    ASSERT_EQ(events.log.size(), 3u);
    EXPECT_EQ(events.log[1], "received too large");
    EXPECT_TRUE(events.closed_why == -ECONNRESET || events.closed_why == -EPIPE) << events.closed_why;
}

TEST_P(ConnTest, TheDeadlineEndsWhatHasNoAnswer) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    ConnOptions options = fresh();
    options.peer = peer.endpoint();
    options.deadline = clock.now() + 1'000'000'000;
    ASSERT_TRUE(Conn::open(loop, options, events));
    ASSERT_TRUE(turn_until_log(1));
    clock.advance(999'000'000);
    loop.step();
    EXPECT_EQ(events.log.size(), 1U);
    clock.advance(20'000'000);
    loop.step();
    EXPECT_THAT(events.log, testing::ElementsAre("opened", "closed " + std::to_string(-ETIMEDOUT)));
}

TEST_P(ConnTest, CloseResetsATcpConnectionAndNoEventFollows) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    const auto conn = open(peer);
    ASSERT_TRUE(conn);
    ASSERT_TRUE(turn_until_log(1));
    const int other = peer.accept();
    (*conn)->close();
    std::array<char, 8> buffer{};
    EXPECT_EQ(recv(other, buffer.data(), buffer.size(), 0), -1);
    EXPECT_EQ(errno, ECONNRESET);
    close(other);
    for (int i = 0; i < 5; ++i) loop.step();
    EXPECT_EQ(events.log.size(), 1U);
}

TEST_P(ConnTest, CloseIsSafeWithinEveryEvent) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    for (const std::string where : {"opened", "received", "closed"}) {
        events = {};
        if (where == "opened") events.on_opened = [](Conn& c) { c.close(); };
        if (where == "received") {
            events.on_received = [](Conn& c, size_t size) {
                c.close();
                return size;
            };
        }
        if (where == "closed") {
            events.on_closed = [](Conn& c) {
                EXPECT_EQ(c.send("x", 1), -ENOTCONN);
                c.close();
            };
        }
        ASSERT_TRUE(open(peer));
        ASSERT_TRUE(turn_until_log(1));
        // A connection that was reset before it was accepted may or may not be in the queue.
        const int other = peer.accept(where == "opened" ? 0 : 60'000);
        const size_t expected = where == "opened" ? 1 : where == "received" ? 2 : 3;
        if (where != "opened") {
            ASSERT_EQ(write(other, "data", 4), 4);
        }
        if (other >= 0) close(other);
        ASSERT_TRUE(turn_until_log(expected)) << where;
        for (int i = 0; i < 5; ++i) loop.step();
        EXPECT_EQ(events.log.size(), expected) << where;
    }
}

TEST_P(ConnTest, WhatWasNotConsumedComesAgainInFrontOfWhatFollows) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    events.on_received = [n = 0](Conn&, size_t size) mutable { return ++n == 1 ? 2 : n == 2 ? 0 : size; };
    ASSERT_TRUE(open(peer));
    ASSERT_TRUE(turn_until_log(1));
    const int other = peer.accept();
    for (const char* piece : {"abc", "def", "g", "h"}) {
        const size_t entries = events.log.size();
        ASSERT_GT(write(other, piece, std::strlen(piece)), 0);
        ASSERT_TRUE(turn_until_log(entries + 1));
    }
    close(other);
    ASSERT_TRUE(turn_until_log(6));
    EXPECT_THAT(events.log, testing::ElementsAre("opened", "received abc", "received cdef", "received cdefg",
                                                 "received h", "closed 0"));
}

TEST_P(ConnTest, AReaderThatConsumesNothingIsEndedAtAMebibyte) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    events.on_received = [](Conn&, size_t) { return size_t{0}; };
    ASSERT_TRUE(open(peer));
    ASSERT_TRUE(turn_until_log(1));
    const int other = peer.accept();
    const std::string block(4096, 'x');
    ASSERT_TRUE(turn_until([&] {
        send(other, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        return events.closed_why != 1;
    }));
    EXPECT_EQ(events.closed_why, -EMSGSIZE) << "the peer's doing, and no trouble of our own";
    EXPECT_EQ(events.closed_reason, "more than 1 MiB came and was not consumed");
    close(other);
}

TEST_P(ConnTest, SendQueuesUpToAMebibyteAndKeepsTheOrder) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    const auto conn = open(peer);
    ASSERT_TRUE(conn);
    ASSERT_TRUE(turn_until_log(1));
    const int other = peer.accept();
    EXPECT_EQ((*conn)->send(std::string((1 << 20) + 1, 'x').data(), (1 << 20) + 1), -ENOBUFS);
    std::string sent;
    int result = 0;
    for (int i = 0; i < 10'000 && result == 0; ++i) {
        const std::string block(5000, static_cast<char>('a' + i % 26));
        result = (*conn)->send(block.data(), block.size());
        if (result == 0) sent += block;
    }
    EXPECT_EQ(result, -ENOBUFS);
    std::string got;
    std::array<char, 65536> buffer{};
    ASSERT_TRUE(turn_until([&] {
        ssize_t n = 0;
        while ((n = recv(other, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0)
            got.append(buffer.data(), n);
        return got.size() >= sent.size();
    }));
    EXPECT_TRUE(got == sent);
    (*conn)->close();
    close(other);
}

TEST_P(ConnTest, AResetIsToldWithItsErrnoAlsoWhenSendSawItFirst) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    for (const bool send_first : {false, true}) {
        events = {};
        const auto conn = open(peer);
        ASSERT_TRUE(conn);
        ASSERT_TRUE(turn_until_log(1));
        const int other = peer.accept();
        const linger reset{1, 0};
        setsockopt(other, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(other);
        if (send_first) {
            EXPECT_EQ((*conn)->send("x", 1), 0);
        }
        ASSERT_TRUE(turn_until_log(2));
        EXPECT_EQ(events.closed_why, -ECONNRESET) << send_first;
    }
}

TEST_P(ConnTest, UdpIsOneCallADatagram) {
    const Peer peer(SOCK_DGRAM, "127.0.0.1");
    events.on_opened = [](Conn& c) { EXPECT_EQ(c.send("ping", 4), 0); };
    events.on_received = [](Conn&, size_t) { return size_t{1}; };  // no rest is kept
    const auto conn = open(peer, Transport::udp);
    ASSERT_TRUE(conn);
    EXPECT_TRUE(events.log.empty());
    EXPECT_EQ((*conn)->send("x", 1), -ENOTCONN);
    ASSERT_TRUE(turn_until_log(1));
    std::array<char, 16> buffer{};
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    ASSERT_EQ(recvfrom(peer.fd(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size),
              4);
    for (const char* text : {"one", "", "two"}) {
        ASSERT_GE(sendto(peer.fd(), text, std::strlen(text), 0, reinterpret_cast<sockaddr*>(&from), size), 0);
    }
    ASSERT_TRUE(turn_until_log(4));
    EXPECT_THAT(events.log, testing::ElementsAre("opened", "received one", "received ", "received two"));
    EXPECT_EQ((*conn)->send(std::string(70'000, 'x').data(), 70'000), -EMSGSIZE);
    (*conn)->close();
}

TEST_P(ConnTest, AnIcmpErrorEndsAUdpConnection) {
    Peer peer(SOCK_DGRAM, "127.0.0.1");
    peer.shut();
    events.on_opened = [](Conn& c) { EXPECT_EQ(c.send("ping", 4), 0); };
    ASSERT_TRUE(open(peer, Transport::udp));
    ASSERT_TRUE(turn_until_log(2));
    EXPECT_EQ(events.closed_why, -ECONNREFUSED);
}

TEST_P(ConnTest, TheSourceAddressIsUsed) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    ConnOptions options = fresh();
    options.peer = peer.endpoint();
    options.way.source.ip = ip("127.0.0.77");
    const auto conn = Conn::open(loop, options, events);
    ASSERT_TRUE(conn) << conn.error().sentence;
    ASSERT_TRUE(turn_until_log(1));
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const int other = ::accept(peer.fd(), reinterpret_cast<sockaddr*>(&from), &size);
    EXPECT_EQ(base::Ip::from_bytes(AF_INET, &from.sin_addr), options.way.source.ip);
    (*conn)->close();
    close(other);
}

TEST_P(ConnTest, ASourceAddressThatIsNotOursIsAnErrorOfOpen) {
    ConnOptions options = fresh();
    options.peer = {ip("127.0.0.1"), 9};
    options.way.source.ip = ip("192.0.2.1");
    const auto conn = Conn::open(loop, options, events);
    ASSERT_FALSE(conn);
    EXPECT_EQ(conn.error().os_error, EADDRNOTAVAIL);
    EXPECT_THAT(conn.error().sentence, testing::StartsWith("can not use source address 192.0.2.1: "));
    options.way.source.ip = ip("::1");
    EXPECT_EQ(Conn::open(loop, options, events).error().code, base::Errc::invalid);
    EXPECT_FALSE(Conn::open(loop, ConnOptions{}, events));
    EXPECT_FALSE(loop.step());
    EXPECT_TRUE(events.log.empty());
}

TEST_P(ConnTest, ManyConnectionsFromOneAddressToOnePeerDoNotUseUpDescriptors) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    const int before = dup(peer.fd());
    close(before);
    for (int i = 0; i < 50; ++i) {
        events = {};
        const auto conn = open(peer);
        ASSERT_TRUE(conn);
        ASSERT_TRUE(turn_until_log(1));
        (*conn)->close();
        const int other = peer.accept(0);
        if (other >= 0) close(other);
    }
    EXPECT_LE(sockets->sockets(), 1U);
    sockets.reset();
    const int after = dup(peer.fd());
    close(after);
    EXPECT_EQ(after, before);
}

TEST_P(ConnTest, WhereWeSpeakFirstTheHandshakeEndsWithOurFirstBytes) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    ConnOptions options = fresh();
    options.peer = peer.endpoint();
    options.speaks_first = true;
    const auto conn = Conn::open(loop, options, events);
    ASSERT_TRUE(conn);
    ASSERT_TRUE(turn_until_log(1));
    EXPECT_EQ(peer.accept(0), -1) << "the peer has not seen the end of the handshake";
    EXPECT_EQ((*conn)->send("hello", 5), 0);
    const int other = peer.accept();
    ASSERT_GE(other, 0);
    std::array<char, 5> got{};
    EXPECT_EQ(recv(other, got.data(), got.size(), MSG_DONTWAIT), 5) << "it came with the connection";
    (*conn)->close();
    close(other);
}

TEST_P(ConnTest, ThePeerThatEndedFirstIsNotReset) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    ASSERT_TRUE(open(peer));
    ASSERT_TRUE(turn_until_log(1));
    const int other = peer.accept();
    shutdown(other, SHUT_WR);
    ASSERT_TRUE(turn_until_log(2));
    EXPECT_EQ(events.closed_why, 0);
    EXPECT_EQ(read_all(other), "");
    std::array<char, 1> buffer{};
    EXPECT_EQ(read(other, buffer.data(), 1), 0);  // an orderly end, not ECONNRESET
    close(other);
}

// Whether small pieces wait for an acknowledgement (Nagle) on this process's connection to the peer.
bool waits_with_small_pieces(const Peer& peer) {
    for (int fd = 3; fd < 1024; ++fd) {
        sockaddr_in to{};
        socklen_t size = sizeof to;
        if (getpeername(fd, reinterpret_cast<sockaddr*>(&to), &size) != 0) continue;
        if (to.sin_family != AF_INET || ntohs(to.sin_port) != peer.endpoint().port) continue;
        int no_delay = 0;
        size = sizeof no_delay;
        EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
        return no_delay == 0;
    }
    ADD_FAILURE() << "no connection to the peer";
    return false;
}

TEST_P(ConnTest, OnlyASecondPieceBeforeAnAnswerIsWorthACallForNoDelay) {
    const Peer peer(SOCK_STREAM, "127.0.0.1");
    const auto conn = open(peer);
    ASSERT_TRUE(conn);
    ASSERT_TRUE(turn_until_log(1));
    const int other = peer.accept();
    for (size_t i = 0; i < 2; ++i) {
        EXPECT_EQ((*conn)->send("question", 8), 0);
        ASSERT_EQ(write(other, "answer", 6), 6);
        ASSERT_TRUE(turn_until_log(2 + i));
        EXPECT_TRUE(waits_with_small_pieces(peer)) << "question " << i;
    }
    EXPECT_EQ((*conn)->send("one", 3), 0);
    EXPECT_TRUE(waits_with_small_pieces(peer));
    EXPECT_EQ((*conn)->send("two", 3), 0);
    EXPECT_FALSE(waits_with_small_pieces(peer));
    (*conn)->close();
    close(other);
}

}  // namespace
}  // namespace gorb::io::conn_test
