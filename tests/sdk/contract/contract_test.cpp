// What the contract says of calls that are wrong, of both its hosts: gorbd's, and the one that plugins are
// tested on.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cmath>

#include <gorb/testing.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "gorb/sdk/accepts.hpp"
#include "plugin/host.h"

namespace gorb {
namespace {

// A new member must not make these larger: plugins of before have none. (64 bits; sdk/layout has all
// offsets.)
namespace accepts = sdk::accepts;
static_assert(sizeof(void*) != 8 ||
              (accepts::entry == 40 && accepts::plugin == 56 && accepts::pulse_ops == 72 &&
               accepts::result == 40 && accepts::conn_options == 104 && accepts::conn_events == 32 &&
               accepts::tls_peer == 48));

class Kit {
  public:
    const gorb_host* c() const { return fake_.c(); }
    double metric(const std::string& name) const { return fake_.metrics().at(name); }
    template <class Fn>
    void within(Fn&& fn) {
        fn();
    }
    void turn() { fake_.loop().step(std::chrono::milliseconds(1)); }

  private:
    testing::FakeHost fake_;
};

class Gorbd final : plugin::Answers {
  public:
    ~Gorbd() {
        host_.finish_jobs();
        host_.retire();
    }
    const gorb_host* c() const { return &host_; }
    template <class Fn>
    void within(Fn&& fn) {
        host_.call(plugin::Doing::add, std::forward<Fn>(fn));
    }
    double metric(const std::string& name) const {
        for (const plugin::Metric& metric : metrics_.read())
            if (metric.name == "gorb_plugin_contract_" + name) return metric.value;
        return -1;
    }
    void turn() {
        if (!loop_.step()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }

  private:
    int32_t report(gorb_run, const gorb_result&) override { return -ESTALE; }
    int32_t report_elsewhere(gorb_run, const gorb_result&) override { return -ESTALE; }
    int32_t recheck(gorb_run) override { return -ESTALE; }
    void deliver() override {}

    base::ManualClock clock_;
    io::Loop loop_{"contract", &clock_};
    io::Workers workers_{1, 1};
    plugin::Metrics metrics_;
    plugin::Host& host_ = plugin::Host::make("pulse-contract", "contract", loop_, workers_, metrics_, *this);
};

constexpr gorb_conn_events events = {sizeof events, [](void*, gorb_conn*) {},
                                     [](void*, gorb_conn*, const uint8_t*, size_t size) { return size; },
                                     [](void*, gorb_conn*, int32_t) {}};

gorb_conn_options options_of(uint32_t transport, uint16_t port) {
    gorb_conn_options options{};
    options.struct_size = sizeof options;
    options.transport = transport;
    options.peer = testing::address("127.0.0.1", port);
    return options;
}

template <class Of>
class ContractTest : public ::testing::Test {
  protected:
    template <class Table>
    const Table& table(const char* id) {
        return *static_cast<const Table*>(host.c()->service(host.c(), id));
    }
    // What open() says, which must refuse.
    std::string refusal(const gorb_conn_options* options, const gorb_conn_events* told, int error = EINVAL) {
        gorb_error why{};
        host.within([&] {
            errno = 0;
            EXPECT_EQ(table<gorb_net>(GORB_SERVICE_NET).open(host.c(), options, told, nullptr, &why),
                      nullptr);
            EXPECT_EQ(errno, error) << why.text;
        });
        return why.text;
    }
    gorb_conn* open(const gorb_conn_events& told) {
        gorb_conn* conn = nullptr;
        const gorb_conn_options options = options_of(GORB_UDP, 9);
        host.within([&] {
            conn = table<gorb_net>(GORB_SERVICE_NET).open(host.c(), &options, &told, nullptr, nullptr);
        });
        EXPECT_NE(conn, nullptr);
        return conn;
    }
    Of host;
};
using Hosts = ::testing::Types<Kit, Gorbd>;
TYPED_TEST_SUITE(ContractTest, Hosts);

TYPED_TEST(ContractTest, AConnectionIsRefusedInTheSameWords) {
    const std::string no_options = "gorb_conn_options is too small: is struct_size set?",
                      no_events = "gorb_conn_events is too small: is struct_size set?";
    EXPECT_EQ(this->refusal(nullptr, &events), no_options);
    gorb_conn_options options = options_of(GORB_TCP, 80);
    options.struct_size = accepts::conn_options - 1;
    EXPECT_EQ(this->refusal(&options, &events), no_options);
    options = options_of(GORB_TCP, 80);
    EXPECT_EQ(this->refusal(&options, nullptr), no_events);
    gorb_conn_events unsized = events;
    unsized.struct_size = 0;
    EXPECT_EQ(this->refusal(&options, &unsized), no_events);

    options = options_of(9, 80);
    EXPECT_EQ(this->refusal(&options, &events), "transport 9 is unknown");
    options = options_of(GORB_TCP, 80);
    options.source.family = 7;
    EXPECT_EQ(this->refusal(&options, &events), "an address is of no known family");
    options.source = testing::address("::1", 0);
    EXPECT_EQ(this->refusal(&options, &events), "source ::1 and peer 127.0.0.1 are of different families");
    options = options_of(GORB_TCP, 80);
    options.peer.family = 0;
    EXPECT_EQ(this->refusal(&options, &events), "a connection needs the address of a peer");
    options = options_of(GORB_TCP, 0);
    EXPECT_EQ(this->refusal(&options, &events),
              "there is no port to check: the backend's is 0, the client's, and the pulse names none");
    options = options_of(GORB_UDP, 80);
    options.flags = GORB_CONN_PROBE;
    EXPECT_EQ(this->refusal(&options, &events), "GORB_CONN_PROBE is for TCP only");
}

TYPED_TEST(ContractTest, WhatOurOwnRoutesRefuseIsNoConnection) {
    gorb_conn_options options = options_of(GORB_TCP, 80);
    options.peer = testing::address("255.255.255.255", 80);  // which no route leads a connection to
    EXPECT_EQ(this->refusal(&options, &events, ENETUNREACH).find("can not connect to 255.255.255.255:80: "),
              0u);
    options = options_of(GORB_TCP, 80);
    options.source = testing::address("192.0.2.1", 0);
    EXPECT_EQ(this->refusal(&options, &events, EADDRNOTAVAIL).find("can not use source address 192.0.2.1: "),
              0u);
}

// Listens, and says nothing.
struct Silent {
    Silent() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in in{};
        socklen_t size = sizeof in;
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&in), size), 0);
        EXPECT_EQ(listen(fd, 8), 0);
        EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&in), &size), 0);
        port = ntohs(in.sin_port);
    }
    Silent(const Silent&) = delete;
    Silent& operator=(const Silent&) = delete;
    ~Silent() { close(fd); }
    const int fd;
    uint16_t port = 0;
};

