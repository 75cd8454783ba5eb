#include "plugin/pulse.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "io/watchdog.h"

namespace gorb::plugin {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::filesystem::path puppet_folder() {
    return std::filesystem::path(BAD_PLUGINS) / "puppet";
}

// A loopback socket that listens, or (SOCK_DGRAM) that answers itself.
class Peer {
  public:
    explicit Peer(int type) : fd_(socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof in;
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&in), size), 0);
        if (type == SOCK_STREAM) {
            EXPECT_EQ(listen(fd_, 16), 0);
        }
        EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&in), &size), 0);
        endpoint = {base::Ip::parse("127.0.0.1").value(), ntohs(in.sin_port)};
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { close(fd_); }
    int fd() const { return fd_; }
    base::Endpoint endpoint;

  private:
    int fd_;
};

struct Given {
    PulseInstance::Run run;
    Report report;
};

struct PulseTest : testing::Test {
    PulseTest() {
        registry.load({puppet_folder()});
        puppet = registry.pulse("puppet");
    }
    base::Result<std::unique_ptr<PulseInstance>> make(const std::string& how = "fine") {
        return PulseInstance::create(*puppet, *Config::make(puppet->options, {{"create", "\"" + how + "\""}}),
                                     loop, workers, metrics,
                                     [this](PulseInstance::Run run, const Report& report) {
                                         given.push_back({run, report});
                                     });
    }
    base::Result<PulseInstance::Probe*> add(const std::string& act, base::Endpoint address = {}) {
        ProbeTarget target;
        target.service = "web";
        target.backend = "b1";
        target.address = address.ip ? address : base::Endpoint{base::Ip::parse("192.0.2.7").value(), 81};
        target.args = pulse_args(*puppet, {{"act", "\"" + act + "\""}}).value();
        return instance->add(target);
    }
    PulseInstance::Run start(PulseInstance::Probe* probe) {
        return instance->start(probe, clock.now() + 1'000'000'000);
    }
    bool turn_until(const std::function<bool()>& done) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done() && std::chrono::steady_clock::now() < until) {
            if (!loop.step()) poll(nullptr, 0, 1);
        }
        return done();
    }
    // One check of a fresh target with that act, until it is answered.
    Report check(const std::string& act, base::Endpoint address = {}) {
        if (!instance) instance = make().value();
        given.clear();
        auto* probe = add(act, address).value();
        const auto run = start(probe);
        EXPECT_THAT(given, IsEmpty()) << "answered before start() returned";
        EXPECT_TRUE(turn_until([&] { return !given.empty(); })) << act;
        if (given.empty()) return {};
        EXPECT_EQ(given[0].run, run);
        for (int i = 0; i < 3; ++i) loop.step();
        EXPECT_THAT(given, SizeIs(1)) << act;
        const Report report = given[0].report;
        instance->remove(probe);
        return report;
    }
    double counted(const std::string& name) const {
        for (const Metric& metric : metrics.read()) {
            if (metric.name == "gorb_plugin_puppet_" + name) return metric.value;
        }
        return 0;
    }

    base::ManualClock clock;
    io::Loop loop{"loop-test", &clock};
    io::Workers workers{2, 2};
    Metrics metrics;
    Registry registry;
    const Plugin* puppet = nullptr;
    std::vector<Given> given;
    std::unique_ptr<PulseInstance> instance;  // goes before the rest
};

TEST_F(PulseTest, AnAnswerComesWithAllItsParts) {
    const Report pass = check("pass");
    EXPECT_EQ(pass.verdict, Verdict::pass);
    EXPECT_EQ(pass.detail, "fine");
    EXPECT_EQ(pass.code, 200);
    EXPECT_EQ(pass.share, 100U);
    EXPECT_EQ(pass.latency_ns, 0U);
    const Report fail = check("fail");
    EXPECT_EQ(fail.verdict, Verdict::fail);
    EXPECT_EQ(fail.code, 503);
}

TEST_F(PulseTest, RunNumbersAreNeverUsedAgain) {
    instance = make().value();
    std::vector<PulseInstance::Run> runs;
    for (int i = 0; i < 3; ++i) {
        auto* probe = add("pass").value();
        auto* other = add("pass").value();
        for (int n = 0; n < 3; ++n) {
            runs.push_back(start(probe));
            runs.push_back(start(other));
            loop.step();
        }
        instance->remove(probe);
        instance->remove(other);
    }
    EXPECT_THAT(given, SizeIs(18));
    std::sort(runs.begin(), runs.end());
    EXPECT_EQ(std::adjacent_find(runs.begin(), runs.end()), runs.end());
    EXPECT_NE(runs[0], 0U);
}

