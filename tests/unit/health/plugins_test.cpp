// The engine with the plugin room and real plugins: what the fake checker stands for elsewhere.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "health/engine.h"
#include "unit/health/fake_checker.h"

namespace gorb::health::plugins_test {
namespace {

// A server on loopback that does nothing but listen.
class Listener {
  public:
    explicit Listener(uint16_t port = 0) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int on = 1;
        setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(fd_, 64), 0);
        socklen_t size = sizeof address;
        EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
        port_ = ntohs(address.sin_port);
    }
    ~Listener() { close(fd_); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    uint16_t port() const { return port_; }

  protected:
    int fd_;
    uint16_t port_ = 0;
};

// One whose queue is full: it answers nobody.
class SilentListener : public Listener {
  public:
    SilentListener() {
        EXPECT_EQ(listen(fd_, 0), 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port_);
        for (int& filler : fillers_) {
            filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            static_cast<void>(connect(filler, reinterpret_cast<sockaddr*>(&address), sizeof address));
        }
    }
    ~SilentListener() {
        for (const int filler : fillers_) close(filler);
    }

  private:
    std::array<int, 4> fillers_{};
};

class Plugins : public testing::Test {
  protected:
    Plugins() {
        base::set_log_level(base::LogLevel::error);
        registry.load({GORB_PLUGINS});
        for (const auto& refused : registry.refused()) ADD_FAILURE() << refused.file << ": " << refused.why;
        loop_thread = std::thread([this] { loop.run(); });
    }
    ~Plugins() override {
        loop.stop();
        loop_thread.join();
        engine.reset();
        registry.unload();
        base::set_log_level(base::LogLevel::info);
    }

    Target target(model::BackendId id, const std::string& type, uint16_t port) {
        Target t;
        t.id = id;
        t.service = "web";
        t.backend = "b";
        t.address = {*base::Ip::parse("127.0.0.1"), port};
        edit_pulse(t, [&](model::PulseSpec& p) {
            p.type = type;
            p.interval = std::chrono::milliseconds(50);
        });
        if (const plugin::Plugin* p = registry.pulse(type)) t.args = {*plugin::pulse_args(*p, {})};
        return t;
    }
    // The next change, waiting for it; one of id 0 when none comes.
    Changed change() {
        std::unique_lock lock(mutex);
        if (!come.wait_for(lock, std::chrono::seconds(20), [&] { return !changes.empty(); })) return {};
        Changed c = changes.front();
        changes.erase(changes.begin());
        return c;
    }

    plugin::Registry registry;
    plugin::Metrics metrics;
    io::Workers workers{1, 16};
    io::Loop loop{"loop-0"};
    std::mutex mutex;
    std::condition_variable come;
    std::vector<Changed> changes;
    std::unique_ptr<Engine> engine = std::make_unique<Engine>(
        registry, metrics, std::vector<io::Loop*>{&loop}, workers, [this](std::span<const Changed> c) {
            std::lock_guard lock(mutex);
            changes.insert(changes.end(), c.begin(), c.end());
            come.notify_all();
        });
    std::thread loop_thread;
};

TEST_F(Plugins, ATcpPulseSeesAServerDieAndReturn) {
    auto server = std::make_unique<Listener>();
    const uint16_t port = server->port();
    engine->put(target(1, "tcp", port));
    Changed c = change();
    EXPECT_EQ(c.id, 1U);
    EXPECT_EQ(c.state, State::up) << c.reason;

    server.reset();
    c = change();
    EXPECT_EQ(c.state, State::down);
    EXPECT_NE(c.reason.find("refused"), std::string::npos) << c.reason;
    EXPECT_NE(c.reason.find("(3 failures in a row)"), std::string::npos) << c.reason;
    const CheckView check = engine->read(1)->checks[0];
    EXPECT_EQ(check.verdict, plugin::Verdict::fail);
    EXPECT_EQ(check.code, ECONNREFUSED);
    EXPECT_GT(check.latency_ns, 0U);

    server = std::make_unique<Listener>(port);
    c = change();
    EXPECT_EQ(c.state, State::up) << c.reason;
}

TEST_F(Plugins, APulseThatAnswersFromWithinStartIsHeard) {
    engine->put(target(1, "none", 9));
    const Changed c = change();
    EXPECT_EQ(c.id, 1U);
    EXPECT_EQ(c.state, State::up);
}

// Connections have deadlines of their own, which are seen before the engine sees that of the check.
TEST_F(Plugins, AStallOfThisProcessIsNotTheTargetsFaultWhereThePulseWatchesTheTimeItself) {
    const SilentListener server;
    Target t = target(1, "tcp", server.port());
    t.args = {*plugin::pulse_args(*registry.pulse("tcp"), {{"full-handshake", "true"}})};
    edit_pulse(t, [](model::PulseSpec& p) {
        p.interval = std::chrono::minutes(10);
        p.timeout = std::chrono::milliseconds(300);
    });
    engine->put(t);
    while (engine->counters().in_flight == 0) std::this_thread::yield();
    loop.post([] { std::this_thread::sleep_for(std::chrono::milliseconds(1800)); });
    while (!engine->read(1)->checks[0].checked) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const CheckView check = engine->read(1)->checks[0];
    EXPECT_EQ(check.verdict, plugin::Verdict::unknown) << check.reason;
    EXPECT_NE(check.reason.find("this process was held up for"), std::string::npos) << check.reason;
}

// The loop was late, the server was not.
TEST_F(Plugins, AnAnswerThatCameInTimeCountsHoweverLateItIsSeen) {
    const Listener server;
    Target t = target(1, "tcp", server.port());
    edit_pulse(t, [](model::PulseSpec& p) {
        p.interval = std::chrono::minutes(10);
        p.timeout = std::chrono::milliseconds(100);
    });
    engine->put(t);
    // In the turn in which the check is started, and behind it.
    loop.post([this] { loop.at(0, [] { std::this_thread::sleep_for(std::chrono::milliseconds(300)); }); });
    while (!engine->read(1)->checks[0].checked) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(engine->read(1)->checks[0].verdict, plugin::Verdict::pass) << engine->read(1)->checks[0].reason;
}

TEST_F(Plugins, APulseThatIsNotLoadedIsUnknownAndNamed) {
    engine->put(target(1, "no-such-pulse", 9));
    engine->put(target(2, "none", 9));
    EXPECT_EQ(change().id, 2U);
    for (int i = 0; i < 2000 && !engine->read(1)->checks[0].checked; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const auto view = engine->read(1);
    EXPECT_EQ(view->state, State::unknown);
    EXPECT_EQ(view->checks[0].verdict, plugin::Verdict::unknown);
    EXPECT_EQ(view->checks[0].reason, "no plugin with the pulse \"no-such-pulse\" is loaded");
}

TEST_F(Plugins, TargetsComeAndGoWhileTheirChecksRun) {
    Listener server;
    for (int round = 0; round < 20; ++round) {
        for (model::BackendId id = 1; id <= 20; ++id) {
            engine->put(target(id, id % 2 ? "tcp" : "none", server.port()));
        }
        for (model::BackendId id = 1; id <= 20; ++id) engine->remove(id);
    }
    engine->put(target(100, "tcp", server.port()));
    for (Changed c = change(); c.id != 100; c = change()) ASSERT_NE(c.id, 0U);
    EXPECT_EQ(engine->size(), 1U);
}

}  // namespace
}  // namespace gorb::health::plugins_test
