// The desired state as one document: what PUT /config makes of it, what POST /plan says beforehand.
#include <gmock/gmock.h>

#include <cerrno>
#include <mutex>

#include "unit/rest/api_kernel_fixture.h"

namespace gorb::rest::api_config_test {
namespace {

using testing::HasSubstr;

constexpr const char* pulse = R"("pulse":{"type":"tcp","interval":"10ms","rise":1,"fall":1})";

std::string backend(int n, const std::string& more = "") {
    const std::string i = std::to_string(n);
    return "\"b" + i + R"(":{"address":"10.1.0.)" + i + R"(","port":8080,)" + more + pulse + "}";
}
// web with these backends.
std::string web(const std::string& backends, const std::string& more = "") {
    return R"({"services":{"web":{"address":"10.0.0.1","port":80)" + more + R"(,"backends":{)" + backends +
           "}}}}";
}
std::string web_of(int count) {
    std::string backends;
    for (int n = 1; n <= count; ++n) backends += (n > 1 ? "," : "") + backend(n);
    return web(backends);
}

struct ConfigTest : KernelTest {
    using KernelTest::KernelTest;

    static std::vector<int> counts(const Response& response) {
        const Json j = json(response);
        std::vector<int> out;
        for (const char* name : {"added", "changed", "removed"})
            out.push_back(static_cast<int>(j[name].number()));
        return out;
    }
    static std::set<std::string> objects(const Response& plan) {
        std::set<std::string> out;
        const Json j = json(plan);
        for (const Json& object : j["objects"].elements()) {
            out.insert(object["action"].text() + " " + object["service"].text() +
                       (object.has("backend") ? "/" + object["backend"].text() : ""));
        }
        return out;
    }
};
using Counts = std::vector<int>;

TEST_F(ConfigTest, WhatGetGivesPutTakesBackAndNothingChanges) {
    make_web_up(2);
    call("PATCH", "/service/web", R"({"persistent":true,"quorum":2,"slow-start":"5s","max-down":"50%"})");
    call("PATCH", "/service/web/b1", R"({"admin":"drain","drain-timeout":"1h"})");
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["effective"] == 0; });
    const auto got = get("/config");
    ASSERT_EQ(got.status, 200);
    const auto ops = driver->ops();
    const auto put = call("PUT", "/config", got.body, "\"" + got.etag + "\"");
    ASSERT_EQ(put.status, 200) << put.body;
    EXPECT_EQ(counts(put), (Counts{0, 0, 0}));
    EXPECT_EQ(put.etag, got.etag);
    EXPECT_EQ(get("/config").body, got.body);
    EXPECT_EQ(driver->ops(), ops);
}

TEST_F(ConfigTest, APutConfigurationMakesTheDifferenceAndNoMore) {
    make_web_up(3);
    const auto kept = get("/service/web/b1").etag;
    const auto put =
        call("PUT", "/config",
             R"({"services":{"dns":{"address":"10.0.0.2","port":53,"protocol":"udp"},)" +
                 web(backend(1) + "," + backend(2, R"("weight":7,)") + "," + backend(4), R"(,"method":"wlc")")
                     .substr(13));
    ASSERT_EQ(put.status, 200) << put.body;
    EXPECT_EQ(counts(put), (Counts{2, 2, 1}));
    EXPECT_EQ(json(put)["refused"], 0);
    EXPECT_EQ(put.etag, json(put)["etag"].text());
    EXPECT_EQ(put.etag, get("/config").etag);
    EXPECT_EQ(get("/service").body, R"(["dns","web"])");
    EXPECT_EQ(get("/service/web/b1").etag, kept);
    EXPECT_EQ(get("/service/web/b3").status, 404);
    EXPECT_FALSE(dest("10.0.0.1:80", "10.1.0.3:8080"));
    EXPECT_EQ(service("10.0.0.1:80")->scheduler, "wlc");
    EXPECT_TRUE(driver->service(key_of("10.0.0.2:53", model::Protocol::udp)).value());
    for (const char* name : {"b2", "b4"}) {
        wait_for("/service/web/" + std::string(name),
                 [&](const Json& j) { return j["weight"]["effective"] == j["options"]["weight"]; });
    }
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 100U);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.2:8080")->weight, 7U);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.4:8080")->weight, 100U);
}

