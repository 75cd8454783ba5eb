// The same errno by a router's ICMP and by a route of our own: one is the target's fault, the other is ours.
#include "io/trouble.h"

#include <algorithm>
#include <deque>
#include <string>

#include "icmp/network.h"
#include "io/conn.h"
#include "io/probe.h"
#include "net_fixture.h"

namespace gorb::io::network_test {
namespace {

using plugin_test::sh;

struct Events final : ConnEvents {
    void opened(Conn& conn) override {
        ++opens;
        if (speaks) {
            EXPECT_EQ(conn.send("x", 1), 0);
        }
    }
    size_t received(Conn&, const uint8_t*, size_t size) override { return size; }
    void closed(Conn&, int w) override {
        why = w;
        done = true;
    }
    int opens = 0, why = 0;
    bool speaks = true, done = false;
};

struct Answer final : ProbeEvents {
    void probed(int w) override {
        why = w;
        done = true;
    }
    int why = 0;
    bool done = false;
};

class NetworkTest : public testing::Test {
  protected:
    base::Result<Conn*> open(Transport transport, const char* address, bool pooled = false) {
        events = {};
        ConnOptions options;
        options.transport = transport;
        options.peer = {ip_of(address), 9};
        if (pooled) options.sockets = &sockets;
        return Conn::open(loop, options, events);
    }
    // What a connection that speaks ends with.
    int told(Transport transport, const char* address) {
        auto conn = open(transport, address);
        EXPECT_TRUE(conn) << address << ": " << conn.error().sentence;
        if (!conn) return 0;
        EXPECT_TRUE(turn_until(loop, [&] { return events.done; })) << address;
        return events.why;
    }
    int refused(Transport transport, const char* address, bool pooled = false) {
        auto conn = open(transport, address, pooled);
        EXPECT_FALSE(conn) << address;
        if (conn) (*conn)->close();
        return conn ? 0 : conn.error().os_error;
    }
    // What a datagram ends with whose way is cut by `route` after connect().
    int cut(const char* address, const std::string& route) {
        auto conn = open(Transport::udp, address);
        EXPECT_TRUE(conn) << address << ": " << conn.error().sentence;
        if (!conn) return 0;
        sh("ip route add " + route);
        EXPECT_TRUE(turn_until(loop, [&] { return events.done; })) << address;
        sh("ip route del " + route);
        return events.why;
    }