TEST_F(PulseTest, OfTwoReportsTheFirstCounts) {
    EXPECT_EQ(check("twice").detail, "first");
    EXPECT_EQ(counted("stale"), 1);
    EXPECT_EQ(counted("late_reports_total"), 1);
}

TEST_F(PulseTest, AReportAfterCancelIsStale) {
    instance = make().value();
    auto* probe = add("never").value();
    const auto run = start(probe);
    instance->cancel(probe, run);  // the puppet reports in it
    EXPECT_EQ(counted("cancelled"), 1);
    EXPECT_EQ(counted("stale"), 1);
    instance->cancel(probe, run);
    instance->cancel(probe, 0);
    EXPECT_EQ(counted("cancelled"), 1);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(given, IsEmpty());
}

TEST_F(PulseTest, AnAnswerOnItsWayIsDroppedByCancelAndThePluginIsNotTroubled) {
    instance = make().value();
    auto* probe = add("pass").value();
    const auto run = start(probe);
    instance->cancel(probe, run);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(given, IsEmpty());
    EXPECT_EQ(counted("cancelled"), 0);
    EXPECT_EQ(counted("late_reports_total"), 1);
}

TEST_F(PulseTest, AReportInRemoveIsStale) {
    instance = make().value();
    auto* probe = add("report-in-remove").value();
    start(probe);
    instance->remove(probe);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_EQ(counted("stale"), 1);
    EXPECT_THAT(given, IsEmpty());
}

TEST_F(PulseTest, AStartOnTopOfAnOpenRunEndsThatOne) {
    instance = make().value();
    auto* probe = add("never").value();
    const auto first = start(probe);
    const auto second = start(probe);
    EXPECT_NE(first, second);
    EXPECT_EQ(counted("cancelled"), 1);
}

TEST_F(PulseTest, NumbersThatAreNoRunAreStale) {
    instance = make().value();
    start(add("no-run").value());
    EXPECT_EQ(counted("stale"), 4);
}

TEST_F(PulseTest, APluginThatNeverAnswersIsCalledAgainAfterCancel) {
    instance = make().value();
    auto* probe = add("never").value();
    for (int i = 0; i < 3; ++i) {
        const auto run = start(probe);
        clock.advance(1'000'000'000);
        loop.step();
        EXPECT_THAT(given, IsEmpty());
        instance->cancel(probe, run);
    }
    EXPECT_EQ(counted("cancelled"), 3);
}

TEST_F(PulseTest, AVerdictThatDoesNotExistIsUnknown) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(check("verdict").verdict, Verdict::unknown);
    EXPECT_EQ(check("verdict").verdict, Verdict::unknown);
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, HasSubstr("verdict that does not exist, taken as UNKNOWN plugin=pulse-puppet"));
    EXPECT_EQ(log.find("verdict that"), log.rfind("verdict that")) << "told once, not for each check";
}

TEST_F(PulseTest, AShareAboveHundredIsHundred) {
    const Report report = check("share");
    EXPECT_EQ(report.share, 100U);
    EXPECT_EQ(report.latency_ns, 12345U);
    EXPECT_EQ(report.code, -7);
}

TEST_F(PulseTest, ADetailIsCutAtACharacterAndCleaned) {
    EXPECT_EQ(check("detail").detail, "bad ? " + std::string(248, 'x'));
}

TEST_F(PulseTest, ATruncatedResultIsRefused) {
    instance = make().value();
    start(add("small-result").value());
    loop.step();
    EXPECT_EQ(counted("refused"), 2);
    EXPECT_THAT(given, IsEmpty());
}

TEST_F(PulseTest, AReportFromAnotherThreadComesOnTheLoop) {
    EXPECT_EQ(check("thread").detail, "from a thread");
    EXPECT_EQ(check("many-threads").detail, "from one of four");
    instance.reset();  // joins them
    EXPECT_EQ(counted("stale"), 3);
}

TEST_F(PulseTest, AReportAfterTheInstanceIsGoneIsStale) {
    void* library = dlopen((puppet_folder() / "puppet.so").c_str(), RTLD_NOW | RTLD_NOLOAD);
    ASSERT_NE(library, nullptr);
    const auto report_last = reinterpret_cast<int32_t (*)()>(dlsym(library, "puppet_report_last"));
    ASSERT_NE(report_last, nullptr);
    instance = make().value();
    start(add("never").value());
    instance.reset();
    EXPECT_EQ(report_last(), -ESTALE);
}

