// The trampolines between C and C++: exceptions stop there, and every answer keeps the contract.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gorb/plugin.hpp>
#include <gorb/testing.hpp>

namespace gorb::sdk {
namespace {

using gorb::testing::address;
using gorb::testing::FakeHost;
using gorb::testing::PulseRunner;
using ::testing::HasSubstr;

const gorb_addr somewhere = address("127.0.0.1", 80);

// Does what its argument `do` says.
struct Odd {
    static constexpr const char *name = "odd", *version = "1", *summary = "does as told";
    static constexpr gorb_option args[] = {{"do", GORB_TEXT, 0, "pass", nullptr, "what to do"},
                                           {"n", GORB_INT, 0, nullptr, "1..9", "a number"}};
    static void check(const Config& config) {
        if (config.text("do") == "refuse") throw Error("refused by check", EDOM);
        if (config.text("do") == "int") throw 7;
        if (config.text("do") == "wrong type") config.integer("do");
    }
    Odd(const Host&, const Target& target) : what(target.args().text("do").value_or("")) {
        if (what == "throw in add") throw Error("not this target");
    }
    void start(const Run& run) {
        if (what == "throw") throw std::runtime_error("no way to start");
        if (what == "trouble") throw Error("no descriptor left", EMFILE);
        if (what == "trouble without a number") throw Error("not today");
        if (what == "int") throw 7;
        if (what == "twice") second = run.pass() && !run.fail("again");
        if (what == "pass") run.pass("fine", 3);
        if (what == "share") run.report({Verdict::pass, "half", 0, 50, std::chrono::microseconds(2)});
    }
    void cancel() {
        ++cancels;
        if (what == "throw in cancel") throw std::runtime_error("no way to stop");
    }
    const std::string what;
    static inline bool second = false;
    static inline int cancels = 0;
};
const gorb_plugin& odd = Pulse<Odd>::table;

TEST(Glue, TablesArePlainDataWithATerminatedOptionList) {
    const auto& ops = *static_cast<const gorb_pulse_ops*>(odd.ops);
    EXPECT_STREQ(odd.kind, GORB_KIND_PULSE);
    EXPECT_EQ(ops.struct_size, sizeof(gorb_pulse_ops));
    EXPECT_STREQ(ops.args[1].name, "n");
    EXPECT_EQ(ops.args[2].name, nullptr);
    EXPECT_EQ(odd.options, nullptr);
}

TEST(Glue, AnAnswerCarriesAllThatWasSaid) {
    FakeHost host;
    PulseRunner pulse(host, odd);
    const auto pass = pulse.run(pulse.add(somewhere));
    EXPECT_EQ(pass->verdict, GORB_PASS);
    EXPECT_EQ(pass->detail, "fine");
    EXPECT_EQ(pass->code, 3);
    const auto share = pulse.run(pulse.add(somewhere, {{"do", "share"}}));
    EXPECT_EQ(share->share, 50u);
    EXPECT_EQ(share->latency_ns, 2000u);
}

TEST(Glue, ASecondAnswerIsDroppedAndSaysSo) {
    FakeHost host;
    PulseRunner pulse(host, odd);
    EXPECT_EQ(pulse.run(pulse.add(somewhere, {{"do", "twice"}}))->verdict, GORB_PASS);
    EXPECT_TRUE(Odd::second);
}

TEST(Glue, AnExceptionInStartIsUnknownAndInTheLog) {
    FakeHost host;
    PulseRunner pulse(host, odd);
    const auto report = pulse.run(pulse.add(somewhere, {{"do", "throw"}}));
    EXPECT_EQ(report->verdict, GORB_UNKNOWN);
    EXPECT_EQ(report->detail, "no way to start");
    ASSERT_EQ(host.logs().size(), 1u);
    EXPECT_EQ(host.logs()[0].text, "no way to start");
    EXPECT_EQ(pulse.run(pulse.add(somewhere, {{"do", "int"}}))->verdict, GORB_UNKNOWN);
}

TEST(Glue, TroubleInStartIsAVerdictAndNotALogLineForEachCheck) {
    FakeHost host;
    PulseRunner pulse(host, odd);
    const auto report = pulse.run(pulse.add(somewhere, {{"do", "trouble"}}));
    EXPECT_EQ(report->verdict, GORB_UNKNOWN);
    EXPECT_EQ(report->detail, "no descriptor left");
    EXPECT_EQ(report->code, EMFILE);
    EXPECT_EQ(pulse.run(pulse.add(somewhere, {{"do", "trouble without a number"}}))->code, 0);
    EXPECT_TRUE(host.logs().empty());
}

TEST(Glue, AnExceptionInCancelIsALogLine) {
    FakeHost host;
    PulseRunner pulse(host, odd);
    auto* probe = pulse.add(somewhere, {{"do", "throw in cancel"}});
    pulse.cancel(probe, pulse.start(probe));
    ASSERT_EQ(host.logs().size(), 1u);
    EXPECT_EQ(host.logs()[0].text, "no way to stop");
}

TEST(Glue, CancelOfAnotherRunDoesNotReachThePulse) {
    FakeHost host;
    PulseRunner pulse(host, odd);
    auto* probe = pulse.add(somewhere, {{"do", "nothing"}});
    const gorb_run first = pulse.start(probe);
    pulse.cancel(probe, first);
    const gorb_run second = pulse.start(probe);
    const int before = Odd::cancels;
    pulse.cancel(probe, first);
    EXPECT_EQ(Odd::cancels, before);
    pulse.cancel(probe, second);
    EXPECT_EQ(Odd::cancels, before + 1);
}

TEST(Glue, WhatAConstructorThrowsRefusesInItsWords) {
    FakeHost host;
    PulseRunner pulse(host, odd);
    try {
        pulse.add(somewhere, {{"do", "throw in add"}});
        FAIL() << "not refused";
    } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "not this target");
    }
}