TEST_F(ConfigTest, AnOldIfMatchIs412AndChangesNothing) {
    make_web();
    const auto old = get("/config").etag;
    ASSERT_EQ(call("PUT", "/service/other", R"({"address":"10.0.0.2","port":80})").status, 200);
    const auto now = get("/config");
    EXPECT_NE(now.etag, old);
    const auto put = call("PUT", "/config", R"({"services":{}})", "\"" + old + "\"");
    EXPECT_EQ(put.status, 412);
    EXPECT_THAT(error(put), HasSubstr(now.etag));
    EXPECT_EQ(get("/config").body, now.body);
    EXPECT_EQ(call("PUT", "/config", R"({"services":{}})", "\"a\" \"b\"").status, 400);
    EXPECT_EQ(get("/config").body, now.body);
    EXPECT_EQ(call("PUT", "/config", R"({"services":{}})", "\"" + now.etag + "\"").status, 200);
    EXPECT_EQ(get("/service").body, "[]");
    EXPECT_FALSE(service("10.0.0.1:80"));
}

TEST_F(ConfigTest, APlanChangesNothingAndIsWhatPutThenDoes) {
    make_web_up(2);
    const std::string wanted = web(backend(2, R"("weight":7,)") + "," + backend(3), R"(,"method":"wlc")");
    const auto before = get("/config");
    const auto ops = driver->ops();
    const auto plan = call("POST", "/plan", wanted);
    ASSERT_EQ(plan.status, 200) << plan.body;
    EXPECT_EQ(counts(plan), (Counts{1, 2, 1}));
    EXPECT_EQ(objects(plan),
              (std::set<std::string>{"add web/b3", "edit web", "edit web/b2", "remove web/b1"}));
    EXPECT_EQ(json(plan)["guard"], "");
    EXPECT_EQ(get("/config").body, before.body);
    EXPECT_EQ(get("/config").etag, before.etag);
    EXPECT_EQ(driver->ops(), ops);

    // Only what the change itself does: what checks make of it comes later.
    world.answer("b3", std::nullopt);
    std::mutex mutex;
    std::vector<std::string> done;
    driver->set_hook([&](const ipvs::Op& op, uint64_t) {
        const std::lock_guard lock(mutex);
        done.push_back(op.text());
        return 0;
    });
    const auto put = call("PUT", "/config", wanted);
    driver->set_hook({});
    EXPECT_EQ(counts(put), counts(plan));
    std::vector<std::string> planned;
    const Json said = json(plan);
    for (const Json& operation : said["operations"].elements())
        planned.push_back(operation.text().substr(0, operation.text().find(": ")));
    EXPECT_EQ(planned.size(), 4U);
    EXPECT_EQ(done, planned);
    EXPECT_EQ(counts(call("POST", "/plan", wanted)), (Counts{0, 0, 0}));
}

TEST_F(ConfigTest, MostIsRemovedByForceOnly) {
    ASSERT_EQ(call("PUT", "/config", web_of(30)).status, 200);
    const auto before = get("/config").body;
    const auto plan = call("POST", "/plan", web_of(5));
    ASSERT_EQ(plan.status, 200) << plan.body;
    EXPECT_EQ(json(plan)["removed"], 25);
    const auto put = call("PUT", "/config", web_of(5));
    EXPECT_EQ(put.status, 409);
    EXPECT_THAT(error(put), HasSubstr("would remove 25 of the 31 entries"));
    EXPECT_EQ(json(plan)["guard"].text(), error(put));
    EXPECT_EQ(call("PUT", "/config?force=false", web_of(5)).status, 409);
    EXPECT_EQ(get("/config").body, before);
    EXPECT_EQ(driver->dests(key_of("10.0.0.1:80"))->size(), 30U);
    EXPECT_THAT(get("/events").body, HasSubstr("would remove 25 of the 31 entries"));

    const auto forced = call("PUT", "/config?force=true", web_of(5));
    ASSERT_EQ(forced.status, 200) << forced.body;
    EXPECT_EQ(json(forced)["removed"], 25);
    EXPECT_EQ(driver->dests(key_of("10.0.0.1:80"))->size(), 5U);
}

TEST_F(ConfigTest, WhatGetsAnotherAddressIsRemovedFromWhereItWas) {
    ASSERT_EQ(call("PUT", "/config", web_of(30)).status, 200);
    const auto with = [](const std::string& from, const std::string& to) {
        std::string body = web_of(30);
        for (size_t at = 0; (at = body.find(from, at)) != std::string::npos; at += to.size())
            body.replace(at, from.size(), to);
        return body;
    };
    for (const std::string& other : {with("\"10.1.0.", "\"10.2.0."), with("\"10.0.0.1\"", "\"10.0.0.2\"")}) {
        const auto put = call("PUT", "/config", other);
        EXPECT_EQ(put.status, 409) << put.body;
        EXPECT_THAT(error(put), HasSubstr("of the 31 entries"));
        EXPECT_EQ(json(call("POST", "/plan", other))["guard"].text(), error(put));
        EXPECT_EQ(driver->dests(key_of("10.0.0.1:80"))->size(), 30U);
        EXPECT_EQ(call("PUT", "/config?force=true", other).status, 200);
        EXPECT_EQ(call("PUT", "/config?force=true", web_of(30)).status, 200);
    }
}