    // A new one for each test: a router sends only so many errors a second, at first five.
    plugin_test::Router router;
    Loop loop{"test"};
    SocketPool sockets{loop};
    ProbePool probes{loop, sockets};
    Events events;
};

// Prohibited, host unreachable, network unreachable; over IPv6 prohibited and no route.
constexpr const char* refused_by_router[] = {"10.78.0.1", "10.79.0.1", "10.81.0.1", "fd78::1", "fd79::1"};

TEST(ToldLaterTest, OnlyWhatARouterCanSayChangesAndTheSignStays) {
    for (const int routers : {ENETUNREACH, EACCES, EHOSTUNREACH}) {
        EXPECT_EQ(told_later(routers), EHOSTUNREACH);
        EXPECT_EQ(told_later(-routers), -EHOSTUNREACH);
    }
    for (const int other : {0, EPERM, ECONNREFUSED, ETIMEDOUT, ENETDOWN, ENOBUFS, EMSGSIZE, ENOENT}) {
        EXPECT_EQ(told_later(other), other);
        EXPECT_EQ(told_later(-other), -other);
    }
}

TEST_F(NetworkTest, WhatARouterSaysOfADatagramIsTheTargets) {
    for (const char* address : refused_by_router) {
        EXPECT_EQ(told(Transport::udp, address), -EHOSTUNREACH) << address;
        EXPECT_FALSE(our_trouble(events.why)) << address;
        EXPECT_EQ(events.opens, 1) << address;
    }
}

TEST_F(NetworkTest, SoItIsWhenTheNextDatagramIsToldOfIt) {
    for (const char* address : {"10.81.0.1", "10.79.0.1", "fd78::1", "fd79::1"}) {
        auto conn = open(Transport::udp, address);
        ASSERT_TRUE(conn);
        events.speaks = false;
        ASSERT_TRUE(turn_until(loop, [&] { return events.opens == 1; }));
        ASSERT_EQ((*conn)->send("x", 1), 0);
        poll(nullptr, 0, 50);  // the answer comes, and the loop does not look
        ASSERT_EQ((*conn)->send("x", 1), 0);
        ASSERT_TRUE(turn_until(loop, [&] { return events.done; })) << address;
        EXPECT_EQ(events.why, -EHOSTUNREACH) << address;
    }
}

TEST_F(NetworkTest, WhatARouterSaysOfAConnectionIsTheTargets) {
    std::deque<Answer> probed;
    std::deque<Events> talked;
    for (const char* address : refused_by_router) {
        ConnOptions options;
        options.peer = {ip_of(address), 9};
        ASSERT_TRUE(Conn::open(loop, options, talked.emplace_back())) << address;
        if (options.peer.ip.v4()) continue;
        options.sockets = &sockets;
        ASSERT_TRUE(Conn::open(loop, options, talked.emplace_back())) << address;
        ASSERT_TRUE(probes.start(options.peer, {}, 0, probed.emplace_back())) << address;
    }
    const auto over = [](const auto& all) {
        return std::all_of(all.begin(), all.end(), [](const auto& one) { return one.done; });
    };
    ASSERT_TRUE(turn_until(loop, [&] { return over(talked) && over(probed); }));
    for (const Events& one : talked) EXPECT_EQ(one.why, -EHOSTUNREACH);
    for (const Answer& one : probed) EXPECT_EQ(one.why, -EHOSTUNREACH);
    // A probe of IPv4 goes the same way.
    Answer answer;
    ASSERT_TRUE(probes.start({ip_of("10.81.0.1"), 9}, {}, 0, answer));
    ASSERT_TRUE(turn_until(loop, [&] { return answer.done; }));
    EXPECT_EQ(answer.why, -EHOSTUNREACH);
}

TEST_F(NetworkTest, WhatOurOwnRoutesRefuseIsOurs) {
    sh("ip route add unreachable 10.90.0.0/24; ip route add prohibit 10.91.0.0/24; ip -6 route add prohibit "
       "fd91::/64; ip route del default; ip -6 route del default");
    for (const Transport transport : {Transport::udp, Transport::tcp}) {
        EXPECT_EQ(refused(transport, "10.90.0.1"), EHOSTUNREACH);
        EXPECT_EQ(refused(transport, "10.91.0.1"), EACCES);
        EXPECT_EQ(refused(transport, "fd91::1"), EACCES);
        EXPECT_EQ(refused(transport, "10.92.0.1"), ENETUNREACH);
        EXPECT_EQ(refused(transport, "fd92::1"), ENETUNREACH);
    }
    EXPECT_EQ(refused(Transport::tcp, "10.92.0.1", true), ENETUNREACH);
    for (const int error : {EHOSTUNREACH, EACCES, ENETUNREACH}) EXPECT_TRUE(our_trouble_at_once(error));
    sh("ip route add default via 10.77.0.1; ip -6 route add default via fd77::1");
}

TEST_F(NetworkTest, ADatagramThatOurOwnRoutesRefuseAfterConnectIsOursAsWell) {
    EXPECT_EQ(cut("10.93.0.1", "unreachable 10.93.0.0/24"), -ENETUNREACH);
    EXPECT_EQ(cut("10.94.0.1", "prohibit 10.94.0.0/24"), -EACCES);
    EXPECT_EQ(cut("fd94::1", "prohibit fd94::/64"), -EACCES);
    EXPECT_TRUE(our_trouble(events.why));
}

}  // namespace
}  // namespace gorb::io::network_test
