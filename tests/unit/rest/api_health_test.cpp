// Health and weight of backends as the API shows them.
#include <gmock/gmock.h>

#include <cerrno>

#include "unit/control/fake_database.h"
#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_health_test {
namespace {

using testing::HasSubstr;

TEST_F(ApiTest, ABackendWithoutAResultIsUnknownAndTakesNoTraffic) {
    world.answer_all(std::nullopt);
    make_web(1, R"({"type":"tcp","interval":"1h","timeout":"10m"})");
    const auto j = json(get("/service/web/b1"));
    EXPECT_EQ(j["name"], "b1");
    EXPECT_EQ(j["service"], "web");
    EXPECT_EQ(j["state"], "unknown");
    EXPECT_EQ(j["metrics"]["status"], 1);
    EXPECT_EQ(j["metrics"]["health"].number(), 1.0);
    EXPECT_EQ(j["metrics"]["uptime"], 0);
    EXPECT_TRUE(j["last"].is_null());
    EXPECT_THAT(j["since"].text(), testing::EndsWith("Z"));
    EXPECT_EQ(j["weight"]["configured"], 100);
    EXPECT_EQ(j["weight"]["effective"], 0);
    EXPECT_NE(j["weight"]["why"].text(), "");
    EXPECT_EQ(j["weight"]["applied"], true);
}

TEST_F(ApiTest, AnUpBackendHasItsWeightAndItsLastResult) {
    world.answer_all(plugin::Report{plugin::Verdict::pass, 100, 200, 1234567, "200 OK"});
    make_web(1);
    const auto up = [](const Json& j) { return j["state"] == "up" && j["weight"]["effective"] == 100; };
    const auto j = json(wait_for("/service/web/b1", up));
    EXPECT_EQ(j["metrics"]["status"], 0);
    EXPECT_EQ(j["metrics"]["health"].number(), 1.0);
    EXPECT_EQ(j["weight"]["why"], "");
    ASSERT_TRUE(j["last"].is_object());
    EXPECT_EQ(j["last"]["verdict"], "pass");
    EXPECT_EQ(j["last"]["reason"], "200 OK");
    EXPECT_EQ(j["last"]["code"], 200);
    EXPECT_EQ(j["last"]["latency"], 1234567);
    EXPECT_THAT(j["last"]["at"].text(), testing::EndsWith("Z"));
    EXPECT_GE(j["counts"]["passes"].number(), 1);
    EXPECT_EQ(j["counts"]["failures"], 0);
    EXPECT_EQ(j["counts"]["passes_in_row"], j["counts"]["passes"]);
    wait_for("/service/web/b1", [](const Json& now) { return now["metrics"]["uptime"].number() > 0; });
}

TEST_F(ApiTest, ADownBackendSaysWhy) {
    make_web(2);
    wait_for("/service/web/b1", [](const Json& j) { return j["state"] == "up"; });
    world.answer("b1", health::failing());
    const auto down = [](const Json& j) { return j["state"] == "down" && j["weight"]["effective"] == 0; };
    const auto j = json(wait_for("/service/web/b1", down));
    EXPECT_EQ(j["metrics"]["status"], 1);
    EXPECT_LT(j["metrics"]["health"].number(), 1.0);
    EXPECT_EQ(j["metrics"]["uptime"], 0);
    EXPECT_THAT(j["because"].text(), HasSubstr("connection refused"));
    EXPECT_THAT(j["weight"]["why"].text(), HasSubstr("connection refused"));
    EXPECT_EQ(j["last"]["verdict"], "fail");
    EXPECT_EQ(j["last"]["code"], 111);
    EXPECT_GE(j["counts"]["changes"].number(), 1);
    const double health = json(get("/service/web"))["health"].number();
    EXPECT_GT(health, 0.0);
    EXPECT_LT(health, 1.0);
}

TEST_F(ApiTest, HealthOfAServiceIsTheMeanOfItsBackends) {
    world.answer("b1", health::failing());
    make_web(2);
    const auto half = [](const Json& j) { return j["health"].number() == 0.5; };
    wait_for("/service/web", half);
    const auto expanded = json(wait_for("/service/web?expand=backends", half));
    EXPECT_EQ(expanded["backends"].at(0)["metrics"]["health"].number(), 0.0);
    EXPECT_EQ(expanded["backends"].at(1)["metrics"]["health"].number(), 1.0);
}

TEST_F(ApiTest, AWeightThatTheKernelRefusesIsShownWithItsWords) {
    driver->set_hook(
        [](const ipvs::Op& op, uint64_t) { return op.kind == ipvs::Op::Kind::edit_dest ? ENOMEM : 0; });
    make_web(1);
    const auto refused = [](const Json& j) { return j["weight"]["applied"] == false; };
    const auto j = json(wait_for("/service/web/b1", refused));
    EXPECT_NE(j["weight"]["refusal"].text(), "");
    EXPECT_EQ(j["weight"]["effective"], 0);
    EXPECT_EQ(j["state"], "up");
}

// web/b1, whose plugin is gone since it was made.
struct DiskOfMissingPlugin {
    control::Disk disk;
    std::unique_ptr<store::Database> database() {
        store::Loaded::ServiceRow web;
        web.spec.name = "web";
        web.spec.key.vip = *base::Endpoint::parse("10.0.0.1:80");
        store::Loaded::BackendRow& b1 = web.backends.emplace_back();
        b1.spec.name = "b1";
        b1.spec.address = *base::Endpoint::parse("10.1.0.1:8080");
        model::PulseSpec pulse;
        pulse.type = "nonesuch";
        b1.spec.pulses = model::PulseList({pulse});
        disk.content.services = {web};
        return std::make_unique<control::FakeDatabase>(disk);
    }
};
struct MissingPluginTest : private DiskOfMissingPlugin, ApiTest {
    MissingPluginTest() : ApiTest({}, database()) {}
};

TEST_F(MissingPluginTest, AReportForABackendThatCanNotBeCheckedSaysSo) {
    const Response report = call("PUT", "/service/web/b1/pulse", R"({"status":"pass"})");
    EXPECT_EQ(report.status, 503);
    EXPECT_THAT(error(report), HasSubstr("can not be checked: "));
    EXPECT_THAT(error(report), HasSubstr("\"nonesuch\""));
}

TEST_F(MissingPluginTest, ABackendThatCanNotBeCheckedHasAWarning) {
    EXPECT_THAT(json(get("/service/web/b1"))["warning"].text(), testing::StartsWith("can not be checked: "));
    const std::string page = get("/metrics").body;
    const size_t at = page.find("} ", page.find("\ngorb_service_backend_warning{"));
    EXPECT_EQ(page.substr(at + 2, 1), "1");
}

}  // namespace
}  // namespace gorb::rest::api_health_test
