// The RAII wrappers of the host's services, and the FakeHost that they are tested on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <gorb/plugin.hpp>
#include <gorb/testing.hpp>

namespace gorb::sdk {
namespace {

using gorb::testing::FakeConfig;
using gorb::testing::FakeHost;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(HostLog, CarriesFieldsAndRespectsTheLevel) {
    FakeHost fake;
    const Host host(fake.c());
    host.info("hello", {{"a", "1"}, {"b", "2"}});
    fake.log_level = GORB_LOG_WARN;
    host.info("not wanted");
    ASSERT_EQ(fake.logs().size(), 1u);
    EXPECT_EQ(fake.logs()[0].text, "hello");
    EXPECT_EQ(fake.logs()[0].level, GORB_LOG_INFO);
    EXPECT_THAT(fake.logs()[0].fields, ElementsAre(std::pair("a", "1"), std::pair("b", "2")));
}

TEST(TimerTest, FiresOnceAtItsTimeAndMayBeSetAgainFromWithin) {
    FakeHost fake;
    const Host host(fake.c());
    Timer timer(host);
    int fired = 0;
    timer.after(seconds(1), [&] {
        ++fired;
        timer.after(seconds(1), [&] { ++fired; });
    });
    fake.loop().advance(std::chrono::milliseconds(999));
    EXPECT_EQ(fired, 0);
    fake.loop().advance(std::chrono::milliseconds(1));
    EXPECT_EQ(fired, 1);
    EXPECT_TRUE(timer.armed());
    fake.loop().advance(seconds(1));
    EXPECT_EQ(fired, 2);
    EXPECT_FALSE(timer.armed());
}

TEST(TimerTest, IsCancelledByItsEndAndMayEndWithin) {
    FakeHost fake;
    const Host host(fake.c());
    bool fired = false;
    {
        Timer(host).after(seconds(1), [&] { fired = true; });
    }
    EXPECT_TRUE(fake.held().empty());
    auto own = std::make_unique<Timer>(host);
    own->after(seconds(1), [&] { own.reset(); });
    fake.loop().advance(seconds(2));
    EXPECT_FALSE(fired);
    EXPECT_EQ(own, nullptr);
}

TEST(TimerTest, AnExceptionEndsInTheLog) {
    FakeHost fake;
    const Host host(fake.c());
    Timer timer(host);
    timer.after(seconds(1), [] { throw std::runtime_error("oops"); });
    fake.loop().advance(seconds(1));
    ASSERT_EQ(fake.logs().size(), 1u);
    EXPECT_EQ(fake.logs()[0].text, "oops");
    fake.fail_timers = true;
    EXPECT_THROW(timer.after(seconds(1), [] {}), Error);
    EXPECT_EQ(fake.refused, 1u);
}

TEST(TimerTest, OnAnotherThreadItSaysSo) {
    FakeHost fake;
    const Host host(fake.c());
    Timer timer(host);
    std::string words;
    std::thread([&] {
        try {
            timer.after(seconds(1), [] {});
        } catch (const Error& e) {
            words = e.what();
        }
    }).join();
    EXPECT_EQ(words, "a timer can be set on the loop's thread only");
}

TEST(WatchTest, TellsOfReadinessUntilItsEnd) {
    FakeHost fake;
    const Host host(fake.c());
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    auto watch = std::make_unique<Watch>(host);
    int calls = 0;
    watch->start(pipe[0], GORB_READABLE, [&](uint32_t events) {
        EXPECT_TRUE(events & GORB_READABLE);
        if (++calls == 2) watch.reset();  // from within
    });
    fake.loop().step();
    EXPECT_EQ(calls, 0);
    ASSERT_EQ(write(pipe[1], "x", 1), 1);
    fake.loop().step();
    fake.loop().step();
    fake.loop().step();
    EXPECT_EQ(calls, 2);
    EXPECT_TRUE(fake.held().empty());
    close(pipe[0]);
    close(pipe[1]);
    Watch none(host);
    EXPECT_THROW(none.start(pipe[0], GORB_READABLE, [](uint32_t) {}), Error);
}

// A pipe with a byte in it, so that its reading end is ready.
struct ReadyPipe {
    ReadyPipe() {
        if (::pipe(ends) != 0 || write(ends[1], "x", 1) != 1) throw std::runtime_error("no pipe");
    }
    ~ReadyPipe() {
        close(ends[0]);
        close(ends[1]);
    }
    ReadyPipe(const ReadyPipe&) = delete;
    ReadyPipe& operator=(const ReadyPipe&) = delete;
    int ends[2];
};

TEST(WatchTest, AnExceptionStopsItSinceItWouldBeThrownAgainAtOnce) {
    FakeHost fake;
    const Host host(fake.c());
    const ReadyPipe pipe;
    Watch watch(host);
    int calls = 0;
    watch.start(pipe.ends[0], GORB_READABLE, [&](uint32_t) {
        ++calls;
        throw std::runtime_error("oops");
    });
    for (int i = 0; i < 3; ++i) fake.loop().step();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(fake.logs().size(), 1u);
    EXPECT_TRUE(fake.held().empty());
    watch.start(pipe.ends[0], GORB_READABLE, [&](uint32_t) { ++calls; });
    fake.loop().step();
    EXPECT_EQ(calls, 2) << "and may be started again";
}

TEST(WatchTest, AnExceptionDoesNotStopTheWatchThatWasStartedInItsPlace) {
    FakeHost fake;
    const Host host(fake.c());
    const ReadyPipe pipe;
    auto watch = std::make_unique<Watch>(host);
    int calls = 0;
    watch->start(pipe.ends[0], GORB_READABLE, [&](uint32_t) {
        watch->start(pipe.ends[0], GORB_READABLE, [&](uint32_t) {
            ++calls;
            watch.reset();
            throw std::runtime_error("thrown when the watch is gone");
        });
        throw std::runtime_error("thrown by the first");
    });
    for (int i = 0; i < 3; ++i) fake.loop().step();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(fake.logs().size(), 2u);
    EXPECT_TRUE(fake.held().empty());
}

TEST(PostTest, RunsInOrderFromAnyThread) {
    FakeHost fake;
    const Host host(fake.c());
    std::vector<int> order;
    host.post([&] { order.push_back(1); });
    std::thread([&] { host.post([&] { order.push_back(2); }); }).join();
    host.post([] { throw 5; });
    EXPECT_TRUE(fake.loop().run_until([&] { return order.size() == 2; }));
    fake.loop().step();
    EXPECT_THAT(order, ElementsAre(1, 2));
    EXPECT_EQ(fake.logs().size(), 1u);
}

TEST(PostTest, WhatHasNotRunIsDroppedWithTheInstance) {
    FakeHost fake;
    auto kept = std::make_shared<int>(1);
    {
        const Host host(fake.c());
        host.post([kept] { *kept = 2; });
    }
    fake.release();
    fake.loop().step();
    EXPECT_EQ(*kept, 1);
    EXPECT_EQ(kept.use_count(), 1) << "and what it held is freed";
}

TEST(SubmitTest, RunsOnAWorkerAndIsDoneOnTheLoop) {
    FakeHost fake;
    const Host host(fake.c());
    std::thread::id ran, done;
    EXPECT_TRUE(submit(
        host, [&] { ran = std::this_thread::get_id(); }, [&] { done = std::this_thread::get_id(); }));
    EXPECT_TRUE(fake.finish_work());
    EXPECT_NE(ran, std::this_thread::get_id());
    EXPECT_EQ(done, std::this_thread::get_id());
}

TEST(SubmitTest, DoneComesAfterAnException) {
    FakeHost fake;
    const Host host(fake.c());
    bool done = false;
    EXPECT_TRUE(submit(
        host, [] { throw std::runtime_error("in run"); }, [&] { done = true; }));
    EXPECT_TRUE(fake.finish_work());
    EXPECT_TRUE(done);
    EXPECT_EQ(fake.logs().at(0).text, "in run");
    fake.most_work = 0;
    EXPECT_FALSE(submit(
        host, [] {}, [] {}))
        << "a full queue";
    EXPECT_EQ(fake.refused, 1u);
}

TEST(MetricsTest, CountersAndGauges) {
    FakeHost fake;
    const Host host(fake.c());
    const Counter counter(host, "seen_total", "things seen"), same(host, "seen_total", "things seen");
    const Gauge gauge(host, "level", "where it stands");
    counter.add();
    same.add(2);
    gauge.set(7);
    gauge.add(-1);
    EXPECT_EQ(fake.metrics().at("seen_total"), 3);
    EXPECT_EQ(fake.metrics().at("level"), 6);
    const Counter bad(host, "No Name", "");
    EXPECT_EQ(fake.violations().size(), 1u);
}

// ---- connections ----

// A listening socket whose accepted connections the test holds itself.
class Listener {
  public:
    Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
        sockaddr_in addr{};
        addr.sin_family = AF_INET;
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof addr;
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&addr), size), 0);
        EXPECT_EQ(listen(fd_, 8), 0);
        getsockname(fd_, reinterpret_cast<sockaddr*>(&addr), &size);
        port = ntohs(addr.sin_port);
    }
    ~Listener() {
        if (client >= 0) close(client);
        close(fd_);
    }
    bool accept_one() {
        if (client < 0) client = accept(fd_, nullptr, nullptr);
        return client >= 0;
    }
    uint16_t port = 0;
    int client = -1;

  private:
    const int fd_;
};

