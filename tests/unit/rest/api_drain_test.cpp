// DELETE ?drain=: what has connections goes when they have ended.
#include <gmock/gmock.h>

#include <cerrno>

#include "model/config.h"
#include "unit/rest/api_kernel_fixture.h"

namespace gorb::rest::api_drain_test {
namespace {

using testing::HasSubstr;
using testing::Not;

struct DrainTest : KernelTest {
    void connections(int backend, uint32_t active) {
        const auto address = *base::Endpoint::parse("10.1.0." + std::to_string(backend) + ":8080");
        ASSERT_TRUE(driver->set_counters(key_of("10.0.0.1:80"), address, {active, 0}));
    }
    void wait_until_gone(const std::string& target) {
        wait_for(target, [](const Json& j) { return j.has("error"); });
        EXPECT_EQ(get(target).status, 404);
    }
};

TEST_F(DrainTest, ABackendGoesWithItsLastConnection) {
    make_web_up(2);
    connections(1, 3);
    const auto gone = call("DELETE", "/service/web/b1?drain=1h");
    EXPECT_EQ(gone.status, 202);
    EXPECT_EQ(gone.etag, get("/service/web/b1").etag);
    const Json j = json(gone);
    EXPECT_EQ(j["options"]["admin"], "drain");
    EXPECT_EQ(j["options"]["drain-then"], "delete");
    EXPECT_EQ(j["options"]["drain-timeout"], "1h");
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 0U);
    wait_for("/service/web/b1", [](const Json& b) {
        return b.has("drain") && b["drain"].has("active") && b["drain"]["active"] == 3;
    });
    EXPECT_EQ(call("DELETE", "/service/web/b1?drain=1h").status, 202);
    connections(1, 0);
    wait_until_gone("/service/web/b1");
    EXPECT_FALSE(dest("10.0.0.1:80", "10.1.0.1:8080"));
    EXPECT_EQ(get("/service/web/b2").status, 200);
}

TEST_F(DrainTest, AServiceGoesWithTheLastConnectionOfItsBackends) {
    make_web_up(2);
    connections(1, 3);
    connections(2, 1);
    EXPECT_FALSE(json(get("/service/web")).has("deleting"));
    const auto gone = call("DELETE", "/service/web?drain=1h");
    EXPECT_EQ(gone.status, 202);
    EXPECT_EQ(json(gone)["deleting"], true);
    EXPECT_EQ(json(get("/service/web"))["deleting"], true);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 0U);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.2:8080")->weight, 0U);
    connections(1, 0);
    wait_until_gone("/service/web/b1");
    EXPECT_EQ(json(get("/service/web"))["deleting"], true);
    connections(2, 0);
    wait_until_gone("/service/web");
    EXPECT_FALSE(service("10.0.0.1:80"));
}

