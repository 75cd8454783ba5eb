// Services and backends over the API: what is put is in the kernel's table and is shown as it is.
#include <gmock/gmock.h>

#include "reconcile/records.h"
#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_test {
namespace {

using testing::HasSubstr;

ipvs::ServiceKey key(const std::string& vip) {
    return reconcile::kernel_key({model::Protocol::tcp, *base::Endpoint::parse(vip)});
}

TEST_F(ApiTest, APutServiceIsInTheKernelAndShownAsGetShowsIt) {
    const auto put =
        call("PUT", "/service/web", R"({"host":"10.0.0.1","port":80,"method":"wlc","persistent":true})");
    ASSERT_EQ(put.status, 200) << put.body;
    const auto got = get("/service/web");
    EXPECT_EQ(put.body, got.body);
    EXPECT_EQ(put.etag, got.etag);
    const auto j = json(got);
    EXPECT_EQ(j["name"], "web");
    EXPECT_EQ(got.etag, j["etag"].text());
    EXPECT_EQ(j["options"]["host"], "10.0.0.1");
    EXPECT_EQ(j["options"]["port"], 80);
    EXPECT_EQ(j["options"]["protocol"], "tcp");
    EXPECT_EQ(j["options"]["method"], "wlc");
    EXPECT_EQ(j["options"]["persistent"], true);
    EXPECT_EQ(j["backends"].size(), 0U);
    EXPECT_EQ(j["health"].number(), 1.0);
    const auto record = driver->service(key("10.0.0.1:80"));
    ASSERT_TRUE(record && *record);
    EXPECT_EQ((*record)->scheduler, "wlc");
    EXPECT_EQ((*record)->timeout_s, model::default_persistence_s);
}

TEST_F(ApiTest, ThePresentContentAgainIs200AndChangesNothing) {
    make_web(1);
    const auto before = get("/service/web").etag;
    const auto backend = get("/service/web/b1").etag;
    const auto ops = driver->ops();
    EXPECT_EQ(call("PUT", "/service/web", R"({"port":80,"host":"10.0.0.1","method":"wrr"})").status, 200);
    EXPECT_EQ(call("PUT", "/service/web/b1",
                   R"({"host":"10.1.0.1","port":8080,"pulse":{"interval":"10ms","rise":1,"fall":1}})")
                  .status,
              200);
    EXPECT_EQ(get("/service/web").etag, before);
    EXPECT_EQ(get("/service/web/b1").etag, backend);
    // The checks may have set the weight meanwhile, but nothing was made anew.
    EXPECT_LE(driver->ops(), ops + 1);
}

TEST_F(ApiTest, OtherContentIs409UnlessIfMatchNamesTheETag) {
    make_web();
    const std::string other = R"({"address":"10.0.0.1","port":80,"method":"rr"})";
    const auto conflict = call("PUT", "/service/web", other);
    EXPECT_EQ(conflict.status, 409);
    EXPECT_THAT(error(conflict), HasSubstr("specified object already exists"));
    EXPECT_THAT(error(conflict), HasSubstr("If-Match"));

    EXPECT_EQ(call("PUT", "/service/web", other, "\"stale\"").status, 412);
    const std::string tag = get("/service/web").etag;
    const auto weak = call("PUT", "/service/web", other, "W/\"" + tag + "\"");
    EXPECT_EQ(weak.status, 412);
    EXPECT_THAT(error(weak), HasSubstr("weak")) << "it has not changed";
    const auto replaced = call("PUT", "/service/web", other, "\"" + tag + "\"");
    EXPECT_EQ(replaced.status, 200);
    EXPECT_NE(replaced.etag, tag);
    EXPECT_EQ(json(replaced)["options"]["method"], "rr");
    EXPECT_EQ(call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80,"method":"lc"})", "*").status,
              200);
    EXPECT_EQ(call("PUT", "/service/new", R"({"address":"10.0.0.2","port":80})", "*").status, 412);
    EXPECT_EQ(call("PUT", "/service/web", other, "\"a\" \"b\"").status, 400);
}

