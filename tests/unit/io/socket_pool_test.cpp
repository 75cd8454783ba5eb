// Connections one after the other on the same socket: none may feel anything of the one before.
#include "io/socket_pool.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "io/conn.h"
#include "io/timer_wheel.h"
#include "net_fixture.h"

namespace gorb::io::socket_pool_test {
namespace {

struct Events final : ConnEvents {
    void opened(Conn&) override { log.emplace_back("opened"); }
    size_t received(Conn&, const uint8_t* data, size_t size) override {
        log.push_back("received " + std::string(reinterpret_cast<const char*>(data), size));
        return size;
    }
    void closed(Conn&, int why) override { log.push_back("closed " + std::to_string(why)); }
    std::vector<std::string> log;
};

class SocketPoolTest : public testing::TestWithParam<const char*> {
  protected:
    Conn* open(const base::Endpoint& peer, Events& events) {
        ConnOptions options;
        options.peer = peer;
        options.speaks_first = true;
        options.sockets = &sockets;
        const auto conn = Conn::open(loop, options, events);
        EXPECT_TRUE(conn) << conn.error().sentence;
        return conn ? *conn : nullptr;
    }
    bool turn_until(const Events& events, size_t entries) {
        return io::turn_until(loop, [&] { return events.log.size() >= entries; });
    }
    // -1 where nobody came within a minute.
    int accept(const Listener& server) {
        int fd = -1;
        io::turn_until(loop, [&] { return fd >= 0 || (fd = server.accept()) >= 0; });
        return fd;
    }
    const char* here() const { return GetParam(); }