TEST(Glue, CheckAnswersWithErrnoAndWords) {
    const auto& ops = *static_cast<const gorb_pulse_ops*>(odd.ops);
    auto check = [&](const char* what, gorb_error& why) {
        const gorb::testing::FakeConfig config(ops.args, {{"do", what}});
        return ops.check(config.c(), &why);
    };
    gorb_error why{};
    EXPECT_EQ(check("pass", why), 0);
    EXPECT_EQ(check("refuse", why), -EDOM);
    EXPECT_STREQ(why.text, "refused by check");
    EXPECT_EQ(check("int", why), -EINVAL);
    EXPECT_EQ(check("wrong type", why), -EINVAL);
    EXPECT_THAT(why.text, HasSubstr("of the type it is read as"));
}

// ---- an instance of its own ----

struct Shared {
    Shared(const Host& host, const Config& config) : runs(host, "runs", "how many runs") {
        if (config.boolean("broken") == true) throw Error("broken as asked");
    }
    Counter runs;
};
struct Counting {
    using Instance = Shared;
    static constexpr const char *name = "counting", *version = "1", *summary = "counts";
    static constexpr gorb_option options[] = {{"broken", GORB_BOOL, 0, "false", nullptr, "refuse"}};
    Counting(Shared& s, const Target&) : shared(s) {}
    void start(const Run& run) {
        shared.runs.add();
        run.pass();
    }
    void cancel() {}
    Shared& shared;
};

TEST(Glue, TargetsShareTheirInstance) {
    FakeHost host;
    PulseRunner pulse(host, Pulse<Counting>::table);
    pulse.run(pulse.add(somewhere));
    pulse.run(pulse.add(somewhere));
    EXPECT_EQ(host.metrics().at("runs"), 2);
}

TEST(Glue, AnInstanceThatThrowsIsRefused) {
    FakeHost host;
    try {
        PulseRunner pulse(host, Pulse<Counting>::table, {{"broken", "true"}});
        FAIL() << "not refused";
    } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "broken as asked");
    }
}

TEST(Glue, AMissingServiceRefusesTheInstanceByName) {
    FakeHost host;
    host.without(GORB_SERVICE_METRICS);
    try {
        PulseRunner pulse(host, Pulse<Counting>::table);
        FAIL() << "not refused";
    } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "this host does not offer gorb.metrics/1");
    }
}

// ---- values ----

TEST(Values, ALongExplanationIsCutAtTheEndOfACharacter) {
    gorb_error error{};
    explain(&error, std::string(254, 'a') + "\xC3\xA4");
    EXPECT_EQ(std::string(error.text), std::string(254, 'a'));
    explain(&error, std::string(300, 'a'));
    EXPECT_EQ(std::string(error.text).size(), 255u);
    explain(nullptr, "nobody listens");
}