TYPED_TEST(ContractTest, AConnectionSaysHowFarItHasCome) {
    const auto& net = this->template table<gorb_net>(GORB_SERVICE_NET);
    const Silent server;
    const auto reason = [&](gorb_conn* conn) {
        std::string words;
        this->host.within([&] { words = sdk::view(net.reason(conn)); });
        return words;
    };
    const gorb_conn_options tls = options_of(GORB_TLS, server.port), tcp = options_of(GORB_TCP, server.port);
    gorb_conn *shaking = nullptr, *plain = nullptr;
    this->host.within([&] {
        shaking = net.open(this->host.c(), &tls, &events, nullptr, nullptr);
        plain = net.open(this->host.c(), &tcp, &events, nullptr, nullptr);
    });
    EXPECT_EQ(reason(shaking), "connecting");
    EXPECT_EQ(reason(plain), "connecting");
    for (int i = 0; i < 10'000 && (reason(shaking) == "connecting" || !reason(plain).empty()); ++i)
        this->host.turn();
    EXPECT_EQ(reason(shaking), "in the TLS handshake");
    EXPECT_EQ(reason(plain), "") << "it is open";
    this->host.within([&] {
        net.close(shaking);
        net.close(plain);
    });
}

TYPED_TEST(ContractTest, AConnectionNeedsNoCallbacksToStand) {
    gorb_conn_events none{};
    none.struct_size = sizeof none;
    gorb_conn* conn = this->open(none);
    this->host.within([&] { this->template table<gorb_net>(GORB_SERVICE_NET).close(conn); });
}

TYPED_TEST(ContractTest, WhatIsNoHandleAndNoResultIsNotLookedAt) {
    const auto& net = this->template table<gorb_net>(GORB_SERVICE_NET);
    const auto& pulse = this->template table<gorb_pulse_host>(GORB_KIND_PULSE);
    gorb_conn* conn = this->open(events);
    this->host.within([&] {
        gorb_tls_peer peer{};
        EXPECT_EQ(net.tls_peer(conn, &peer), -EINVAL) << "no struct_size";
        EXPECT_EQ(net.tls_peer(conn, nullptr), -EINVAL);
        peer.struct_size = sizeof peer;
        EXPECT_EQ(net.tls_peer(nullptr, &peer), -EINVAL);
        EXPECT_EQ(net.tls_peer(conn, &peer), -EINVAL) << "no TLS";
        EXPECT_EQ(net.send(nullptr, "x", 1), -EINVAL);
        EXPECT_EQ(net.send(conn, nullptr, 1), -EINVAL);
        EXPECT_EQ(net.reason(nullptr).len, 0u);
        net.close(nullptr);
        net.close(conn);
        gorb_result result{};
        EXPECT_EQ(pulse.report(this->host.c(), 1, nullptr), -EINVAL);
        EXPECT_EQ(pulse.report(this->host.c(), 1, &result), -EINVAL) << "no struct_size";
    });
}

TYPED_TEST(ContractTest, ACounterOnlyGrows) {
    const auto& metrics = this->template table<gorb_metrics>(GORB_SERVICE_METRICS);
    const gorb_host* c = this->host.c();
    this->host.within([&] {
        const uint64_t counter = metrics.counter(c, "seen_total", "h"),
                       gauge = metrics.gauge(c, "level", "h");
        EXPECT_EQ(metrics.gauge(c, "seen_total", "h"), 0u);
        metrics.add(c, counter, 2);
        metrics.add(c, counter, -1);
        metrics.add(c, counter, NAN);
        metrics.set(c, counter, 7);
        metrics.set(c, gauge, 7);
        metrics.set(c, gauge, INFINITY);
        metrics.add(c, gauge, -2);
        metrics.add(c, 0, 1);
    });
    EXPECT_EQ(this->host.metric("seen_total"), 2);
    EXPECT_EQ(this->host.metric("level"), 5);
}

TYPED_TEST(ContractTest, WhatHasNothingToCallIsRefused) {
    const auto& loop = this->template table<gorb_loop>(GORB_SERVICE_LOOP);
    const auto& work = this->template table<gorb_work>(GORB_SERVICE_WORK);
    const gorb_host* c = this->host.c();
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    static std::atomic<int> ran;
    ran = 0;
    this->host.within([&] {
        EXPECT_EQ(loop.watch(c, fd, GORB_READABLE, nullptr, nullptr), -EINVAL);
        EXPECT_EQ(loop.watch(
                      c, fd, 4, [](void*, int, uint32_t) {}, nullptr),
                  -EINVAL);
        EXPECT_EQ(loop.watch(
                      c, -1, GORB_READABLE, [](void*, int, uint32_t) {}, nullptr),
                  -EBADF);
        EXPECT_EQ(loop.watch(c, fd, 0, nullptr, nullptr), 0) << "nothing to forget";
        EXPECT_EQ(loop.at(c, 0, nullptr, nullptr), 0u);
        EXPECT_EQ(loop.post(c, nullptr, nullptr), -EINVAL);
        EXPECT_EQ(work.submit(c, nullptr, nullptr, nullptr), -EINVAL);
        EXPECT_EQ(work.submit(
                      c, [](void*) { ++ran; }, nullptr, nullptr),
                  0)
            << "nobody needs to hear that it is done";
    });
    for (int i = 0; i < 10'000 && ran == 0; ++i) this->host.turn();
    EXPECT_EQ(ran, 1);
    for (int i = 0; i < 5; ++i) this->host.turn();
    close(fd);
}

}  // namespace
}  // namespace gorb