TEST_F(ApiTest, PatchChangesInPlace) {
    make_web(1);
    const auto patched = call("PATCH", "/service/web", R"({"method":"sh","flags":"sh-port"})");
    ASSERT_EQ(patched.status, 200) << patched.body;
    EXPECT_EQ(json(patched)["options"]["flags"], "sh-port");
    const auto b = call("PATCH", "/service/web/b1", R"({"weight":7})");
    ASSERT_EQ(b.status, 200) << b.body;
    EXPECT_EQ(json(b)["options"]["weight"], 7);
    EXPECT_EQ(json(b)["weight"]["configured"], 7);
    EXPECT_EQ(b.etag, get("/service/web/b1").etag);

    const auto refused = call("PATCH", "/service/web", R"({"port":81})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(pointers(refused), "/port");
    EXPECT_EQ(call("PATCH", "/service/none", R"({"method":"rr"})").status, 404);
    EXPECT_EQ(call("PATCH", "/service/web/none", R"({"weight":1})").status, 404);
    EXPECT_EQ(call("PATCH", "/service/web/b1", R"({"weight":1})", "\"stale\"").status, 412);
}

TEST_F(ApiTest, DeleteShowsTheObjectAsItWasAndThenItIsGone) {
    make_web(2);
    wait_for("/service/web/b1",
             [](const Json& j) { return j["state"] == "up" && j["weight"]["effective"] == 100; });
    const auto b = call("DELETE", "/service/web/b1");
    EXPECT_EQ(b.status, 200);
    EXPECT_EQ(json(b)["name"], "b1");
    EXPECT_EQ(json(b)["state"], "up");
    EXPECT_EQ(json(b)["weight"]["effective"], 100);
    EXPECT_EQ(b.etag, "");
    EXPECT_EQ(get("/service/web/b1").status, 404);
    EXPECT_EQ(driver->dests(key("10.0.0.1:80"))->size(), 1U);

    const Response was = get("/service/web");
    ASSERT_EQ(json(was)["state"], "up");
    const auto s = call("DELETE", "/service/web");
    EXPECT_EQ(s.status, 200);
    EXPECT_EQ(s.body, was.body);
    EXPECT_EQ(json(s)["backends"].size(), 1U);
    EXPECT_EQ(get("/service/web").status, 404);
    EXPECT_EQ(get("/service/web/b2").status, 404);
    EXPECT_TRUE(driver->services()->empty());
    EXPECT_EQ(call("DELETE", "/service/web").status, 404);
    EXPECT_EQ(call("DELETE", "/service/web/b2").status, 404);
}

TEST_F(ApiTest, DeleteWithAStaleTagDeletesNothing) {
    make_web(1);
    EXPECT_EQ(call("DELETE", "/service/web/b1", "", "\"stale\"").status, 412);
    EXPECT_EQ(call("DELETE", "/service/web", "", "\"stale\"").status, 412);
    EXPECT_EQ(get("/service/web/b1").status, 200);
    EXPECT_EQ(call("DELETE", "/service/web/b1", "", get("/service/web/b1").etag).status, 200);
}

// One ETag is one object's: whoever wants to be sure of a service and all that is in it has that of /config.
TEST_F(ApiTest, TheETagOfAServiceIsOfItsOwnOptionsAndThatOfTheConfigurationOfAll) {
    make_web(1);
    const std::string service = get("/service/web").etag, config = get("/config").etag;
    ASSERT_EQ(call("PATCH", "/service/web/b1", R"({"weight":7})").status, 200);
    EXPECT_EQ(get("/service/web").etag, service);
    EXPECT_NE(get("/config").etag, config);
    EXPECT_EQ(call("PUT", "/config", R"({"services":{}})", "\"" + config + "\"").status, 412);
    EXPECT_EQ(get("/service/web/b1").status, 200);
    EXPECT_EQ(call("DELETE", "/service/web", "", "\"" + service + "\"").status, 200);
}

TEST_F(ApiTest, ServicesAreListedByNameOrAsObjects) {
    EXPECT_EQ(get("/service").body, "[]");
    EXPECT_EQ(get("/service?expand=services").body, "[]");
    for (const char* name : {"c", "a", "b"}) {
        const std::string address = std::string("10.0.0.") + std::to_string(name[0] - 'a' + 1);
        ASSERT_EQ(call("PUT", "/service/" + std::string(name), R"({"port":80,"address":")" + address + "\"}")
                      .status,
                  200);
    }
    EXPECT_EQ(get("/service").body, R"(["a","b","c"])");
    const auto expanded = json(get("/service?expand=services"));
    ASSERT_EQ(expanded.size(), 3U);
    EXPECT_EQ(expanded.at(2)["name"], "c");
    EXPECT_EQ(expanded.at(2)["options"]["address"], "10.0.0.3");
}