struct Thrown {
    const char* act;
    const char* words;
};

TEST_F(PulseTest, AStartThatThrowsIsUnknownWithTheExceptionsWords) {
    for (const auto& [act, words] :
         {Thrown{"throw", "start threw"}, Thrown{"throw-odd", "no std::exception"}}) {
        const Report report = check(act);
        EXPECT_EQ(report.verdict, Verdict::unknown) << act;
        EXPECT_THAT(report.detail, HasSubstr(words)) << act;
    }
    EXPECT_EQ(check("report-and-throw").detail, "before");
}

TEST_F(PulseTest, ACreateThatThrowsOrRefusesIsAnErrorWithItsWords) {
    for (const auto& [how, words] :
         {Thrown{"throw", "the constructor threw"}, Thrown{"throw-odd", "no std::exception"},
          Thrown{"null", "create() does not want to"}, Thrown{"silent", "gave no reason"}}) {
        const auto refused = make(how);
        ASSERT_FALSE(refused) << how;
        EXPECT_THAT(refused.error().sentence, HasSubstr(words)) << how;
        EXPECT_THAT(refused.error().sentence, HasSubstr("pulse-puppet can not be used")) << how;
    }
    clock.advance(1'000'000'000);
    EXPECT_FALSE(loop.step());  // the timer of the one that threw is released
}

TEST_F(PulseTest, AnAddThatThrowsOrRefusesIsAnErrorWithItsWords) {
    instance = make().value();
    EXPECT_THAT(add("throw-add").error().sentence, HasSubstr("add threw"));
    EXPECT_THAT(add("refuse-add").error().sentence, HasSubstr("web/b1 at port 81 is not wanted"));
    EXPECT_TRUE(add("never"));
}

TEST_F(PulseTest, ExceptionsInEveryOtherCallEndInTheLog) {
    instance = make().value();
    testing::internal::CaptureStderr();
    for (const char* act :
         {"throw-timer", "throw-post", "throw-watch", "throw-work", "throw-cancel", "throw-remove"}) {
        auto* probe = add(act).value();
        const auto run = start(probe);
        if (std::string(act) == "throw-work") {
            EXPECT_TRUE(turn_until([&] { return counted("done") == 1; }));
        }
        for (int i = 0; i < 5; ++i) loop.step();
        instance->cancel(probe, run);
        instance->remove(probe);
    }
    const std::string log = testing::internal::GetCapturedStderr();
    for (const char* words : {"the timer threw", "the post threw", "the event threw", "the job threw",
                              "cancel threw", "remove threw"}) {
        EXPECT_THAT(log, HasSubstr(words));
    }
    EXPECT_EQ(counted("events"), 1) << "a descriptor whose handler throws is watched no longer";
}

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

TEST_F(PulseTest, TlsIsRefusedInWords) {
    EXPECT_THAT(check("tls").detail, HasSubstr("TLS comes later"));
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
                                      [&](PulseInstance::Run, const Report& r) { answered.set_value(r); })
                    .value();
            ProbeTarget target;
            target.address = {base::Ip::parse("192.0.2.7").value(), 81};
            target.args = pulse_args(*puppet, {{"act", "\"block\""}}).value();
            blocking->start(*blocking->add(target), real.now());
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

// Many probes on a running loop with answers from everywhere: every run is answered once or cancelled.
TEST_F(PulseTest, ManyRunsAreEachAnsweredOnce) {
    instance = make().value();
    std::vector<PulseInstance::Probe*> probes;
    for (int i = 0; i < 3000; ++i) {
        probes.push_back(add(i % 3 == 0 ? "post" : i % 3 == 1 ? "pass" : "never").value());
    }
    for (int round = 0; round < 3; ++round) {
        given.clear();
        std::vector<PulseInstance::Run> runs;
        for (auto* probe : probes) runs.push_back(start(probe));
        for (int i = 0; i < 3; ++i) loop.step();
        EXPECT_THAT(given, SizeIs(2000));
        for (size_t i = 0; i < probes.size(); ++i) instance->cancel(probes[i], runs[i]);
        EXPECT_EQ(counted("cancelled"), 1000 * (round + 1));
    }
}

}  // namespace
}  // namespace gorb::plugin
