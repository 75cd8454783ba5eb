#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>

#include "base/log.h"
#include "control/control.h"
#include "health/engine.h"
#include "io/workers.h"
#include "ipvs/memory_driver.h"
#include "rest/api.h"
#include "rest/server.h"
#include "servers.h"
#include "store/database.h"

namespace gorb::bench {
namespace {

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "bench_rest: %s\n", why.c_str());
    std::exit(1);
}

// The API called directly, to fill the table.
class Filler {
  public:
    explicit Filler(const rest::Handler& api) : api_(api) {}

    void put(const std::string& path, const std::string& body) {
        rest::Request request;
        request.method = "PUT";
        request.path = path;
        request.body = body;
        answers_.emplace_back();
        auto answer = std::make_shared<std::promise<rest::Response>>();
        answers_.back() = answer->get_future();
        api_(std::make_shared<const rest::Request>(std::move(request)),
             [answer](rest::Response response) { answer->set_value(std::move(response)); });
    }
    void finish() {
        for (auto& answer : answers_) {
            const rest::Response response = answer.get();
            if (response.status != 200) die("the table cannot be filled: " + response.body);
        }
        answers_.clear();
    }

  private:
    const rest::Handler& api_;
    std::vector<std::future<rest::Response>> answers_;
};

}  // namespace

void serve_gorb(int many, const std::string& store, const Ready& ready, const Stop& stop) {
    base::set_log_level(base::LogLevel::warning);
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    plugin::Metrics metrics;
    io::Loop loop("checks");
    io::Workers workers(2, 64);
    std::unique_ptr<store::Database> database;
    if (!store.empty()) {
        auto opened = store::open_database(store);
        if (!opened) die(opened.error().sentence);
        database = std::move(*opened);
    }
    control::Control control(std::make_unique<ipvs::MemoryDriver>(), nullptr, registry, {},
                             std::move(database));
    health::Engine engine(registry, metrics, {&loop}, workers,
                          [&](std::span<const health::Changed> changes) { control.health_changed(changes); });
    control.connect(engine);
    std::thread checks([&] { loop.run(); });
    control.start();
    const auto nothing = [] { return std::string(); };
    rest::Handler api = rest::make_api({control, registry, metrics, "bench", {}, {}, nothing, nothing});

    Filler filler(api);
    // Checked once an hour, so that nothing but requests is measured.
    const std::string pulse = R"(,"pulse":{"type":"none","interval":"1h"}})";
    filler.put("/service/one", R"({"address":"10.0.0.1","port":80,"protocol":"tcp","method":"wrr"})");
    filler.put("/service/many", R"({"address":"10.0.0.2","port":80,"protocol":"tcp","method":"wrr"})");
    filler.finish();
    filler.put("/service/one/b", R"({"address":"10.1.0.1","port":8080,"method":"nat","weight":100)" + pulse);
    for (int i = 0; i < many; ++i) {
        std::string body = R"({"address":"10.2.)";
        body.append(std::to_string(i / 250)).append(".").append(std::to_string(1 + i % 250));
        body.append(R"(","port":8080,"method":"nat","weight":100)").append(pulse);
        filler.put("/service/many/b" + std::to_string(i), body);
    }
    filler.finish();

    auto server = rest::Server::listen({*base::Ip::parse("127.0.0.1"), 0}, {}, api);
    if (!server) die(server.error().sentence);
    (*server)->start();
    ready((*server)->address().port);
    stop();
    (*server)->stop();
    control.stop();
    api = nullptr;
    loop.stop();
    checks.join();
}

}  // namespace gorb::bench