// What a file has comes back with it, so the answer says where to remove it as well.
TEST_F(DrainTest, ADeletionOfWhatADeclarativeFileHasSaysThatItComesBack) {
    const auto declare = [&] {
        declare_files(R"({"web":{"address":"10.0.0.1","port":80,"backends":{)"
                      R"("b1":{"address":"10.1.0.1","port":8080},"b2":{"address":"10.1.0.2","port":8080},)"
                      R"("b3":{"address":"10.1.0.3","port":8080}}}})");
    };
    declare();
    connections(1, 3);
    EXPECT_FALSE(json(get("/service/web")).has("note"));
    EXPECT_FALSE(json(get("/service/web/b1")).has("note"));
    const auto says = [](const Response& response) {
        const Json j = json(response);
        return j.has("note") && j["note"].text().find("brings it back") != std::string::npos;
    };
    EXPECT_TRUE(says(call("DELETE", "/service/web/b1?drain=1h")));
    EXPECT_TRUE(says(call("DELETE", "/service/web/b2")));
    declare();
    EXPECT_EQ(get("/service/web/b2").status, 200);
    const auto slowly = call("DELETE", "/service/web?drain=1h");
    EXPECT_EQ(slowly.status, 202);
    EXPECT_TRUE(says(slowly));
    EXPECT_TRUE(says(get("/service/web")));
    EXPECT_TRUE(says(call("DELETE", "/service/web")));
    declare();
    EXPECT_EQ(json(get("/service/web"))["backends"].size(), 3U);
    // What is of no file does not.
    ASSERT_EQ(call("PUT", "/service/other", R"({"address":"10.0.0.2","port":80})").status, 200);
    EXPECT_FALSE(json(call("DELETE", "/service/other")).has("note"));
    // So does what a whole configuration leaves out, be it a service or a backend.
    const std::string web = R"("web":{"address":"10.0.0.1","port":80,"backends":{"b1":)"
                            R"({"address":"10.1.0.1","port":8080},"b3":{"address":"10.1.0.3","port":8080})";
    const std::string other = R"("other":{"address":"10.0.0.2","port":80})";
    const auto put = [&](const std::string& services) {
        return call("PUT", "/config?force=true", R"({"services":{)" + services + "}}");
    };
    const auto less = put(web + "}}," + other);
    EXPECT_EQ(json(less)["removed"], 1);
    EXPECT_TRUE(says(less)) << less.body;
    EXPECT_FALSE(json(put(web + "}}," + other)).has("note"));
    EXPECT_FALSE(json(put(web + "}}")).has("note"));  // other
    declare();
    EXPECT_TRUE(says(put(other)));
}

TEST_F(DrainTest, ConnectionsThatCanNotBeCountedAreNotSaidToBeNone) {
    make_web_up(1);
    connections(1, 3);
    driver->fail_reads(EIO);
    ASSERT_EQ(call("PATCH", "/service/web/b1", R"({"admin":"drain"})").status, 200);
    wait_for("/service/web/b1", [](const Json& b) { return b.has("drain") && b["drain"].has("trouble"); });
    EXPECT_FALSE(json(get("/service/web/b1"))["drain"].has("active"));
    EXPECT_THAT(get("/metrics").body, Not(HasSubstr("\ngorb_service_backend_draining_connections{")));
    driver->fail_reads(0);
    EXPECT_TRUE(page_has(R"(host="10.1.0.1",port="8080"} 3)"));
    EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_service_backend_draining_connections{"));
}

TEST_F(DrainTest, TheTimeOfADrainEnds) {
    make_web_up(1);
    connections(1, 3);
    EXPECT_EQ(call("DELETE", "/service/web?drain=100ms").status, 202);
    wait_until_gone("/service/web");
    EXPECT_FALSE(service("10.0.0.1:80"));
}

TEST_F(DrainTest, WhatHasNothingToWaitForGoesAtOnce) {
    make_web_up(1);
    EXPECT_EQ(call("DELETE", "/service/web/b1?drain=0s").status, 200);
    EXPECT_EQ(call("DELETE", "/service/web?drain=720h").status, 200);  // as long as drain-timeout
    EXPECT_EQ(get("/service/web").status, 404);
}

TEST_F(DrainTest, WrongQuestionsAre400AndChangeNothing) {
    make_web_up(1);
    const auto before = get("/config").body;
    for (const char* query :
         {"drain", "drain=", "drain=soon", "drain=-1s", "drain=720h1ms", "force=true", "adopt=true"}) {
        EXPECT_EQ(call("DELETE", "/service/web?" + std::string(query)).status, 400) << query;
        EXPECT_EQ(call("DELETE", "/service/web/b1?" + std::string(query)).status, 400) << query;
    }
    EXPECT_EQ(call("DELETE", "/service/web?drain=1s", "", "\"stale\"").status, 412);
    EXPECT_EQ(call("DELETE", "/service/none?drain=1s").status, 404);
    EXPECT_EQ(call("PUT", "/service/web?drain=1s", R"({"address":"10.0.0.1","port":80})").status, 400);
    EXPECT_EQ(get("/config").body, before);
}

}  // namespace
}  // namespace gorb::rest::api_drain_test