TEST_F(ConfigTest, FaultsAreNamedAndNothingChanges) {
    make_web();
    const auto before = get("/config").body;
    const auto ops = driver->ops();
    const std::vector<std::pair<std::string, std::string>> cases{
        {"{}", "/services"},
        {R"({"services":[]})", "/services"},
        {R"({"services":{},"colour":1})", "/colour"},
        {R"({"services":{"a b":{"address":"10.0.0.1","port":80}}})", "/services/a b"},
        {R"({"services":{"web":{"address":"here","port":-1,"colour":1}}})",
         "/services/web/address /services/web/colour /services/web/port"},
        {web(R"("b1":{"address":"10.1.0.1","port":80,"weight":65536})"), "/services/web/backends/b1/weight"},
        {web(R"("b1":{"address":"10.1.0.1","port":80,"pulse":{"type":"none","colour":1}})"),
         "/services/web/backends/b1/pulse/args/colour"},
    };
    for (const auto& [body, where] : cases) {
        for (const auto& [method, path] : {std::pair{"PUT", "/config"}, std::pair{"POST", "/plan"}}) {
            const auto reply = call(method, path, body);
            EXPECT_EQ(reply.status, 400) << path << " " << body;
            std::string got = pointers(reply);
            std::vector<std::string> sorted;
            for (size_t at = 0; at < got.size();) {
                const size_t end = std::min(got.find(" /", at), got.size());
                sorted.push_back(got.substr(at, end - at));
                at = end + 1;
            }
            std::ranges::sort(sorted);
            got.clear();
            for (const std::string& one : sorted) got += (got.empty() ? "" : " ") + one;
            EXPECT_EQ(got, where) << path << " " << reply.body;
        }
    }
    for (const char* body : {"", "x", "[]", "{\"services\":{}"}) {
        EXPECT_EQ(call("PUT", "/config", body).status, 400) << body;
        EXPECT_EQ(call("POST", "/plan", body).status, 400) << body;
    }
    const std::string good = R"({"services":{}})";
    for (const char* target :
         {"/config?force=yes", "/config?force", "/config?adopt=true", "/config?drain=1s"})
        EXPECT_EQ(call("PUT", target, good).status, 400) << target;
    EXPECT_EQ(call("POST", "/plan?force=true", good).status, 400);
    EXPECT_EQ(get("/config?expand=services").status, 400);
    EXPECT_EQ(get("/config").body, before);
    EXPECT_EQ(driver->ops(), ops);
}

TEST_F(ConfigTest, WhatTheKernelRefusesIsShownAndTriedAgain) {
    const auto other = key_of("10.0.0.2:80");
    driver->set_hook([&](const ipvs::Op& op, uint64_t) { return op.service.key == other ? ENOMEM : 0; });
    const auto put = call("PUT", "/config",
                          R"({"services":{"web":{"address":"10.0.0.1","port":80},)"
                          R"("other":{"address":"10.0.0.2","port":80}}})");
    ASSERT_EQ(put.status, 200) << put.body;
    EXPECT_EQ(json(put)["refused"], 1);
    EXPECT_TRUE(service("10.0.0.1:80"));
    EXPECT_EQ(json(get("/service/web"))["applied"], true);
    const Json shown = json(get("/service/other"));
    EXPECT_EQ(shown["applied"], false);
    EXPECT_THAT(shown["refusal"].text(), HasSubstr("10.0.0.2:80"));
    EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_services_not_applied 1\n"));
    driver->set_hook({});
    wait_for("/service/other", [](const Json& j) { return j["applied"] == true && !j.has("refusal"); });
    EXPECT_TRUE(service("10.0.0.2:80"));
    EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_services_not_applied 0\n"));
    EXPECT_THAT(get("/events").body, HasSubstr("made at attempt "));
}

TEST_F(ConfigTest, WhatTheKernelDoesNotHaveIsDownWhoeverIsUp) {
    driver->set_hook([](const ipvs::Op& op, uint64_t) {
        return op.kind == ipvs::Op::Kind::add_service || op.service.scheduler == "lc" ? ENOENT : 0;
    });
    ASSERT_GT(json(call("PUT", "/config", web(backend(1))))["refused"].number(), 0);
    wait_for("/service/web/b1", [](const Json& j) { return j["state"] == "up"; });
    const auto ready = [](const Json& j) { return j["pool"]["primaries_up"] == 1; };
    Json shown = json(wait_for("/service/web", ready));
    EXPECT_EQ(shown["state"], "down");
    EXPECT_EQ(shown["because"].text(), "the kernel does not have it: " + shown["refusal"].text());
    EXPECT_EQ(json(get("/service?expand=services")).at(0)["state"], "down");
    const auto state_of = [&] {
        const std::string page = get("/metrics").body;
        const size_t at = page.find("} ", page.find("\ngorb_service_state{"));
        return page.substr(at + 2, 1);
    };
    EXPECT_EQ(state_of(), "2");
    driver->set_hook([](const ipvs::Op& op, uint64_t) { return op.service.scheduler == "lc" ? ENOENT : 0; });
    shown = json(wait_for("/service/web", [](const Json& j) { return j["applied"] == true; }));
    EXPECT_EQ(shown["state"], "up");
    EXPECT_EQ(state_of(), "0");
    // An edit that is refused leaves what was there, which serves.
    EXPECT_GT(json(call("PUT", "/config", web(backend(1), R"(,"method":"lc")")))["refused"].number(), 0);
    shown = json(get("/service/web"));
    EXPECT_EQ(shown["applied"], false);
    EXPECT_EQ(shown["state"], "up");
}

