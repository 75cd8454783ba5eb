// The documents of the owner's specification, with one of each choice taken, run as written.
#include <gmock/gmock.h>

#include "unit/rest/api_fixture.h"

namespace gorb::rest::examples_test {
namespace {

constexpr const char* service_document = R"({
    "address": "10.0.0.1",
    "port": 12345,
    "protocol": "tcp",
    "method": "wrr",
    "persistent": true
})";

constexpr const char* backend_document = R"({
    "address": "10.1.0.1",
    "port": 12346,
    "method": "nat",
    "pulse": {
        "type": "http",
        "interval": "5s",
        "path": "/health"
    },
    "weight": 128
})";

TEST_F(ApiTest, TheSpecificationsDocumentsRunAsWritten) {
    ASSERT_EQ(call("PUT", "/service/web", service_document).status, 200);
    const auto put = call("PUT", "/service/web/b1", backend_document);
    ASSERT_EQ(put.status, 200) << put.body;
    const auto j = json(get("/service/web/b1"));
    EXPECT_EQ(j["options"]["weight"], 128);
    EXPECT_EQ(j["options"]["pulse"]["type"], "http");
    EXPECT_EQ(j["options"]["pulse"]["interval"], "5s");
    EXPECT_EQ(j["options"]["pulse"]["args"]["path"], "/health");
    EXPECT_EQ(call("PUT", "/service/web", service_document).status, 200);
    EXPECT_EQ(call("PUT", "/service/web/b1", backend_document).status, 200);
    EXPECT_EQ(call("DELETE", "/service/web/b1").status, 200);
    EXPECT_EQ(call("DELETE", "/service/web").status, 200);
}

TEST_F(ApiTest, EveryChoiceOfTheSpecificationIsTaken) {
    for (const char* method : {"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq"}) {
        for (const char* protocol : {"tcp", "udp"}) {
            const auto put = call("PUT", "/service/" + std::string(method) + "-" + protocol,
                                  R"({"address":"10.0.0.1","port":12345,"protocol":")" +
                                      std::string(protocol) + R"(","method":")" + method + "\"}");
            EXPECT_EQ(put.status, 200) << put.body;
            EXPECT_EQ(call("DELETE", "/service/" + std::string(method) + "-" + protocol).status, 200);
        }
    }
    make_web();
    for (const char* method : {"nat", "tunnel"}) {
        for (const char* pulse :
             {R"({"type":"tcp","interval":"5s"})", R"({"type":"http","interval":"5s","path":"/health"})"}) {
            const auto put = call("PUT", "/service/web/b1",
                                  R"({"address":"10.1.0.1","port":80,"weight":128,"method":")" +
                                      std::string(method) + R"(","pulse":)" + pulse + "}");
            EXPECT_EQ(put.status, 200) << put.body;
            EXPECT_EQ(call("DELETE", "/service/web/b1").status, 200);
        }
    }
}

// Upstream's own shape, where its numbers made a panic of it.
TEST_F(ApiTest, NumbersStayNumbers) {
    make_web();
    const auto put =
        call("PUT", "/service/web/b1", R"({"host":"10.1.0.1","port":12346,"method":"nat","weight":128,
        "pulse":{"type":"http","interval":"5s","args":{"method":"GET","path":"/health","expect":200}}})");
    ASSERT_EQ(put.status, 200) << put.body;
    EXPECT_EQ(json(put)["options"]["pulse"]["args"]["expect"], 200);
    EXPECT_EQ(call("PATCH", "/service/web/b1", R"({"pulse":{"expect":204}})").status, 200);
    EXPECT_EQ(json(get("/service/web/b1"))["options"]["pulse"]["args"]["expect"], 204);
}

// The specification has path "ignored for tcp pulse".
TEST_F(ApiTest, ATcpPulseIgnoresAPath) {
    make_web();
    const auto put = call(
        "PUT", "/service/web/b1",
        R"({"address":"10.1.0.1","port":12346,"pulse":{"type":"tcp","interval":"5s","path":"/health"}})");
    EXPECT_EQ(put.status, 200) << put.body;
}

}  // namespace
}  // namespace gorb::rest::examples_test
