#include "io/probe.h"

#include <sys/resource.h>

#include <deque>
#include <memory>

#include "io/timer_wheel.h"
#include "net_fixture.h"

namespace gorb::io::probe_test {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr uint64_t second = 1'000'000'000;
constexpr int pending = 4711;

struct Answer final : ProbeEvents {
    void probed(int w) override {
        why = w;
        ++times;
        if (then) then();
    }
    int why = pending, times = 0;
    std::function<void()> then;
};

class ProbeTest : public testing::TestWithParam<const char*> {
  protected:
    int probe(const base::Endpoint& peer, const Way& way = {}) {
        Answer answer;
        auto started = pool.start(peer, way, 0, answer);
        EXPECT_TRUE(started) << started.error().sentence;
        EXPECT_EQ(answer.why, pending) << "no event before start() has returned";
        EXPECT_TRUE(turn_until(loop, [&] { return answer.times > 0; }));
        return answer.why;
    }
    const char* here() const { return GetParam(); }

    base::ManualClock clock{};
    Loop loop{"test", &clock};
    SocketPool sockets{loop};
    ProbePool pool{loop, sockets};
};

INSTANTIATE_TEST_SUITE_P(Families, ProbeTest, testing::Values("127.0.0.1", "::1"),
                         [](const auto& param) { return param.index == 0 ? "Ipv4" : "Ipv6"; });

TEST_P(ProbeTest, AnOpenPortIsFoundWithoutTheServerSeeingAConnection) {
    const Listener server(here());
    for (int i = 0; i < 200; ++i) ASSERT_EQ(probe(server.endpoint()), 0);
    EXPECT_EQ(server.accept(), -1) << "the handshake must not be finished";
    EXPECT_EQ(sockets.sockets(), 1u) << "one socket serves them all";
    EXPECT_THAT(kernel_sockets(server.port()), testing::SizeIs(1)) << "the listener, and no TIME_WAIT";
}

TEST_P(ProbeTest, AClosedPortIsRefusedEachTime) {
    const ClosedPort closed(here());
    for (int i = 0; i < 100; ++i) ASSERT_EQ(probe(closed.endpoint()), -ECONNREFUSED);
    EXPECT_EQ(sockets.sockets(), 1u);
}

TEST_P(ProbeTest, WhatASocketFoundBeforeDoesNotColourWhatItFindsNext) {
    const Listener server(here());
    const ClosedPort closed(here());
    for (int i = 0; i < 50; ++i) {
        ASSERT_EQ(probe(server.endpoint()), 0);
        ASSERT_EQ(probe(closed.endpoint()), -ECONNREFUSED);
    }
    EXPECT_EQ(sockets.sockets(), 1u);
}

TEST_P(ProbeTest, ASilentServerTimesOutAtTheDeadlineAndTheSocketIsGoodAfterwards) {
    Listener silent(here(), 0);
    silent.go_silent();
    const Listener server(here());
    for (int i = 0; i < 3; ++i) {
        Answer answer;
        ASSERT_TRUE(pool.start(silent.endpoint(), {}, clock.now() + second, answer));
        for (int turn = 0; turn < 20; ++turn) loop.step();
        EXPECT_EQ(answer.times, 0);
        clock.advance(second + TimerWheel::slot_ns);
        loop.step();
        EXPECT_EQ(answer.why, -ETIMEDOUT);
        ASSERT_EQ(probe(server.endpoint()), 0);
    }
    EXPECT_EQ(sockets.sockets(), 2u) << "one with few SYNs for a near deadline, one without";
}

TEST_P(ProbeTest, APeerThatResetsAtOnceIsOpenHoweverLateWeLook) {
    const Listener server(here());
    for (int i = 0; i < 2; ++i) {
        Answer answer;
        ASSERT_TRUE(pool.start(server.endpoint(), {}, 0, answer));
        // A turn that comes so late that the kernel has finished the handshake by itself.
        pollfd waiting{server.fd(), POLLIN, 0};
        ASSERT_EQ(poll(&waiting, 1, 10'000), 1);
        const int other = server.accept();
        ASSERT_GE(other, 0);
        reset_on_close(other);
        close(other);
        EXPECT_TRUE(turn_until(loop, [&] { return answer.times > 0; }));
        EXPECT_EQ(answer.why, 0);
    }
    const ClosedPort closed(here());
    EXPECT_EQ(probe(closed.endpoint()), -ECONNREFUSED);
    EXPECT_EQ(sockets.sockets(), 1u);
}

TEST_P(ProbeTest, ASocketThatMeetsItselfHasFoundNobody) {
    const uint16_t port = ClosedPort(here()).port();
    Way way;  // as the kernel chooses it now and then for a port of this machine
    way.source = {ip_of(here()), port};
    EXPECT_EQ(probe({ip_of(here()), port}, way), -ECONNREFUSED);
    const Listener server(here());
    EXPECT_EQ(probe(server.endpoint(), way), 0) << "another port is another one";
}

TEST_P(ProbeTest, AnAnswerThatAwaitsAnEndedProbeIsNotTakenForTheNextOnes) {
    const Listener server(here());
    Listener silent(here(), 0);
    silent.go_silent();
    // The loop has fetched "open" from epoll when what was posted ends the probe in the same turn and begins
    // another one on the socket that came free.
    Answer first, second_one;
    bool begun = false;
    auto started = pool.start(server.endpoint(), {}, 0, first);
    ASSERT_TRUE(started);
    poll(nullptr, 0, 20);  // loopback has answered long before that
    loop.post([&] {
        pool.cancel(*started);
        begun = pool.start(silent.endpoint(), {}, 0, second_one).has_value();
    });
    for (int i = 0; i < 20; ++i) loop.step();
    EXPECT_TRUE(begun);
    EXPECT_EQ(sockets.sockets(), 1u);
    EXPECT_EQ(first.times, 0);
    EXPECT_EQ(second_one.times, 0) << "a silent server was called open";
}

TEST_P(ProbeTest, NothingIsToldOfAProbeThatWasCancelledOrEndedWithItsPool) {
    const Listener server(here());
    const size_t before = open_descriptors();
    Answer cancelled, dropped;
    {
        SocketPool others(loop);
        ProbePool other(loop, others);
        auto started = other.start(server.endpoint(), {}, clock.now() + second, cancelled);
        ASSERT_TRUE(started);
        other.cancel(*started);
        ASSERT_TRUE(other.start(server.endpoint(), {}, clock.now() + second, dropped));
    }
    clock.advance(2 * second);
    for (int i = 0; i < 10; ++i) loop.step();
    EXPECT_EQ(cancelled.times + dropped.times, 0);
    EXPECT_EQ(open_descriptors(), before);
}

TEST_P(ProbeTest, TheNextProbeMayBeginWhileOneEnds) {
    const Listener server(here());
    Answer answer;
    int left = 20;
    answer.then = [&] {
        if (--left > 0) {
            ASSERT_TRUE(pool.start(server.endpoint(), {}, 0, answer));
        }
    };
    ASSERT_TRUE(pool.start(server.endpoint(), {}, 0, answer));
    EXPECT_TRUE(turn_until(loop, [&] { return left == 0; }));
    EXPECT_EQ(answer.times, 20);
    EXPECT_EQ(sockets.sockets(), 1u);
}

TEST_P(ProbeTest, ThePoolIsAsBigAsWhatWasInFlightAndShrinksAfterAWhile) {
    constexpr size_t many = 300;
    const Listener server(here(), 1024);
    const size_t before = open_descriptors();
    for (int round = 0; round < 3; ++round) {
        std::deque<Answer> answers(many);
        size_t told = 0;
        for (Answer& answer : answers) {
            answer.then = [&] { ++told; };
            ASSERT_TRUE(pool.start(server.endpoint(), {}, 0, answer));
        }
        ASSERT_TRUE(turn_until(loop, [&] { return told == many; }));
        for (const Answer& answer : answers) ASSERT_EQ(answer.why, 0);
    }
    EXPECT_EQ(sockets.sockets(), many);
    // One of them is used all the time, the others rest.
    for (int i = 0; i < 7; ++i) {
        clock.advance(SocketPool::rest_ns / 3);
        ASSERT_EQ(probe(server.endpoint()), 0);
    }
    EXPECT_LE(sockets.sockets(), 2u);
    clock.advance(SocketPool::rest_ns + TimerWheel::slot_ns);
    loop.step();
    clock.advance(SocketPool::rest_ns + TimerWheel::slot_ns);
    loop.step();
    EXPECT_EQ(sockets.sockets(), 0u);
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(probe(server.endpoint()), 0);
}

TEST_P(ProbeTest, SourceAndDeviceHoldOverAllProbesOfASocket) {
    const bool v4 = ip_of(here()).v4();
    const Listener server(here());
    Way way;
    way.source.ip = ip_of(v4 ? "127.0.0.77" : "::1");
    way.interface = "lo";
    for (int i = 0; i < 5; ++i) {
        Answer answer;
        ASSERT_TRUE(pool.start(server.endpoint(), way, 0, answer));
        // Between the kernel's answer and ours it is to be seen in the kernel's table.
        if (v4) {
            EXPECT_THAT(kernel_sockets(server.port()), Contains(HasSubstr(" 4D00007F:")));
        }
        ASSERT_TRUE(turn_until(loop, [&] { return answer.times > 0; }));
        ASSERT_EQ(answer.why, 0);
    }
    // Over IPv6 a source that is gone is only seen by a new socket.
    const size_t kept = v4 ? 1 : 0;
    EXPECT_EQ(sockets.sockets(), kept);
    ASSERT_EQ(probe(server.endpoint()), 0) << "and others are not bound by it";
    EXPECT_EQ(sockets.sockets(), kept + 1);
}

TEST_P(ProbeTest, WhatThisMachineLacksIsRefusedInWords) {
    Answer answer;
    Way way;
    way.interface = "no-such-device";
    auto started = pool.start({ip_of(here()), 9}, way, 0, answer);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().os_error, ENODEV);
    EXPECT_EQ(started.error().sentence, "can not use interface no-such-device: no such network device");
    way = {};
    way.source.ip = ip_of(ip_of(here()).v4() ? "192.0.2.1" : "2001:db8::1");
    started = pool.start({ip_of(here()), 9}, way, 0, answer);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().os_error, EADDRNOTAVAIL);
    EXPECT_EQ(answer.times, 0);
    EXPECT_EQ(sockets.sockets(), 0u);
}

TEST_P(ProbeTest, WithoutADescriptorAnIdleSocketOfAnotherKindMakesRoom) {
    const Listener server(here());
    ASSERT_EQ(probe(server.endpoint()), 0);  // leaves an idle socket behind
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    std::vector<int> taken;
    rlimit low = before;
    low.rlim_cur = open_descriptors() + 8;
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = dup(0); fd >= 0; fd = dup(0)) taken.push_back(fd);
    Answer in_flight, refused;
    Way way;
    way.interface = "lo";
    EXPECT_TRUE(pool.start(server.endpoint(), way, 0, in_flight));
    const auto started = pool.start(server.endpoint(), way, 0, refused);
    for (const int fd : taken) close(fd);
    setrlimit(RLIMIT_NOFILE, &before);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().os_error, EMFILE);
    EXPECT_THAT(started.error().sentence, HasSubstr("RLIMIT_NOFILE"));
    EXPECT_TRUE(turn_until(loop, [&] { return in_flight.times > 0; }));
    EXPECT_EQ(in_flight.why, 0);
}

}  // namespace
}  // namespace gorb::io::probe_test