TEST_F(ConfigTest, TheMetricsCountBackendsOfWhichTheKernelRefusesTheWeight) {
    make_web(2);
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["effective"] == 100; });
    driver->set_hook([](const ipvs::Op& op, uint64_t) { return op.dest.weight == 7 ? ENOMEM : 0; });
    world.answer("b1", health::failing());
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["effective"] == 0; });
    ASSERT_EQ(call("PATCH", "/service/web/b1", R"({"weight":7})").status, 200);
    world.answer("b1", health::passing());
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["applied"] == false; });
    EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_backends_not_applied 1\n"));
    driver->set_hook({});
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["effective"] == 7; });
    EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_backends_not_applied 0\n"));
}

// What a file does not say goes when it is applied next, so the answer says where to say it as well.
TEST_F(ConfigTest, AChangeOfWhatADeclarativeFileHasSaysThatItIsAsTheFileSays) {
    const std::string files =
        R"({"web":{"address":"10.0.0.1","port":80,"backends":{"b1":{"address":"10.1.0.1","port":80}}}})";
    const auto says = [](const Response& response) {
        EXPECT_EQ(response.status, 200) << response.body;
        const Json j = json(response);
        return j.has("note") && j["note"].text().find("change it there, too") != std::string::npos;
    };
    declare_files(files);
    EXPECT_TRUE(says(call("PUT", "/service/web/b2", R"({"address":"10.1.0.2","port":80})")));
    EXPECT_TRUE(says(call("PATCH", "/service/web/b1", R"({"weight":7})")));
    EXPECT_TRUE(says(call("PATCH", "/service/web", R"({"quorum":2})")));
    EXPECT_TRUE(says(call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80,"method":"rr"})", "*")));
    for (const char* path : {"/service/web", "/service/web/b1"}) EXPECT_FALSE(json(get(path)).has("note"));
    declare_files(files);
    EXPECT_EQ(get("/service/web/b2").status, 404);
    EXPECT_EQ(json(get("/service/web/b1"))["options"]["weight"], 100);
    // Not of what is of no file.
    EXPECT_FALSE(says(call("PUT", "/service/other", R"({"address":"10.0.0.2","port":80})")));
    EXPECT_FALSE(says(call("PUT", "/service/other/b1", R"({"address":"10.1.0.2","port":80})")));
}

// However the two meet. The one behind it is not begun any more.
TEST_F(ConfigTest, WhatIsReadWhileTheApiEndsIsAnsweredAllTheSame) {
    std::promise<void> reading, ending;
    Context context{*control, registry, metrics, "1.2.3", {}, {}, {}, {}};
    context.default_address = [&]() -> std::optional<base::Ip> {  // asked by the worker, which reads it
        reading.set_value();
        ending.get_future().wait();
        std::this_thread::sleep_for(std::chrono::milliseconds(200));  // it has begun to end by then
        return std::nullopt;
    };
    Handler own = make_api(context);
    std::promise<Response> put, get;
    const auto ask = [&own](const std::string& method, const std::string& body, std::promise<Response>& to) {
        auto request = std::make_shared<Request>();
        request->method = method;
        request->path = "/config";
        request->body = body;
        own(request, [&to](Response response) { to.set_value(std::move(response)); });
    };
    testing::internal::CaptureStderr();
    ask("PUT", web_of(3), put);
    ask("GET", "", get);
    reading.get_future().wait();
    ending.set_value();
    own = nullptr;
    for (std::promise<Response>* answer : {&put, &get})
        EXPECT_THAT(answer->get_future().get().status, testing::AnyOf(200, 503));
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::Not(HasSubstr("exception")));
}

TEST_F(ConfigTest, OnlyWholeConfigurationsMayBeLarge) {
    for (const Route& route : api_routes()) {
        EXPECT_EQ(takes_large_body(route.method, route.pattern),
                  route.operation == "putConfig" || route.operation == "postPlan")
            << route.operation;
    }
}

}  // namespace
}  // namespace gorb::rest::api_config_test
