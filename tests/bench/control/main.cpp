// bench_control [--backends N] [--services N] [--window N]
//
// Adds very many backends by PUT, as many at a time as --window says, through the real API and control with a
// table in memory; without and with a health engine. Says what each costs in memory and CPU time, and how
// long a GET takes meanwhile. Lines of the log go to /dev/null.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <thread>
#include <vector>

#include "control/control.h"
#include "health/engine.h"
#include "io/workers.h"
#include "ipvs/memory_driver.h"
#include "rest/api.h"

namespace gorb::bench {
namespace {

struct Load {
    int backends = 100'000, services = 1, window = 32;
};

// Requests to the API, so many at a time.
class Client {
  public:
    Client(const rest::Handler& api, int window) : api_(api), window_(window) {}

    void put(std::string path, std::string body) {
        rest::Request request;
        request.method = "PUT";
        request.path = std::move(path);
        request.body = std::move(body);
        {
            std::unique_lock lock(mutex_);
            answered_.wait(lock, [&] { return open_ < window_; });
            ++open_;
        }
        api_(std::make_shared<const rest::Request>(std::move(request)),
             [this](const rest::Response& response) {
                 if (response.status != 200) {
                     std::printf("refused: %s\n", response.body.c_str());
                     std::exit(1);
                 }
                 const std::lock_guard lock(mutex_);
                 --open_;
                 answered_.notify_all();
             });
    }
    void finish() {
        std::unique_lock lock(mutex_);
        answered_.wait(lock, [&] { return open_ == 0; });
    }

  private:
    const rest::Handler& api_;
    const int window_;
    int open_ = 0;
    std::mutex mutex_;
    std::condition_variable answered_;
};

double cpu_us() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

double allocated() {
    const auto info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
}

std::string body_of(int i) {
    std::string body = R"({"address":"10.)";
    body.append(std::to_string(1 + i / 62'500)).append(".").append(std::to_string(i / 250 % 250));
    body.append(".").append(std::to_string(1 + i % 250));
    return body.append(R"(","port":8080,"weight":100,"pulse":{"type":"none","interval":"1h"}})");
}

void run(const Load& load, bool checked) {
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    plugin::Metrics metrics;
    io::Loop loop("checks");
    io::Workers workers(2, 64);
    control::Control control(std::make_unique<ipvs::MemoryDriver>(), nullptr, registry, {});
    health::Engine engine(registry, metrics, {&loop}, workers,
                          [&](std::span<const health::Changed> changes) { control.health_changed(changes); });
    if (checked) control.connect(engine);
    std::thread checks([&] { loop.run(); });
    control.start();
    const auto nothing = [] { return std::string(); };
    rest::Handler api = rest::make_api({control, registry, metrics, "bench", {}, {}, nothing, nothing});

    Client client(api, load.window);
    for (int i = 0; i < load.services; ++i) {
        client.put("/service/s" + std::to_string(i), R"({"address":"10.0.)" + std::to_string(i / 250) + "." +
                                                         std::to_string(1 + i % 250) + R"(","port":80})");
    }
    client.put("/service/s0/first", R"({"address":"10.200.0.1","port":80,"pulse":{"type":"none"}})");
    client.finish();

    std::atomic<bool> over{false};
    std::vector<double> waits;  // ms
    std::thread reader([&] {
        while (!over) {
            rest::Request request;
            request.method = "GET";
            request.path = "/service/s0/first";
            const auto begin = std::chrono::steady_clock::now();
            api(std::make_shared<const rest::Request>(std::move(request)), [](const rest::Response&) {});
            const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
            waits.push_back(took.count());
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
    });

    const double bytes = allocated(), cpu = cpu_us();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < load.backends; ++i) {
        client.put("/service/s" + std::to_string(i % load.services) + "/b" + std::to_string(i), body_of(i));
    }
    client.finish();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const double cpu_each = (cpu_us() - cpu) / load.backends;
    over = true;
    reader.join();
    std::ranges::sort(waits);
    const char* what = checked ? "with health checks" : "without checks";
    std::printf("%-20s %8.0f bytes a backend\n", what, (allocated() - bytes) / load.backends);
    std::printf("%-20s %8.1f us CPU a PUT\n", what, cpu_each);
    std::printf("%-20s %8.2f s for %d backends in %d services\n", what, took.count(), load.backends,
                load.services);
    std::printf("%-20s %8.2f ms for a GET meanwhile (99th of 100)\n", what, waits[waits.size() * 99 / 100]);
    std::fflush(stdout);

    control.stop();
    api = nullptr;
    loop.stop();
    checks.join();
}

}  // namespace
}  // namespace gorb::bench

int main(int argc, char** argv) {
    gorb::bench::Load load;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view name = argv[i];
        int* const of = name == "--services"   ? &load.services
                        : name == "--window"   ? &load.window
                        : name == "--backends" ? &load.backends
                                               : nullptr;
        if (!of || i + 1 == argc) {
            std::fprintf(stderr, "usage: bench_control [--backends N] [--services N] [--window N]\n");
            return 2;
        }
        *of = std::max(1, std::atoi(argv[i + 1]));
    }
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    gorb::bench::run(load, false);
    gorb::bench::run(load, true);
}
