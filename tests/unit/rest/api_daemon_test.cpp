// What the API says of the daemon: its driver, plugins, log, probes, metrics and contract.
#include <gmock/gmock.h>

#include "base/log.h"
#include "rest/openapi.h"
#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_daemon_test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(ApiTest, TheRootSaysLoudlyThatNoPacketsFlow) {
    const auto j = json(get("/"));
    EXPECT_EQ(j["name"], "gorb");
    EXPECT_EQ(j["version"], "1.2.3");
    EXPECT_EQ(j["driver"]["name"], "memory");
    EXPECT_EQ(j["driver"]["forwards"], false);
    ASSERT_TRUE(j.has("warning"));
    EXPECT_THAT(j["warning"].text(), HasSubstr("NO PACKETS FLOW"));
    bool wrr = false;
    for (const Json& name : j["schedulers"].elements()) wrr = wrr || name == "wrr";
    EXPECT_TRUE(wrr);
    for (const std::string& name : j["links"].members())
        EXPECT_EQ(get(j["links"][name.c_str()].text()).status, 200) << name;
}

TEST_F(ApiTest, PluginsAreListedWithTheirOptions) {
    const auto j = json(get("/plugins"));
    std::set<std::string> names;
    for (const Json& plugin : j["plugins"].elements()) {
        names.insert(plugin["name"].text());
        EXPECT_EQ(plugin["kind"], GORB_KIND_PULSE);
        EXPECT_NE(plugin["file"].text(), "");
        if (plugin["name"] != "http") continue;
        bool path = false;
        for (const Json& arg : plugin["args"].elements()) path = path || arg["name"] == "path";
        EXPECT_TRUE(path);
    }
    EXPECT_THAT(names, testing::IsSupersetOf({"http", "tcp"}));
    EXPECT_TRUE(j["refused"].is_array());
}

TEST_F(ApiTest, TheLogLevelIsSetUntilTheNextStart) {
    const auto before = base::log_level();
    EXPECT_EQ(call("PUT", "/log", R"({"level":"error"})").body, R"({"level":"error"})");
    EXPECT_EQ(base::log_level(), base::LogLevel::error);
    EXPECT_EQ(get("/log").body, R"({"level":"error"})");
    for (const char* body :
         {R"({"level":"loud"})", "{}", R"({"level":1})", R"({"level":"info","more":1})", "x"}) {
        EXPECT_EQ(call("PUT", "/log", body).status, 400) << body;
    }
    EXPECT_EQ(pointers(call("PUT", "/log", "{}")), "/level");
    EXPECT_EQ(base::log_level(), base::LogLevel::error);
    base::set_log_level(before);
}

TEST_F(ApiTest, ProbesAnswer503WithTheSentence) {
    EXPECT_EQ(get("/healthz").body, R"({"status":"ok"})");
    EXPECT_EQ(get("/readyz").status, 200);
    not_ready = "the kernel is still being asked";
    EXPECT_EQ(get("/readyz").status, 503);
    EXPECT_EQ(error(get("/readyz")), not_ready);
    EXPECT_EQ(get("/healthz").status, 200);
    not_healthy = "stuck";
    EXPECT_EQ(error(get("/healthz")), "stuck");
}

TEST_F(ApiTest, MetricsHaveUpstreamsNamesAndLabels) {
    world.answer("b2", health::failing());
    make_web(2);
    wait_for("/service/web?expand=backends", [](const Json& j) {
        return j["backends"].at(0)["weight"]["effective"] == 100 && j["backends"].at(1)["state"] == "down";
    });
    const auto id = metrics.counter("pulse_http", "requests", "Requests sent");
    metrics.add(id, 3);
    const auto page = get("/metrics");
    EXPECT_EQ(page.status, 200);
    EXPECT_THAT(page.content_type, testing::StartsWith("text/plain; version=0.0.4"));
    const std::string service = R"({name="web",host="10.0.0.1",port="80",protocol="tcp"} )";
    const auto backend = [](int n) {
        const auto i = std::to_string(n);
        return R"({service_name="web",name="b)" + i + R"(",host="10.1.0.)" + i + R"(",port="8080"} )";
    };
    for (const std::string& line : std::initializer_list<std::string>{
             "gorb_build_info{version=\"1.2.3\",driver=\"memory\"} 1\n", "gorb_driver_forwards 0\n",
             "gorb_service_backends" + service + "2\n", "gorb_service_health" + service + "0.5\n",
             "gorb_service_backend_status" + backend(1) + "0\n",
             "gorb_service_backend_status" + backend(2) + "1\n",
             "gorb_service_backend_health" + backend(1) + "1\n",
             "gorb_service_backend_health" + backend(2) + "0\n",
             "gorb_service_backend_weight" + backend(1) + "100\n",
             "gorb_service_backend_weight" + backend(2) + "0\n",
             "gorb_service_backend_configured_weight" + backend(2) + "100\n",
             "gorb_service_backend_uptime_seconds" + backend(2) + "0\n",
             "# TYPE gorb_service_health gauge\n"}) {
        EXPECT_THAT(page.body, HasSubstr(line));
    }
    EXPECT_THAT(page.body, HasSubstr("requests 3\n"));
    call("DELETE", "/service/web/b2");
    EXPECT_THAT(get("/metrics").body, Not(HasSubstr("\"b2\"")));
}

TEST_F(ApiTest, TheContractIsServed) {
    const auto r = get("/openapi.json");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.body, openapi_json());
}

}  // namespace
}  // namespace gorb::rest::api_daemon_test