struct Recorder final : ConnectionEvents {
    void opened() override {
        said += "opened ";
        if (on_opened) on_opened();
    }
    size_t received(std::string_view bytes) override {
        said += "received(" + std::string(bytes) + ") ";
        return on_received ? on_received(bytes) : bytes.size();
    }
    void closed(int32_t why) override {
        said += "closed(" + std::to_string(why) + ") ";
        if (on_closed) on_closed();
    }
    std::string said;
    std::function<void()> on_opened, on_closed;
    std::function<size_t(std::string_view)> on_received;
};

struct ConnectionTest : ::testing::Test {
    void open() {
        Connection::Options options;
        options.peer = gorb::testing::address("127.0.0.1", listener.port);
        options.deadline_ns = fake.in(seconds(5));
        connection.open(options);
    }
    bool said(const std::string& what) {
        return fake.loop().run_until([&] {
            listener.accept_one();
            return recorder.said.find(what) != std::string::npos;
        });
    }
    void say(const std::string& words) const {
        EXPECT_EQ(send(listener.client, words.data(), words.size(), 0), static_cast<ssize_t>(words.size()));
    }
    FakeHost fake;
    const Host host{fake.c()};
    Listener listener;
    Recorder recorder;
    Connection connection{host, recorder};
};

TEST_F(ConnectionTest, SendsReceivesAndEnds) {
    EXPECT_EQ(connection.send("x"), -ENOTCONN);
    open();
    EXPECT_EQ(recorder.said, "") << "no event before open() has returned";
    ASSERT_TRUE(said("opened"));
    EXPECT_EQ(connection.send("ping"), 0);
    ASSERT_TRUE(fake.loop().run_until([&] { return listener.accept_one(); }));
    char buffer[8] = "";
    ASSERT_TRUE(fake.loop().run_until([&] { return recv(listener.client, buffer, 4, MSG_DONTWAIT) == 4; }));
    EXPECT_STREQ(buffer, "ping");
    say("pong");
    ASSERT_TRUE(said("received(pong)"));
    shutdown(listener.client, SHUT_WR);
    ASSERT_TRUE(said("closed(0)"));
    EXPECT_FALSE(connection.is_open());
    EXPECT_TRUE(fake.held().empty());
}

