#include "whole.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>
#include <vector>

#include "../rest/load.h"
#include "base/log.h"
#include "control/control.h"
#include "health/engine.h"
#include "io/workers.h"
#include "ipvs/memory_driver.h"
#include "rest/api.h"
#include "rest/server.h"
#include "store/database.h"

namespace gorb::bench {
namespace {

constexpr int backends = 997;

template <class T>
T must(base::Result<T> result) {
    if (result) return std::move(*result);
    std::fprintf(stderr, "bench_store: %s\n", result.error().sentence.c_str());
    std::exit(1);
}

std::string path(int i) {
    return "/service/web/b" + std::to_string(i);
}

std::string document(int i, int weight) {
    std::string body = R"({"address":"10.1.)";
    body.append(std::to_string(i / 250)).append(".").append(std::to_string(1 + i % 250));
    body.append(R"(","port":8080,"weight":)").append(std::to_string(weight));
    return body.append(R"(,"pulse":{"type":"none","interval":"1h"}})");
}

}  // namespace

struct Whole::Parts {
    plugin::Registry registry;
    plugin::Metrics metrics;
    io::Loop loop{"checks"};
    io::Workers workers{2, 64};
    std::unique_ptr<control::Control> control;
    std::unique_ptr<health::Engine> engine;
    std::unique_ptr<rest::Server> server;
    rest::Handler api;
    std::thread checks;

    void put(const std::string& target, const std::string& body) {
        rest::Request request;
        request.method = "PUT";
        request.path = target;
        request.body = body;
        std::promise<rest::Response> answer;
        api(std::make_shared<const rest::Request>(std::move(request)),
            [&answer](rest::Response response) { answer.set_value(std::move(response)); });
        if (const auto got = answer.get_future().get(); got.status != 200) {
            std::fprintf(stderr, "bench_store: %s\n", got.body.c_str());
            std::exit(1);
        }
    }
};

Whole::Whole(const std::filesystem::path& folder) : parts_(std::make_unique<Parts>()) {
    Parts& p = *parts_;
    base::set_log_level(base::LogLevel::warning);
    p.registry.load({GORB_PLUGINS});
    p.control =
        std::make_unique<control::Control>(std::make_unique<ipvs::MemoryDriver>(), nullptr, p.registry,
                                           control::Options{}, must(store::open_database(folder)));
    p.engine = std::make_unique<health::Engine>(
        p.registry, p.metrics, std::vector<io::Loop*>{&p.loop}, p.workers,
        [control = p.control.get()](std::span<const health::Changed> changes) {
            control->health_changed(changes);
        });
    p.control->connect(*p.engine);
    p.checks = std::thread([&p] { p.loop.run(); });
    if (auto started = p.control->start(); !started) std::exit(1);
    const auto nothing = [] { return std::string(); };
    p.api = rest::make_api({*p.control, p.registry, p.metrics, "bench", {}, {}, nothing, nothing});
    p.put("/service/web", R"({"address":"10.0.0.1","port":80})");
    for (int i = 0; i < backends; ++i) p.put(path(i), document(i, 100));
    p.server = must(rest::Server::listen({*base::Ip::parse("127.0.0.1"), 0}, {}, p.api));
    control::Control& control = *p.control;
    p.server->between_requests([&control] { control.helps(); },
                               {[&control] { return control.own(); }, [&control] { control.help(); }});
    p.server->start();
}

double Whole::puts(int writers, double seconds) {
    return puts(parts_->server->address().port, writers, seconds);
}

double Whole::puts(uint16_t port, int writers, double seconds) {
    Load load;
    load.port = port;
    load.server = getpid();
    load.connections = writers;
    load.seconds = seconds;
    // Another backend each time, and another weight whenever it is its turn again.
    for (int weight = 1; weight <= 2; ++weight) {
        for (int i = 0; i < backends; ++i)
            load.requests.push_back(request("PUT", path(i), document(i, weight), "If-Match: *\r\n"));
    }
    const Figures figures = run(load);
    if (figures.failures > 0) {
        std::fprintf(stderr, "bench_store: %llu PUTs failed\n",
                     static_cast<unsigned long long>(figures.failures));
        std::exit(1);
    }
    return static_cast<double>(figures.answers) / figures.seconds;
}

std::string Whole::answer_like() {
    constexpr size_t length = 968;  // of gorb's answer to one of these requests, by strace
    std::string answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
    const size_t body = length - answer.size() - std::string_view("000\r\n\r\n").size();
    return answer.append(std::to_string(body)).append("\r\n\r\n").append(body, ' ');
}

Whole::~Whole() {
    Parts& p = *parts_;
    p.server->stop();
    p.control->stop();
    p.api = nullptr;
    p.loop.stop();
    p.checks.join();
    p.server.reset();
    p.engine.reset();
}

}  // namespace gorb::bench