    base::ManualClock clock{};
    Loop loop{"test", &clock};
    SocketPool sockets{loop};
};

INSTANTIATE_TEST_SUITE_P(Families, SocketPoolTest, testing::Values("127.0.0.1", "::1"),
                         [](const auto& param) { return param.index == 0 ? "Ipv4" : "Ipv6"; });

TEST_P(SocketPoolTest, OneSocketTalksToManyServersAndNothingIsLeftOfAnyConnection) {
    const Listener first(here()), second(here());
    for (int i = 0; i < 100; ++i) {
        const Listener& server = i % 2 ? first : second;
        Events events;
        Conn* conn = open(server.endpoint(), events);
        ASSERT_TRUE(turn_until(events, 1));
        const std::string hello = "hello " + std::to_string(i);
        ASSERT_EQ(conn->send(hello.data(), hello.size()), 0);
        const int other = accept(server);
        ASSERT_GE(other, 0);
        std::array<char, 100> got{};
        const ssize_t size = recv(other, got.data(), got.size(), 0);
        ASSERT_EQ(std::string(got.data(), size > 0 ? static_cast<size_t>(size) : 0), hello);
        const std::string answer = "answer " + std::to_string(i);
        ASSERT_EQ(write(other, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
        const bool peer_ends = i % 3 != 0;
        if (peer_ends) {
            close(other);
            ASSERT_TRUE(turn_until(events, 3));
            ASSERT_THAT(events.log, testing::ElementsAre("opened", "received " + answer, "closed 0"));
        } else {
            ASSERT_TRUE(turn_until(events, 2));
            conn->close();
            close(other);
        }
    }
    EXPECT_EQ(sockets.sockets(), 1U);
    for (const Listener* server : {&first, &second})
        EXPECT_THAT(kernel_sockets(server->port()), testing::SizeIs(1)) << "the listener, and no TIME_WAIT";
}

TEST_P(SocketPoolTest, WhatAConnectionLeftUnreadIsNotTheNextOnes) {
    const Listener server(here());
    Events before, after;
    Conn* conn = open(server.endpoint(), before);
    ASSERT_TRUE(turn_until(before, 1));
    ASSERT_EQ(conn->send("x", 1), 0);
    const int other = accept(server);
    ASSERT_EQ(write(other, "junk", 4), 4);
    poll(nullptr, 0, 20);  // loopback has delivered it long before that
    conn->close();
    Conn* next = open(server.endpoint(), after);
    ASSERT_TRUE(turn_until(after, 1));
    ASSERT_EQ(next->send("y", 1), 0);
    const int another = accept(server);
    ASSERT_EQ(write(another, "fine", 4), 4);
    ASSERT_TRUE(turn_until(after, 2));
    EXPECT_THAT(after.log, testing::ElementsAre("opened", "received fine"));
    EXPECT_EQ(sockets.sockets(), 1U);
    next->close();
    close(other);
    close(another);
}

TEST_P(SocketPoolTest, AnEventThatAwaitsAnEndedConnectionIsNotTakenForTheNextOnes) {
    const Listener server(here());
    Listener silent(here(), 0);
    silent.go_silent();
    Events before, after;
    Conn* conn = open(server.endpoint(), before);
    poll(nullptr, 0, 20);  // loopback has answered
    // The loop has fetched "open" from epoll when what was posted closes the connection in the same turn and
    // begins another one with its socket.
    Conn* next = nullptr;
    loop.post([&] {
        conn->close();
        next = open(silent.endpoint(), after);
    });
    for (int i = 0; i < 20; ++i) loop.step();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(sockets.sockets(), 1U);
    EXPECT_TRUE(before.log.empty());
    EXPECT_TRUE(after.log.empty()) << after.log.front();
    next->close();
}

TEST_P(SocketPoolTest, ARefusalIsToldOfEachConnectionAndSpoilsNoSocket) {
    const Listener server(here());
    const ClosedPort closed(here());
    for (int i = 0; i < 20; ++i) {
        Events refused, open_one;
        open(closed.endpoint(), refused);
        ASSERT_TRUE(turn_until(refused, 1));
        ASSERT_THAT(refused.log, testing::ElementsAre("closed " + std::to_string(-ECONNREFUSED)));
        Conn* conn = open(server.endpoint(), open_one);
        ASSERT_TRUE(turn_until(open_one, 1));
        ASSERT_THAT(open_one.log, testing::ElementsAre("opened"));
        conn->close();
    }
    EXPECT_EQ(sockets.sockets(), 1U);
}

TEST_P(SocketPoolTest, SocketsThatAreToBeFinishedOrBoundToAPortAreNoneOfThePools) {
    const Listener server(here());
    Events events;
    ConnOptions options;
    options.peer = server.endpoint();
    options.sockets = &sockets;
    options.finish = true;
    auto conn = Conn::open(loop, options, events);
    ASSERT_TRUE(conn);
    (*conn)->close();
    options.finish = false;
    options.way.source = {ip_of(here()), ClosedPort(here()).port()};
    conn = Conn::open(loop, options, events);
    ASSERT_TRUE(conn) << conn.error().sentence;
    (*conn)->close();
    EXPECT_EQ(sockets.sockets(), 0U);
}

TEST_P(SocketPoolTest, WithoutADescriptorOneThatRestsMakesRoomForASocketOfItsOwn) {
    const Listener server(here());
    Events first, own, refused;
    Conn* conn = open(server.endpoint(), first);
    ASSERT_TRUE(turn_until(first, 1));
    conn->close();
    ASSERT_EQ(sockets.sockets(), 1U);
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit low = before;
    low.rlim_cur = open_descriptors() + 8;
    setrlimit(RLIMIT_NOFILE, &low);
    std::vector<int> taken;
    for (int fd = dup(0); fd >= 0; fd = dup(0)) taken.push_back(fd);
    ConnOptions options;
    options.peer = server.endpoint();
    options.sockets = &sockets;
    options.finish = true;
    const auto found_room = Conn::open(loop, options, own);
    const auto found_none = Conn::open(loop, options, refused);
    for (const int fd : taken) close(fd);
    setrlimit(RLIMIT_NOFILE, &before);
    ASSERT_TRUE(found_room) << found_room.error().sentence;
    (*found_room)->close();
    EXPECT_EQ(sockets.sockets(), 0U);
    ASSERT_FALSE(found_none);
    EXPECT_EQ(found_none.error().os_error, EMFILE);
}

TEST_P(SocketPoolTest, WhereMostDescriptorsAreInUseOneThatRestsMakesRoomForANewOne) {
    const Listener server(here());
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit low = before;
    low.rlim_cur = 80;
    setrlimit(RLIMIT_NOFILE, &low);
    SocketPool few(loop);
    Events resting, busy, other;
    ConnOptions options;
    options.peer = server.endpoint();
    options.speaks_first = true;
    options.sockets = &few;
    const auto first = Conn::open(loop, options, resting);
    const auto second = Conn::open(loop, options, busy);
    ASSERT_TRUE(first && second);
    ASSERT_TRUE(turn_until(resting, 1));
    (*first)->close();
    std::vector<int> taken;
    while (taken.empty() || (taken.back() >= 0 && taken.back() < 58)) taken.push_back(dup(0));
    options.speaks_first = false;  // a socket of another kind
    const auto below = Conn::open(loop, options, other);
    EXPECT_EQ(few.sockets(), 3U);
    const auto above = Conn::open(loop, options, other);
    EXPECT_EQ(few.sockets(), 3U) << "the one that rested is closed";
    for (const int fd : taken) close(fd);
    setrlimit(RLIMIT_NOFILE, &before);
    ASSERT_TRUE(below && above);
    for (const auto& conn : {second, below, above}) (*conn)->close();
}

void nobody_listens(void*, uint32_t) {}

SocketPool::Kind from(uint32_t host) {
    SocketPool::Kind kind{AF_INET, true, true, {}};
    kind.way.source.ip = ip_of("127.0.0.0");
    for (size_t i = 0; i < 3; ++i) kind.way.source.ip.bytes[3 - i] = static_cast<uint8_t>(host >> (8 * i));
    return kind;
}

// Connections of many kinds, each from a source of its own.
class SocketPoolKindsTest : public testing::Test {
  protected:
    SocketPoolKindsTest() {
        getrlimit(RLIMIT_NOFILE, &before_);
        rlimit low = before_;
        low.rlim_cur = 128;
        setrlimit(RLIMIT_NOFILE, &low);
    }
    ~SocketPoolKindsTest() override { setrlimit(RLIMIT_NOFILE, &before_); }
    SocketPool::Socket begin(SocketPool& sockets, const SocketPool::Kind& kind) {
        auto begun = sockets.connect(kind, server.endpoint(), &nobody_listens, nullptr);
        EXPECT_TRUE(begun) << begun.error().sentence;
        return begun ? begun->socket : SocketPool::Socket{};
    }
    void use(SocketPool& sockets, const SocketPool::Kind& kind) { sockets.give(begin(sockets, kind)); }
    void rest() {
        clock.advance(SocketPool::rest_ns + TimerWheel::slot_ns);
        loop.step();
    }

    const Listener server;
    base::ManualClock clock{};
    Loop loop{"test", &clock};

  private:
    rlimit before_{};
};

TEST_F(SocketPoolKindsTest, OfKindsWithoutASocketNothingIsKept) {
    SocketPool sockets(loop);
    const SocketPool::Socket held = begin(sockets, from(1));
    for (uint32_t i = 2; i <= 20'000; ++i) use(sockets, from(i));
    EXPECT_EQ(sockets.kinds(), sockets.sockets());
    rest();
    rest();
    EXPECT_EQ(sockets.sockets(), 1U) << "the one in use";
    EXPECT_EQ(sockets.kinds(), 1U);
    sockets.give(held);
    use(sockets, from(1));
    EXPECT_EQ(sockets.sockets(), 1U);
    rest();
    rest();
    EXPECT_EQ(sockets.kinds(), 0U);
}

TEST_F(SocketPoolKindsTest, WhatRestsLeavesAQuarterOfTheDescriptorsToOthersForGood) {
    SocketPool sockets(loop);
    for (uint32_t i = 1; i <= 1000; ++i) use(sockets, from(i));
    EXPECT_GT(sockets.sockets(), 32U);
    EXPECT_LE(open_descriptors(), 96U + 2);
    for (uint32_t i = 1; i <= 2000; ++i) {
        use(sockets, from(i));
        if (i % 100 == 0) rest();
    }
    EXPECT_LE(open_descriptors(), 96U + 2) << "nor some more after each look";
}

TEST_F(SocketPoolKindsTest, OfWhatCanNotBeConnectedOrUsedAgainNothingIsKept) {
    SocketPool sockets(loop);
    SocketPool::Kind kind{AF_INET, true, true, {}};
    kind.way.interface = "no-such-device";
    EXPECT_FALSE(sockets.connect(kind, server.endpoint(), &nobody_listens, nullptr));
    EXPECT_EQ(sockets.kinds(), 0U);
    const Listener other("::1");
    kind = {AF_INET6, true, true, {}};
    kind.way.source.ip = ip_of("::1");
    const auto begun = sockets.connect(kind, other.endpoint(), &nobody_listens, nullptr);
    ASSERT_TRUE(begun) << begun.error().sentence;
    EXPECT_EQ(sockets.kinds(), 1U);
    sockets.give(begun->socket);
    EXPECT_EQ(sockets.kinds(), 0U);
}

TEST_F(SocketPoolKindsTest, WhatHasRestedForLongestMakesRoom) {
    SocketPool sockets(loop);
    for (const uint32_t host : {1, 2, 3, 1}) use(sockets, from(host));
    EXPECT_TRUE(sockets.make_room());
    EXPECT_EQ(sockets.sockets(), 2U);
    use(sockets, from(1));
    use(sockets, from(3));
    EXPECT_EQ(sockets.sockets(), 2U);
    use(sockets, from(2));
    EXPECT_EQ(sockets.sockets(), 3U) << "its own was closed";
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(sockets.make_room());
    EXPECT_FALSE(sockets.make_room());
}

// What finds the sockets of one kind among those of many.
TEST(SocketPoolKindHashTest, KindsThatDifferInOneThingAreNotLookedForInOnePlace) {
    std::unordered_set<SocketPool::Kind, SocketPool::KindHash> kinds;
    std::unordered_set<size_t> hashes;
    const auto put = [&](const SocketPool::Kind& kind) {
        kinds.insert(kind);
        hashes.insert(SocketPool::KindHash{}(kind));
    };
    constexpr uint32_t many = 20'000;
    for (uint32_t i = 1; i <= many; ++i) {
        put(from(i));
        SocketPool::Kind kind{AF_INET, true, true, {}};
        kind.way.fwmark = i;
        put(kind);
        kind.way = {};
        kind.way.interface = "veth" + std::to_string(i);
        put(kind);
        kind.way = {};
        kind.way.scope = i;
        put(kind);
    }
    for (const int af : {AF_INET, AF_INET6}) {
        for (const bool holds_ack : {false, true}) {
            for (const bool few_syns : {false, true}) put({af, holds_ack, few_syns, {}});
        }
    }
    EXPECT_EQ(kinds.size(), 4 * many + 8);
    EXPECT_EQ(hashes.size(), kinds.size());
    size_t fullest = 0;
    for (size_t i = 0; i < kinds.bucket_count(); ++i) fullest = std::max(fullest, kinds.bucket_size(i));
    EXPECT_LE(fullest, 12U);
}

}  // namespace
}  // namespace gorb::io::socket_pool_test