TEST_F(ConnectionTest, WhatIsNotConsumedComesAgain) {
    recorder.on_received = [](std::string_view bytes) { return bytes.size() < 4 ? 0 : 2; };
    open();
    ASSERT_TRUE(fake.loop().run_until([&] { return listener.accept_one(); }));
    say("ab");
    ASSERT_TRUE(said("received(ab)"));
    say("cd");
    ASSERT_TRUE(said("received(abcd)"));
    say("ef");
    ASSERT_TRUE(said("received(cdef)"));
}

TEST_F(ConnectionTest, AnExceptionClosesAndIsToldAsCancelled) {
    recorder.on_opened = [] { throw std::runtime_error("bad code"); };
    open();
    ASSERT_TRUE(said("closed(-125)"));
    EXPECT_EQ(recorder.said, "opened closed(-125) ");
    EXPECT_TRUE(fake.held().empty());
    EXPECT_EQ(fake.logs().at(0).text, "bad code");
}

TEST_F(ConnectionTest, MayBeClosedFromWithinAndNoEventFollows) {
    recorder.on_received = [&](std::string_view bytes) {
        connection.close();
        return bytes.size();
    };
    open();
    ASSERT_TRUE(fake.loop().run_until([&] { return listener.accept_one(); }));
    say("x");
    ASSERT_TRUE(said("received(x)"));
    for (int i = 0; i < 5; ++i) fake.loop().step();
    EXPECT_EQ(recorder.said, "opened received(x) ");
    EXPECT_TRUE(fake.violations().empty());
}