TEST_F(ApiTest, BackendsOfAServiceAreNamesOrObjectsAlsoWhenThereAreMany) {
    constexpr size_t count = 300;  // more than what is written on the server's loop
    make_web(static_cast<int>(count), R"({"type":"tcp","interval":"1h"})");
    const auto names = json(get("/service/web"));
    const auto objects = json(get("/service/web?expand=backends"));
    ASSERT_EQ(names["backends"].size(), count);
    ASSERT_EQ(objects["backends"].size(), count);
    for (unsigned i = 0; i < count; ++i)
        EXPECT_EQ(names["backends"].at(i), objects["backends"].at(i)["name"]);
    EXPECT_EQ(objects["health"].number(), 1.0);
    EXPECT_EQ(json(call("PATCH", "/service/web", R"({"method":"rr"})"))["backends"].size(), count);
    EXPECT_EQ(json(call("DELETE", "/service/web"))["backends"].size(), count);
}

// A refusal would say that nothing has changed.
TEST_F(ApiTest, AChangeThatIsDoneIsSaidToBeSoHoweverManyLongAnswersWait) {
    std::string backends;
    for (int n = 1; n <= 300; ++n) {
        backends += (n > 1 ? ",\"b" : "\"b") + std::to_string(n) + R"(":{"address":"10.1.0.1","port":)" +
                    std::to_string(n) + R"(,"pulse":{"type":"none"}})";
    }
    ASSERT_EQ(call("PUT", "/config",
                   R"({"services":{"web":{"address":"10.0.0.1","port":80,"backends":{)" + backends + "}}}}")
                  .status,
              200);
    std::promise<void> gate;
    api = make_api({*control,
                    registry,
                    metrics,
                    "1.2.3",
                    [this, open = gate.get_future().share()] {
                        open.wait();
                        return reconcile::read_table(*driver);
                    },
                    {},
                    {},
                    {}});
    const auto refused = std::make_shared<std::atomic<int>>(0);
    for (int n = 0; n < 100; ++n) {
        auto request = std::make_shared<Request>();
        request->method = "GET";
        request->path = "/kernel";
        api(request, [refused](const Response& r) { *refused += r.status == 503 ? 1 : 0; });
    }
    while (*refused == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const Response patch = call("PATCH", "/service/web", R"({"quorum":2})");
    EXPECT_EQ(patch.status, 200) << patch.body;
    EXPECT_EQ(json(patch)["options"]["quorum"], 2);
    const Response gone = call("DELETE", "/service/web");
    EXPECT_EQ(gone.status, 200) << gone.body;
    gate.set_value();
}

TEST_F(ApiTest, BackendNamesAreLocalToTheirService) {
    make_web(1);
    ASSERT_EQ(call("PUT", "/service/other", R"({"address":"10.0.0.2","port":80})").status, 200);
    ASSERT_EQ(call("PUT", "/service/other/b1", R"({"address":"10.1.0.9","port":80})").status, 200);
    EXPECT_EQ(call("DELETE", "/service/other/b1").status, 200);
    EXPECT_EQ(get("/service/web/b1").status, 200);
}

TEST_F(ApiTest, NamesMayBePercentEncoded) {
    make_web(1);
    EXPECT_EQ(get("/service/w%65b").status, 200);
    EXPECT_EQ(get("/service/web/%62%31").status, 200);
}

TEST_F(ApiTest, TheDefaultAddressStandsInForOneThatIsLeftOut) {
    const auto without = call("PUT", "/service/web", R"({"port":80})");
    EXPECT_EQ(without.status, 400);
    EXPECT_EQ(pointers(without), "/address");
    default_address = *base::Ip::parse("192.0.2.7");
    const auto with = call("PUT", "/service/web", R"({"port":80})");
    EXPECT_EQ(with.status, 200);
    EXPECT_EQ(json(with)["options"]["host"], "192.0.2.7");
}

TEST_F(ApiTest, ARequestWhileStoppingIs503) {
    make_web();
    control->stop();
    const auto late = call("PUT", "/service/late", R"({"address":"10.0.0.9","port":80})");
    EXPECT_EQ(late.status, 503);
    EXPECT_NE(error(late), "");
    EXPECT_EQ(get("/service/web").status, 200);
}

}  // namespace
}  // namespace gorb::rest::api_test