TEST(Values, AddressesAsText) {
    EXPECT_EQ(with_port(address("10.0.0.1", 80)), "10.0.0.1:80");
    EXPECT_EQ(with_port(address("2001:db8::1", 443)), "[2001:db8::1]:443");
    EXPECT_EQ(to_string(gorb_addr{}), "");
    auto scoped = address("fe80::1", 1);
    scoped.scope = 3;
    EXPECT_EQ(to_string(scoped), "fe80::1%3");
    sockaddr_storage out{};
    EXPECT_EQ(to_sockaddr(scoped, out), sizeof(sockaddr_in6));
    EXPECT_EQ(reinterpret_cast<sockaddr_in6&>(out).sin6_scope_id, 3u);
    EXPECT_EQ(to_sockaddr(gorb_addr{}, out), 0u);
}

TEST(Values, ErrnoInWordsWithEitherSign) {
    EXPECT_EQ(errno_words(-ECONNREFUSED), "connection refused");
    EXPECT_EQ(errno_words(ECONNREFUSED), "connection refused");
    EXPECT_FALSE(errno_words(EDOM).empty());
}

// ---- pulses with a connection ----

// A port of the loopback where somebody listens, who never accepts.
struct Deaf {
    Deaf() : fd(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in addr{};
        addr.sin_family = AF_INET;
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof addr;
        if (bind(fd, reinterpret_cast<sockaddr*>(&addr), size) != 0 || listen(fd, 8) != 0 ||
            getsockname(fd, reinterpret_cast<sockaddr*>(&addr), &size) != 0)
            throw std::runtime_error("no port to listen on");
        port = ntohs(addr.sin_port);
    }
    ~Deaf() { close(fd); }
    Deaf(const Deaf&) = delete;
    Deaf& operator=(const Deaf&) = delete;
    const int fd;
    uint16_t port = 0;
};

// Throws where its argument `in` says.
struct Throwing : ConnectionPulse {
    static constexpr const char *name = "throwing", *version = "1", *summary = "throws";
    static constexpr gorb_option args[] = {{"in", GORB_TEXT, 0, nullptr, nullptr, "where"}};
    Throwing(const Host& host, const Target& target)
        : ConnectionPulse(host, target), in(target.args().text("in").value_or("")) {}
    void opened() override {
        if (in == "opened") throw std::runtime_error("opened threw");
        if (in == "opened after its answer") {
            done(Result::pass("fine"));
            throw std::runtime_error("too late to matter");
        }
        if (in == "opened after a close") {
            connection().close();
            throw std::runtime_error("closed and gave up");
        }
    }
    void closed(int32_t why) override {
        if (in == "closed") throw std::runtime_error("closed threw");
        if (in == "closed after it opened again") {
            connection().open(options());
            throw std::runtime_error("opened again for nothing");
        }
        ConnectionPulse::closed(why);
        if (in == "closed after its answer") throw std::runtime_error("too late to matter");
    }
    const std::string in;
};

TEST(ConnectionPulseTest, WhatAnEventThrowsIsUnknownInItsWordsAndNeverTheTargetsFault) {
    const Deaf listener;
    FakeHost host;
    PulseRunner pulse(host, Pulse<Throwing>::table);
    const auto said = [&](uint16_t port, const char* in) {
        auto* probe = pulse.add(address("127.0.0.1", port), {{"in", in}});
        const gorb_run run = pulse.start(probe);
        const auto report = pulse.wait(run, std::chrono::seconds(5));
        host.loop().step();
        EXPECT_EQ(host.reports_of(run).size(), 1u) << in;
        pulse.remove(probe);
        return report ? std::to_string(report->verdict) + " " + report->detail : "nothing";
    };
    EXPECT_EQ(said(listener.port, "opened"), "0 opened threw");
    EXPECT_EQ(said(listener.port, "opened after a close"), "0 closed and gave up");
    EXPECT_EQ(said(listener.port, "opened after its answer"), "1 fine");
    EXPECT_EQ(said(1, "closed"), "0 closed threw");
    EXPECT_EQ(said(1, "closed after it opened again"), "0 opened again for nothing");
    EXPECT_EQ(said(1, "closed after its answer"), "2 connection refused");
    EXPECT_TRUE(pulse.destroy().empty());
}