TEST_F(ConnectionTest, MayBeOpenedAgainFromItsEnd) {
    int ends = 0;
    recorder.on_closed = [&] {
        if (++ends == 1) open();
    };
    fake.fail_connect = EHOSTUNREACH;
    open();
    ASSERT_TRUE(said("closed(-113) closed(-113) "));
    EXPECT_EQ(ends, 2);
}

TEST_F(ConnectionTest, TheDeadlineClosesIt) {
    open();
    ASSERT_TRUE(said("opened"));
    fake.loop().advance(seconds(5));
    EXPECT_THAT(recorder.said, HasSubstr("closed(-110)"));
}

TEST_F(ConnectionTest, APeerThatSendsMoreThanIsConsumedIsEndedForIt) {
    std::string reason;
    recorder.on_received = [](std::string_view) { return size_t{0}; };
    recorder.on_closed = [&] { reason = connection.reason(); };
    open();
    ASSERT_TRUE(fake.loop().run_until([&] { return listener.accept_one(); }));
    const std::string block(size_t{64} << 10, 'x');
    ASSERT_TRUE(fake.loop().run_until([&] {
        send(listener.client, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        recorder.said = recorder.said.substr(std::min(recorder.said.size(), recorder.said.rfind("closed")));
        return !connection.is_open();
    }));
    EXPECT_EQ(recorder.said, "closed(-90) ");
    EXPECT_EQ(reason, "more than 1 MiB came and was not consumed");
    EXPECT_FALSE(our_trouble(-EMSGSIZE));
}

TEST_F(ConnectionTest, WhatIcmpSaysOfADatagramIsToldByTheEndAndNotBySend) {
    const int closed_port = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in addr{};
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof addr;
    ASSERT_EQ(bind(closed_port, reinterpret_cast<sockaddr*>(&addr), size), 0);
    getsockname(closed_port, reinterpret_cast<sockaddr*>(&addr), &size);
    close(closed_port);
    recorder.on_opened = [&] {
        EXPECT_EQ(connection.send(std::string(70'000, 'x')), -EMSGSIZE);
        // Loopback has answered the first one when the second is sent.
        for (int i = 0; i < 3; ++i) EXPECT_EQ(connection.send("x"), 0);
    };
    Connection::Options options;
    options.transport = GORB_UDP;
    options.peer = gorb::testing::address("127.0.0.1", ntohs(addr.sin_port));
    connection.open(options);
    EXPECT_TRUE(said("closed(-111)")) << recorder.said;
    EXPECT_EQ(recorder.said, "opened closed(-111) ");
}

TEST_F(ConnectionTest, OurOwnTroubleIsThrownByOpen) {
    fake.fail_open = "no descriptor";
    fake.fail_open_errno = EMFILE;
    try {
        open();
        ADD_FAILURE() << "opened";
    } catch (const Error& e) {
        EXPECT_STREQ(e.what(), "no descriptor");
        EXPECT_EQ(e.number(), EMFILE);
    }
    EXPECT_FALSE(connection.is_open());
}

TEST_F(ConnectionTest, TroubleOfOurOwnThatIsOrderedForConnectIsThrownToo) {
    fake.fail_connect = EADDRNOTAVAIL;
    try {
        open();
        ADD_FAILURE() << "opened";
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("no local address or port is free"));
        EXPECT_EQ(e.number(), EADDRNOTAVAIL);
    }
    fake.loop().step();
    EXPECT_EQ(recorder.said, "") << "nothing comes of what was not opened";
    EXPECT_TRUE(fake.held().empty());
}

// ---- the FakeHost itself ----

TEST(FakeHostTest, TurnsAsGorbdDoesPostsThenDescriptorsThenTimers) {
    FakeHost fake;
    const Host host(fake.c());
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    std::vector<std::string> order;
    Watch watch(host);
    Timer deadline(host);
    const auto begin = [&] {
        order.clear();
        deadline.after(seconds(1), [&] { order.emplace_back("timer"); });
        watch.start(pipe[0], GORB_READABLE, [&](uint32_t) {
            char byte = 0;
            EXPECT_EQ(read(pipe[0], &byte, 1), 1);
            order.emplace_back("descriptor");
            host.post([&] { order.emplace_back("post of the next turn"); });
        });
        EXPECT_EQ(write(pipe[1], "x", 1), 1);
        host.post([&] { order.emplace_back("post"); });
    };
    begin();
    fake.loop().advance(seconds(1));
    EXPECT_THAT(order, ElementsAre("post", "descriptor", "timer", "post of the next turn"));
    // An answer that has come in time ends the wait for it, as it does in a turn of gorbd's that is late.
    begin();
    watch.start(pipe[0], GORB_READABLE, [&](uint32_t) {
        watch.stop();
        deadline.cancel();
        order.emplace_back("answered");
    });
    fake.loop().advance(seconds(5));
    EXPECT_THAT(order, ElementsAre("post", "answered"));
    close(pipe[0]);
    close(pipe[1]);
}

TEST(FakeHostTest, WritesDownWhatBreaksTheContract) {
    FakeHost fake;
    const Host host(fake.c());
    std::thread([&] {
        host.loop().at(
            host.c(), 0, [](void*) {}, nullptr);
    }).join();
    EXPECT_THAT(fake.violations(), ElementsAre(HasSubstr("not the loop's")));
    const auto* pulse = static_cast<const gorb_pulse_host*>(fake.c()->service(fake.c(), GORB_KIND_PULSE));
    gorb_result result{};
    result.struct_size = sizeof result;
    result.verdict = 9;
    EXPECT_EQ(pulse->report(fake.c(), 77, &result), -ESTALE);
    EXPECT_THAT(fake.violations(),
                ElementsAre(::testing::_, HasSubstr("never started"), HasSubstr("no verdict")));
}

// A pulse that answers nothing by itself, and notes what it is told.
struct Quiet {
    static constexpr const char *name = "quiet", *version = "1", *summary = "s";
    Quiet(const Host&, const Target&) { said.clear(); }
    ~Quiet() {
        if (run.id()) answered = run.pass();
    }
    void start(const Run& r) {
        run = r;
        said += "start ";
    }
    static void cancel() { said += "cancel "; }
    Run run;
    static inline std::string said;
    static inline bool answered = true;
};

TEST(FakeHostTest, RunsEndAsGorbdEndsThem) {
    FakeHost fake;
    gorb::testing::PulseRunner pulse(fake, Pulse<Quiet>::table);
    auto* probe = pulse.add(gorb::testing::address("127.0.0.1", 9));
    pulse.start(probe, seconds(1));
    pulse.start(probe, seconds(1));
    EXPECT_EQ(Quiet::said, "start cancel start ") << "a probe has one run open at most";
    fake.loop().advance(seconds(1));
    EXPECT_EQ(Quiet::said, "start cancel start cancel ") << "the deadline";
    fake.loop().advance(seconds(5));
    pulse.start(probe, seconds(1));
    pulse.remove(probe);
    EXPECT_FALSE(Quiet::answered) << "a removed target's report comes too late";
    fake.loop().advance(seconds(5));
    EXPECT_EQ(Quiet::said, "start cancel start cancel start ");
}

TEST(FakeHostTest, AClosedConnectionIsNotForClosingAgain) {
    FakeHost fake;
    const Host host(fake.c());
    static gorb_conn* handle;
    static const gorb_conn_events events = {
        sizeof events, [](void*, gorb_conn*) {},
        [](void*, gorb_conn*, const uint8_t*, size_t size) { return size; },
        [](void*, gorb_conn*, int32_t) {}};
    gorb_conn_options options{};
    options.struct_size = sizeof options;
    options.transport = GORB_UDP;
    options.peer = gorb::testing::address("127.0.0.1", 9);
    handle = host.net().open(host.c(), &options, &events, nullptr, nullptr);
    ASSERT_NE(handle, nullptr);
    host.net().close(handle);
    EXPECT_TRUE(fake.violations().empty());
    host.net().close(handle);
    EXPECT_THAT(fake.violations(), ElementsAre(HasSubstr("over")));
    options.transport = 9;
    gorb_error why{};
    EXPECT_EQ(host.net().open(host.c(), &options, &events, nullptr, &why), nullptr);
    EXPECT_STREQ(why.text, "transport 9 is unknown");
}

TEST(FakeConfigTest, DefaultsTypesAndRanges) {
    const gorb_option table[] = {{"b", GORB_BOOL, 0, "true", nullptr, "h"},
                                 {"i", GORB_INT, 0, nullptr, "1..10", "h"},
                                 {"d", GORB_DURATION, 0, "250ms", "1ms..1h", "h"},
                                 {"t", GORB_TEXT, GORB_REQUIRED, nullptr, "A|B", "h"},
                                 {}};
    const FakeConfig fake(table, {{"t", "B"}, {"i", "10"}});
    const Config config(fake.c());
    EXPECT_EQ(config.boolean("b"), true);
    EXPECT_EQ(config.integer("i"), 10);
    EXPECT_EQ(config.duration("d"), std::chrono::milliseconds(250));
    EXPECT_EQ(config.text("t"), "B");
    EXPECT_THROW(config.text("i"), Error);
    const FakeConfig bare(table, {{"t", "A"}});
    EXPECT_EQ(Config(bare.c()).integer("i"), std::nullopt);
    EXPECT_EQ(Config(nullptr).integer("i"), std::nullopt);
    using gorb::testing::Values;
    for (const Values& bad :
         {Values{}, Values{{"t", "C"}}, Values{{"t", "A"}, {"i", "11"}}, Values{{"t", "A"}, {"i", "1.5"}},
          Values{{"t", "A"}, {"d", "2h"}}, Values{{"t", "A"}, {"d", "soon"}}, Values{{"t", "A"}, {"x", "1"}},
          Values{{"t", "A"}, {"b", "yes"}}})
        EXPECT_THROW(FakeConfig(table, bad), std::invalid_argument);
}

// What a table of one option with this default makes of it: "" for well.
std::string refusal(uint32_t type, const char* fallback, const char* range = nullptr) {
    const gorb_option table[] = {{"x", type, 0, fallback, range, "h"}, {}};
    try {
        const FakeConfig fake(table);
        return "";
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
}

TEST(FakeConfigTest, RefusesWhatGorbdRefusesAndNothingElse) {
    for (const char* good : {"5s", "1m30s", "1.5h", "2 min", "5SEC", "0.25", "1e3", " 5s "})
        EXPECT_EQ(refusal(GORB_DURATION, good, "1ms.."), "") << good;
    EXPECT_EQ(FakeConfig::duration("1.001"), 1'001'000'000U);
    for (const char* bad : {"5ns", "0x5s", "+5s", "-1", "5d", "inf", "nan", "", "s", "1m30", "2e9h", "5e18"})
        EXPECT_NE(refusal(GORB_DURATION, bad), "") << bad;
    for (const char* good : {"5", " 5 ", "-5"}) EXPECT_EQ(refusal(GORB_INT, good, "-9 .. 9"), "") << good;
    for (const char* bad : {"+5", "0x5", "5.0", "", "99999999999999999999"})
        EXPECT_NE(refusal(GORB_INT, bad), "") << bad;
    EXPECT_EQ(refusal(GORB_INT, "02", "1|2|4"), "") << "numbers are compared as such";
    for (const char* good :
         {"{}", "[1, -2.5e3, true, null]", R"({"a": {"b": ["\u00e9\n"]}})", "\"x\"", " 0 "})
        EXPECT_EQ(refusal(GORB_JSON, good), "") << good;
    for (const char* bad :
         {"", "{", "[1,]", "{a: 1}", "'x'", "01", "\"\n\"", "\"\\x\"", "1 2", "nul", "{\"a\" 1}"})
        EXPECT_NE(refusal(GORB_JSON, bad), "") << bad;
    EXPECT_NE(refusal(GORB_JSON, R"([{"a": {"b": 1, "c": 2, "b": 3}}])"), "") << "two members of one name";
    EXPECT_EQ(refusal(GORB_JSON, R"([{"a": 1}, {"a": {"a": 1}}])"), "");
    for (const char* range : {"a..b", "5..1", "1-9", "1|two", ""})
        EXPECT_THAT(refusal(GORB_INT, nullptr, range), HasSubstr("can not be read")) << range;
    for (const char* range : {"", "a|", "|a", "a||b"})
        EXPECT_THAT(refusal(GORB_TEXT, nullptr, range), HasSubstr("can not be read")) << range;
    for (const char* good : {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", ""})
        EXPECT_EQ(refusal(GORB_TEXT, good), "") << good;
    for (const char* bad : {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"})
        EXPECT_THAT(refusal(GORB_TEXT, bad), HasSubstr("UTF-8")) << bad;
    EXPECT_THAT(refusal(GORB_DURATION, nullptr, "1s..soon"), HasSubstr("can not be read"));
}

}  // namespace
}  // namespace gorb::sdk
