// Ten thousand servers that die within a second, seen by real checks, while clients ask: a few batches of the
// kernel, and nobody waits.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "control/inbox.h"
#include "faults/world.h"
#include "health/engine.h"
#include "io/workers.h"
#include "rest/api.h"
#include "rest/server.h"

namespace gorb::faults::wave_test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int services = 20, backends = 500, all = services * backends;

bool within(milliseconds time, const std::function<bool()>& condition) {
    for (const auto end = Clock::now() + time; !condition(); std::this_thread::sleep_for(milliseconds(5)))
        if (Clock::now() > end) return false;
    return true;
}

size_t resident_kb() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    return 0;
}

// Listens at one port of every address of this host; nobody has to accept what a check asks.
class Rack {
  public:
    Rack() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        socklen_t size = sizeof address;
        EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(listen(socket_, 4096), 0);
        EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
        port_ = ntohs(address.sin_port);
    }
    Rack(const Rack&) = delete;
    Rack& operator=(const Rack&) = delete;
    ~Rack() { die(); }
    void die() {
        if (socket_ >= 0) close(socket_);
        socket_ = -1;
    }
    model::Config config() const {
        model::PulseSpec pulse;
        pulse.type = "tcp";
        pulse.interval = std::chrono::seconds(1);
        pulse.timeout = std::chrono::seconds(1);
        pulse.rise = pulse.fall = 1;
        model::Config config;
        for (int s = 0; s < services; ++s) {
            model::ConfigService one;
            one.spec.name = "s" + std::to_string(100 + s);
            one.spec.key.vip = *base::Endpoint::parse("10.0.1." + std::to_string(s + 1) + ":80");
            for (int b = 0; b < backends; ++b) {
                const int n = s * backends + b;
                std::string address = "127.16.";
                address.append(std::to_string(n / 250)).append(".").append(std::to_string(n % 250 + 1));
                model::Backend backend;
                backend.name = "b" + std::to_string(1000 + b);
                backend.address = *base::Endpoint::parse(address + ":" + std::to_string(port_));
                backend.pulses = model::PulseList({pulse});
                one.backends.push_back(std::move(backend));
            }
            config.services.push_back(std::move(one));
        }
        return config;
    }

  private:
    int socket_;
    uint16_t port_ = 0;
};

// The n-th request of a client that reads, and of one that changes what is no weight.
std::string reads(int n) {
    std::string target = "/service/s" + std::to_string(100 + n % services);
    if (n % 2) target += "/b" + std::to_string(1000 + n % backends);
    return "GET " + target + " HTTP/1.1\r\nHost: gorb\r\n\r\n";
}
std::string changes(int n) {
    const std::string body = R"({"quorum":)" + std::to_string(2 + n % 100) + "}";
    return "PATCH /service/s100 HTTP/1.1\r\nHost: gorb\r\nContent-Type: "
           "application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Asks one thing after the other on one connection.
class Asking {
  public:
    Asking(uint16_t port, std::string (*what)(int)) : what_(what), thread_([this, port] { run(port); }) {}
    ~Asking() {
        if (thread_.joinable()) end();
    }
    // How long each answer took, the longest last.
    std::vector<milliseconds> end() {
        ending_ = true;
        thread_.join();
        std::ranges::sort(took_);
        return took_;
    }

  private:
    void run(uint16_t port) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        const timeval patience{20, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        for (int n = 0; !ending_; ++n) {
            const std::string request = what_(n);
            const auto begin = Clock::now();
            ASSERT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL), ssize_t(request.size()));
            std::string answer;
            char part[65536];
            size_t whole = std::string::npos;
            while (answer.size() < whole) {
                const ssize_t got = recv(fd, part, sizeof part, 0);
                ASSERT_GT(got, 0) << "no answer";
                answer.append(part, static_cast<size_t>(got));
                const size_t head = answer.find("\r\n\r\n"), length = answer.find("Content-Length: ");
                if (head != std::string::npos && length < head)
                    whole = head + 4 + std::stoul(answer.substr(length + 16));
            }
            ASSERT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer.substr(0, 300);
            took_.push_back(std::chrono::duration_cast<milliseconds>(Clock::now() - begin));
            std::this_thread::sleep_for(milliseconds(2));
        }
        close(fd);
    }

    std::string (*const what_)(int);
    std::atomic<bool> ending_{false};
    std::vector<milliseconds> took_;
    std::thread thread_;
};

