// What the host gives a pulse (gorb.loop/1, gorb.net/1, gorb.work/1, log), and what becomes of it.
#include <array>
#include <cerrno>
#include <future>
#include <thread>

#include "io/watchdog.h"
#include "unit/plugin/pulse_fixture.h"

namespace gorb::plugin::pulse_services_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(PulseTest, TheLoopServiceWatchesFiresAndPosts) {
    Report report = check("watch");
    EXPECT_EQ(report.detail, "readable");
    EXPECT_EQ(report.code, int32_t{GORB_READABLE});
    EXPECT_EQ(counted("nonsense_refused"), 1);
    EXPECT_EQ(check("post").detail, "posted");

    auto* probe = add("timer").value();
    given.clear();
    start(probe);
    clock.advance(999'000'000);
    loop.step();
    EXPECT_THAT(given, IsEmpty());
    clock.advance(20'000'000);
    loop.step();
    ASSERT_THAT(given, SizeIs(1));
    EXPECT_EQ(given[0].report.detail, "in time");
    EXPECT_EQ(counted("leaked_called"), 0) << "a cancelled timer fired";
}

TEST_F(PulseTest, FunctionsOfTheLoopAreRefusedOnOtherThreads) {
    EXPECT_EQ(check("wrong-thread").code, 5);
}

TEST_F(PulseTest, TheNetServiceConnectsSendsAndReceives) {
    const Peer peer(SOCK_STREAM);
    EXPECT_EQ(check("connect", peer.endpoint).detail, "opened");
    EXPECT_EQ(counted("closed_is_closed"), 1);

    std::thread echo([&] {
        for (int i = 0; i < 2; ++i) {  // the first may be what "connect" left in the queue
            const int fd = accept4(peer.fd(), nullptr, nullptr, SOCK_CLOEXEC);
            std::array<char, 16> buffer{};
            const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
            if (size > 0) {
                EXPECT_EQ(send(fd, "pong", 4, MSG_NOSIGNAL), 4);
            }
            close(fd);
            if (size > 0) return;
        }
    });
    EXPECT_EQ(check("echo", peer.endpoint).detail, "pong");
    echo.join();
}

TEST_F(PulseTest, TheNetServiceSpeaksUdp) {
    const Peer peer(SOCK_DGRAM);
    std::thread echo([&] {
        std::array<char, 16> buffer{};
        sockaddr_storage from{};
        socklen_t size = sizeof from;
        auto* address = reinterpret_cast<sockaddr*>(&from);
        const ssize_t got = recvfrom(peer.fd(), buffer.data(), buffer.size(), 0, address, &size);
        EXPECT_EQ(sendto(peer.fd(), buffer.data(), static_cast<size_t>(got), 0, address, size), got);
    });
    EXPECT_EQ(check("udp", peer.endpoint).detail, "ping");
    echo.join();
}

TEST_F(PulseTest, ARefusedConnectionIsTheTargetsFault) {
    base::Endpoint nobody;
    {
        const Peer peer(SOCK_STREAM);
        nobody = peer.endpoint;
    }
    const Report report = check("connect", nobody);
    EXPECT_EQ(report.verdict, Verdict::fail);
    EXPECT_EQ(report.code, -ECONNREFUSED);
}

// The kernel itself refuses a connection to port 0, which would look like the target's answer.
TEST_F(PulseTest, WithoutAPortNothingIsAskedAndNothingIsLearned) {
    base::Endpoint every_port = *base::Endpoint::parse("127.0.0.1:1");
    every_port.port = 0;
    const Report report = check("connect", every_port);
    EXPECT_EQ(report.verdict, Verdict::unknown);
    EXPECT_THAT(report.detail, HasSubstr("no port to check"));
}

TEST_F(PulseTest, NonsenseGivenToTheNetServiceIsRefused) {
    const Report report = check("open-nonsense");
    EXPECT_EQ(report.code, 6);
    EXPECT_THAT(report.detail, HasSubstr("gorb_conn_options is too small"));
}