// ---- blocking pulses ----

struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    int inside = 0, most = 0, checks = 0;

    void pass() {
        std::unique_lock<std::mutex> lock(mutex);
        ++checks;
        most = std::max(most, ++inside);
        changed.notify_all();
        changed.wait(lock, [&] { return open; });
        --inside;
    }
    void wait_inside() {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [&] { return inside > 0; });
    }
    void set_open() {
        std::lock_guard<std::mutex> lock(mutex);
        open = true;
        changed.notify_all();
    }
};
Gate* gate = nullptr;

struct Hanging {
    explicit Hanging(const Target&) {}
    Result check(uint64_t) {
        gate->pass();
        if (gate->checks == 3) throw std::runtime_error("third time unlucky");
        if (gate->checks == 4) throw Error("fourth time no permission", EPERM);
        return Result::fail("seen", gate->checks);
    }
};
struct HangingPulse : BlockingPulse<Hanging> {
    static constexpr const char *name = "hanging", *version = "1", *summary = "hangs until it may";
    using BlockingPulse::BlockingPulse;
};

TEST(Blocking, OneCheckOfATargetAtATimeAndTheNextRunWaitsForIt) {
    Gate own;
    gate = &own;
    FakeHost host;
    PulseRunner pulse(host, Pulse<HangingPulse>::table);
    auto* probe = pulse.add(somewhere);
    const gorb_run first = pulse.start(probe);
    own.wait_inside();
    pulse.cancel(probe, first);
    const gorb_run second = pulse.start(probe);
    pulse.cancel(probe, second);
    const gorb_run third = pulse.start(probe);
    host.loop().step();
    EXPECT_TRUE(host.reports().empty());
    own.set_open();
    const auto report = pulse.wait(third);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, GORB_FAIL);
    EXPECT_EQ(own.most, 1);
    EXPECT_EQ(own.checks, 2) << "the cancelled run in between was never checked";
    EXPECT_EQ(host.reports_of(first).at(0).answer, -ESTALE) << "its answer came too late";
    EXPECT_EQ(pulse.run(probe)->detail, "third time unlucky");
    EXPECT_EQ(host.reports().back().verdict, GORB_UNKNOWN) << "an exception is not the target's fault";
    const auto fourth = pulse.run(probe);
    EXPECT_EQ(fourth->verdict, GORB_UNKNOWN);
    EXPECT_EQ(fourth->code, EPERM);
}

TEST(Blocking, ATargetMayGoWhileItsCheckHangs) {
    Gate own;
    gate = &own;
    FakeHost host;
    PulseRunner pulse(host, Pulse<HangingPulse>::table);
    auto* probe = pulse.add(somewhere);
    pulse.start(probe);
    own.wait_inside();
    pulse.remove(probe);
    own.set_open();
    EXPECT_TRUE(pulse.destroy().empty());
    EXPECT_EQ(host.reports().at(0).answer, -ESTALE);
}

TEST(Blocking, BusyWorkersAreUnknown) {
    Gate own;
    own.open = true;
    gate = &own;
    FakeHost host;
    host.most_work = 0;
    PulseRunner pulse(host, Pulse<HangingPulse>::table);
    auto* probe = pulse.add(somewhere);
    EXPECT_EQ(pulse.run(probe)->verdict, GORB_UNKNOWN);
    EXPECT_EQ(own.checks, 0);
    host.most_work = 1;
    EXPECT_EQ(pulse.run(probe)->verdict, GORB_FAIL) << "and the next run works";
}

TEST(Blocking, WorkThatCanNotBeGivenIsUnknownAtEachRun) {
    FakeHost host;
    host.without(GORB_SERVICE_WORK);
    PulseRunner pulse(host, Pulse<HangingPulse>::table);
    auto* probe = pulse.add(somewhere);
    for (int i = 0; i < 2; ++i) {
        const auto report = pulse.wait(pulse.start(probe), std::chrono::milliseconds(100));
        ASSERT_TRUE(report) << i;
        EXPECT_EQ(report->verdict, GORB_UNKNOWN);
        EXPECT_NE(report->detail.find(GORB_SERVICE_WORK), std::string::npos) << report->detail;
    }
}

}  // namespace
}  // namespace gorb::sdk