TEST(Wave, OfTenThousandServersThatDieInASecondIsAFewBatchesAndNobodyWaits) {
    Folder folder;
    auto table = std::make_shared<ipvs::MemoryDriver>();
    Rack rack;
    plugin::Metrics metrics;
    io::Loop checks{"checks"};
    io::Workers workers{2, 64};
    World world({table, folder.path() / "store", {}, {}});
    control::Control& control = *world.control;
    health::EngineOptions options;
    options.self_suspicion.on = false;  // it would hold the weights of so many
    auto engine = std::make_unique<health::Engine>(
        registry(), metrics, std::vector<io::Loop*>{&checks}, workers,
        [&control](std::span<const health::Changed> changes) { control.health_changed(changes); },
        health::PulseOptions{}, nullptr, options);
    control.connect(*engine);
    std::thread checking([&checks] { checks.run(); });
    ASSERT_TRUE(world.start());
    const auto nothing = [] { return std::string(); };
    auto server = rest::Server::listen(
        {*base::Ip::parse("127.0.0.1"), 0}, {},
        rest::make_api({control, registry(), metrics, "faults", {}, {}, nothing, nothing}));
    ASSERT_TRUE(server);
    (*server)->start();

    const auto with_weight = [&](uint32_t weight) {
        size_t n = 0;
        const model::SnapshotPtr now = control.snapshot();
        now->services.for_each([&](const std::string&, const model::ServicePtr& service) {
            service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
                n += control.weight_of(*backend).effective == weight ? 1 : 0;
            });
        });
        return n;
    };
    Promised promised;
    world.submit({control::PutConfig{rack.config(), {}, true}}, promised);
    const uint32_t weight = model::Backend().weight;
    EXPECT_TRUE(within(std::chrono::seconds(60), [&] { return with_weight(weight) == all; }));

    const size_t memory = resident_kb();
    const uint64_t calls = world.driver->calls, operations = world.driver->operations;
    std::vector<milliseconds> took;
    {
        const uint16_t port = (*server)->address().port;
        Asking one(port, reads), other(port, reads), changing(port, changes);
        const auto begin = Clock::now();
        rack.die();
        EXPECT_TRUE(within(std::chrono::seconds(60),
                           [&] { return world.driver->operations - operations >= uint64_t{all}; }));
        EXPECT_TRUE(within(std::chrono::seconds(60), [&] { return with_weight(0) == all; }));
        const auto down = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
        took = one.end();
        for (const milliseconds more : other.end()) took.push_back(more);
        std::ranges::sort(took);
        const auto changed = changing.end();
        ASSERT_GE(changed.size(), 3U);
        const uint64_t batches = world.driver->calls - calls;
        // The first ones before it is seen to be a wave, then one for each pause; where all is slow, what
        // comes between may be too few to be one.
        EXPECT_LE(batches, changed.size() + 20 + 2 * static_cast<uint64_t>(down / control::Inbox::pause));
        ASSERT_GE(took.size(), 10U);
        printf(
            "10000 servers dead and their weights 0 in %lld ms: %llu batches; %zu GETs meanwhile, half of "
            "them within %lld ms, all within %lld ms; %zu changes, all within %lld ms; %zu KB more\n",
            static_cast<long long>(down.count()), static_cast<unsigned long long>(batches), took.size(),
            static_cast<long long>(took[took.size() / 2].count()),
            static_cast<long long>(took.back().count()), changed.size(),
            static_cast<long long>(changed.back().count()), resident_kb() - std::min(memory, resident_kb()));
        // A change of a service is one operation, whatever it changes.
        EXPECT_EQ(world.driver->operations - operations, uint64_t{all} + changed.size());
        EXPECT_EQ(with_weight(0), size_t{all});
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        // Generous: a processor that does other work as well makes everybody wait.
        EXPECT_LT(took[took.size() * 9 / 10], milliseconds(500));
        EXPECT_LT(changed[changed.size() * 9 / 10], milliseconds(1000));
        EXPECT_LT(std::max(took.back(), changed.back()), milliseconds(5000));
        EXPECT_LT(resident_kb(), memory + 16 * 1024);
#endif
    }
    (*server)->stop();
    control.stop();
    checks.stop();
    checking.join();
    server->reset();
    engine.reset();
}

}  // namespace
}  // namespace gorb::faults::wave_test