TEST_F(PulseTest, AnEventThatThrowsClosesItsConnection) {
    const Peer peer(SOCK_STREAM);
    instance = make().value();
    auto* probe = add("throw-opened", peer.endpoint).value();
    testing::internal::CaptureStderr();
    start(probe);
    const int fd = accept4(peer.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    std::array<char, 1> buffer{};
    int error = 0;
    EXPECT_TRUE(turn_until([&] {
        if (error == 0 || error == EAGAIN) error = recv(fd, buffer.data(), 1, MSG_DONTWAIT) >= 0 ? -1 : errno;
        return error != EAGAIN;
    }));
    EXPECT_EQ(error, ECONNRESET);
    close(fd);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("opened threw"));
    instance.reset();
}

TEST_F(PulseTest, TheWorkServiceRunsOnAWorkerAndIsDoneOnTheLoop) {
    EXPECT_EQ(check("work").detail, "worked");
    EXPECT_TRUE(turn_until([&] { return counted("done") == 1; }));
}

TEST_F(PulseTest, AFullQueueOfWorkersIsToldAtOnce) {
    std::promise<void> gate;
    auto opened = gate.get_future().share();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(workers.submit([opened] { opened.wait(); }));
    const Report report = check("work");
    EXPECT_EQ(report.verdict, Verdict::unknown);
    EXPECT_EQ(report.code, -EAGAIN);
    gate.set_value();
}

TEST_F(PulseTest, DestroyWaitsForJobsAndTheirDoneFunctions) {
    std::promise<void> gate;
    auto opened = gate.get_future().share();
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(workers.submit([opened] { opened.wait(); }));
    instance = make().value();
    start(add("leak").value());  // its job is behind the two that wait
    auto destroyed = std::async(std::launch::async, [&] { instance.reset(); });
    EXPECT_EQ(destroyed.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    gate.set_value();
    destroyed.get();
    EXPECT_EQ(counted("done"), 1);
    EXPECT_EQ(counted("destroyed"), 1);
}

TEST_F(PulseTest, WhatAnInstanceStillHoldsIsReleasedWithIt) {
    const Peer peer(SOCK_STREAM);
    const int before = dup(0);
    close(before);
    instance = make().value();
    start(add("leak", peer.endpoint).value());
    start(add("leak", peer.endpoint).value());
    instance.reset();
    EXPECT_EQ(counted("removed"), 2);
    EXPECT_EQ(counted("destroyed"), 1);
    const int after = dup(0);
    close(after);
    EXPECT_EQ(after, before) << "a descriptor is left";
    clock.advance(10'000'000'000);
    for (int i = 0; i < 5; ++i) loop.step();
    EXPECT_EQ(counted("leaked_called"), 0) << "something of a dead instance was called";
    EXPECT_FALSE(loop.step());
    EXPECT_THAT(given, IsEmpty());
}

TEST_F(PulseTest, LogLinesAreCleanAndNameThePlugin) {
    testing::internal::CaptureStderr();
    EXPECT_THAT(check("log").detail, testing::StartsWith("gorb "));
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, HasSubstr("warning words? of a plugin plugin=pulse-puppet loop=loop-test a_b=\"x y\""));
}

TEST_F(PulseTest, APluginThatBlocksItsLoopIsNamed) {
    testing::internal::CaptureStderr();
    io::Loop real("loop-real");
    std::thread runner([&] { real.run(); });
    std::promise<Report> answered;
    std::unique_ptr<PulseInstance> blocking;
    {
        const io::Watchdog dog({&real}, 40'000'000);
        std::promise<void> ready;
        real.post([&] {
            blocking =
                PulseInstance::create(*puppet, *Config::make(puppet->options, {}), real, workers, metrics,
                                      [&](PulseInstance::Tag, const Report& r) { answered.set_value(r); })
                    .value();
            ProbeTarget target;
            target.address = {base::Ip::parse("192.0.2.7").value(), 81};
            target.args = pulse_args(*puppet, {{"act", "\"block\""}}).value();
            blocking->start(*blocking->add(target, 0), real.now());
            EXPECT_EQ(real.activity(), nullptr);
        });
        EXPECT_EQ(answered.get_future().get().detail, "at last");
    }
    std::promise<void> gone;
    real.post([&] {
        blocking.reset();
        gone.set_value();
    });
    gone.get_future().wait();
    real.stop();
    runner.join();
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                HasSubstr("loop is blocked loop=loop-real in=\"pulse-puppet: start\""));
}

}  // namespace
}  // namespace gorb::plugin::pulse_services_test
