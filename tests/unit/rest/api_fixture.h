// The API on a real control, table in memory, health engine and pulse plugins; what checks come to, the test
// says. Every answer is judged by openapi.json on its way.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "control/control.h"
#include "health/engine.h"
#include "ipvs/memory_driver.h"
#include "rest/api.h"
#include "unit/health/fake_checker.h"
#include "unit/rest/json_value.h"
#include "unit/rest/openapi_check.h"

namespace gorb::rest {

struct ApiTest : testing::Test {
    ipvs::MemoryDriver* driver = nullptr;  // owned by the control
    plugin::Registry registry;
    plugin::Metrics metrics;
    health::FakeWorld world;
    std::unique_ptr<io::Loop> checks;
    std::unique_ptr<control::Control> control;
    std::unique_ptr<health::Engine> engine;
    std::thread thread;
    Handler api;
    std::optional<base::Ip> default_address;
    std::string not_ready, not_healthy;
    const OpenApi& contract = judge();
    const Router router{api_routes()};

    static const OpenApi& judge() {
        static const OpenApi one;
        return one;
    }

    ApiTest() : ApiTest({}, nullptr) {}
    ApiTest(const control::Options& options, std::unique_ptr<store::Database> database) {
        registry.load({GORB_PLUGINS});
        start(options, std::move(database));
    }
    ~ApiTest() override { stop(); }

    // With an empty table.
    void start(const control::Options& options, std::unique_ptr<store::Database> database) {
        driver = new ipvs::MemoryDriver;
        control = std::make_unique<control::Control>(std::unique_ptr<ipvs::Driver>(driver), nullptr, registry,
                                                     options, std::move(database));
        checks = std::make_unique<io::Loop>("checks");
        engine = std::make_unique<health::Engine>(
            world.maker(), std::vector<io::Loop*>{checks.get()},
            [this](std::span<const health::Changed> changes) { control->health_changed(changes); });
        control->connect(*engine);
        thread = std::thread([loop = checks.get()] { loop->run(); });
        const auto started = control->start();
        EXPECT_TRUE(started) << (started ? "" : started.error().sentence);
        api = make_api({*control,
                        registry,
                        metrics,
                        "1.2.3",
                        [this] { return reconcile::read_table(*driver); },
                        [this] { return default_address; },
                        [this] { return not_ready; },
                        [this] { return not_healthy; },
                        {"https://ops.example"}});
    }
    void stop() {
        control->stop();
        api = nullptr;
        checks->stop();
        thread.join();
        engine.reset();
        control.reset();
    }

    Response send(Request request) {
        auto promise = std::make_shared<std::promise<Response>>();
        auto future = promise->get_future();
        request.peer = "127.0.0.1:1";
        const auto target = router.find(request.method, request.path);
        const std::string body = request.body;
        api(std::make_shared<const Request>(std::move(request)),
            [promise](Response r) { promise->set_value(std::move(r)); });
        if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
            ADD_FAILURE() << "no answer";
            return {};
        }
        Response response = future.get();
        if (const auto* found = std::get_if<Router::Found>(&target)) {
            const std::string operation(router.route(found->route).operation);
            EXPECT_EQ(contract.wrong_with(operation, response), "");
            if (response.status < 300 && !body.empty()) {
                EXPECT_EQ(contract.wrong_with_body(operation, body), "");
            }
        }
        return response;
    }
    // `target` with its query.
    Response call(const std::string& method, const std::string& target, const std::string& body = "",
                  const std::string& if_match = "") {
        const auto mark = target.find('?');
        Request r;
        r.method = method;
        r.path = target.substr(0, mark);
        r.query = mark == std::string::npos ? "" : target.substr(mark + 1);
        r.if_match = if_match;
        r.body = body;
        return send(std::move(r));
    }
    Response get(const std::string& target) { return call("GET", target); }

    static Json json(const Response& response) { return Json(response.body); }
    static std::string error(const Response& response) {
        const Json document = json(response);
        return document.has("error") ? document["error"].text() : "";
    }
    // "/port /weight": where the faults are.
    static std::string pointers(const Response& response) {
        const Json document = json(response);
        std::string out;
        if (!document.has("fields")) return out;
        for (const Json& field : document["fields"].elements())
            out += (out.empty() ? "" : " ") + field["pointer"].text();
        return out;
    }
    // Asks until `fits` says yes, at most 20 s.
    Response wait_for(const std::string& target, const std::function<bool(const Json&)>& fits) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        Response last;
        while (std::chrono::steady_clock::now() < end) {
            last = get(target);
            if (fits(json(last))) return last;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        ADD_FAILURE() << target << " never became so: " << last.body;
        return last;
    }

    // A service "web" on 10.0.0.1:80 with backends b1 .. bN on 10.1.0.N:8080.
    void make_web(int backends = 0,
                  const std::string& pulse = R"({"type":"tcp","interval":"10ms","rise":1,"fall":1})") {
        ASSERT_EQ(call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80})").status, 200);
        for (int n = 1; n <= backends; ++n) {
            std::string body =
                R"({"address":"10.1.)" + std::to_string(n / 250) + "." + std::to_string(n % 250);
            body.append(R"(","port":8080,"pulse":)").append(pulse).append("}");
            const auto put = call("PUT", "/service/web/b" + std::to_string(n), body);
            ASSERT_EQ(put.status, 200) << put.body;
        }
    }
};

}  // namespace gorb::rest
