// Admin states, drains, pools and reports as the API shows them, on a real control and health engine.
#include <gmock/gmock.h>

#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_policy_test {
namespace {

using testing::HasSubstr;

const char* const web = "/service/web";

struct ApiPolicyTest : ApiTest {
    static ipvs::ServiceKey key() { return ipvs::ServiceKey::of(6, *base::Endpoint::parse("10.0.0.1:80")); }
    static base::Endpoint address(int n) {
        return *base::Endpoint::parse("10.1.0." + std::to_string(n) + ":8080");
    }
    std::optional<uint32_t> weight(int n) {
        const auto dests = driver->dests(key());
        for (const auto& dest : *dests) {
            if (dest.address == address(n)) return dest.weight;
        }
        return std::nullopt;
    }
    static std::string backend(int n) { return "/service/web/b" + std::to_string(n); }
    void wait_weight(int n, uint32_t effective) {
        wait_for(backend(n), [&](const Json& j) { return j["weight"]["effective"].number() == effective; });
        EXPECT_EQ(weight(n), effective);
    }
    void patch(const std::string& path, const std::string& body) {
        const auto response = call("PATCH", path, body);
        ASSERT_EQ(response.status, 200) << response.body;
    }
};

TEST_F(ApiPolicyTest, ADrainedBackendHasWeight0AtOnceAndIsStillChecked) {
    make_web(2);
    wait_weight(1, 100);
    const auto j = json(call("PATCH", backend(1), R"({"admin":"drain"})"));
    EXPECT_EQ(j["weight"]["effective"], 0);
    EXPECT_EQ(weight(1), 0U);
    EXPECT_EQ(j["weight"]["factors"]["admin"], 0);
    EXPECT_EQ(j["weight"]["reasons"]["admin"], "drained by the operator");
    EXPECT_EQ(j["options"]["admin"], "drain");
    const double passes = json(get(backend(1)))["counts"]["passes"].number();
    wait_for(backend(1), [&](const Json& now) { return now["counts"]["passes"].number() > passes; });
    patch(backend(1), R"({"admin":"ready"})");
    EXPECT_EQ(weight(1), 100U);
    EXPECT_FALSE(json(get(backend(1))).has("drain"));
}

TEST_F(ApiPolicyTest, ADrainedBackendThatGoesDownShowsBothReasons) {
    make_web(2);
    wait_weight(1, 100);
    patch(backend(1), R"({"admin":"drain"})");
    world.answer("b1", health::failing());
    const auto j =
        json(wait_for(backend(1), [](const Json& now) { return now["weight"]["factors"]["health"] == 0; }));
    EXPECT_EQ(j["weight"]["why"], "drained by the operator");
    EXPECT_EQ(j["weight"]["reasons"]["admin"], "drained by the operator");
    EXPECT_THAT(j["weight"]["reasons"]["health"].text(), testing::StartsWith("not up: connection refused"));
    world.answer("b1", health::passing());
    wait_for(backend(1), [](const Json& now) { return now["weight"]["factors"]["health"] == 100; });
}

// Between the two there is a turn of the control, which waits a little when many change at once.
TEST_F(ApiPolicyTest, WhatIsUpByNowIsNoReasonForTheWeightThatHasNotFollowed) {
    make_web(1);
    wait_weight(1, 100);
    world.answer("b1", health::failing());
    wait_weight(1, 0);
    control->stop();
    world.answer("b1", health::passing());
    const auto j = json(wait_for(backend(1), [](const Json& now) { return now["state"] == "up"; }));
    EXPECT_EQ(j["weight"]["effective"], 0);
    EXPECT_EQ(j["weight"]["why"], "down: it is up by now, and its weight follows");
    EXPECT_EQ(j["because"], "connected");
}

TEST_F(ApiPolicyTest, ADrainShowsWhatIsLeftAndSaysWhenItIsFinished) {
    make_web(1);
    wait_weight(1, 100);
    driver->set_counters(key(), address(1), {3, 2});
    patch(backend(1), R"({"admin":"drain"})");
    const auto open = json(wait_for(backend(1), [](const Json& j) { return j["drain"].has("active"); }));
    EXPECT_EQ(open["drain"]["active"], 3);
    EXPECT_EQ(open["drain"]["inactive"], 2);
    EXPECT_EQ(open["drain"]["templates"], 0);
    EXPECT_EQ(open["drain"]["finished"], false);
    EXPECT_TRUE(open["drain"]["deadline"].is_null());
    driver->set_counters(key(), address(1), {0, 0});
    const auto over =
        json(wait_for(backend(1), [](const Json& j) { return j["drain"]["finished"] == true; }));
    EXPECT_THAT(over["drain"]["finished_at"].text(), testing::EndsWith("Z"));
    EXPECT_EQ(over["options"]["admin"], "drain");  // nobody asked for more
}

TEST_F(ApiPolicyTest, ADrainWithATimeoutBecomesMaintenanceOrTheBackendIsDeleted) {
    make_web(2);
    wait_weight(1, 100);
    wait_weight(2, 100);
    driver->set_counters(key(), address(1), {3, 0});  // never empty: the time-out ends it
    patch(backend(1), R"({"admin":"drain","drain-timeout":"20ms"})");
    const auto out =
        json(wait_for(backend(1), [](const Json& j) { return j["options"]["admin"] == "maint"; }));
    EXPECT_EQ(out["state"], "unknown");
    EXPECT_THAT(out["because"].text(), HasSubstr("maintenance"));
    EXPECT_TRUE(out["last"].is_null());
    // Empty from the start: it does not wait for the time-out.
    patch(backend(2), R"({"admin":"drain","drain-timeout":"24h","drain-then":"delete"})");
    for (int i = 0; i < 2000 && get(backend(2)).status == 200; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(get(backend(2)).status, 404);
    EXPECT_EQ(weight(2), std::nullopt);
}

TEST_F(ApiPolicyTest, MaintenanceEndsTheChecksAndReadyBeginsThemAnew) {
    make_web(1);
    wait_weight(1, 100);
    patch(backend(1), R"({"admin":"maint"})");
    EXPECT_EQ(weight(1), 0U);
    EXPECT_EQ(engine->size(), 0U);
    const auto push = call("PUT", backend(1) + "/pulse", R"({"status":"pass"})");
    EXPECT_EQ(push.status, 409) << push.body;
    world.answer_all(health::failing());
    patch(backend(1), R"({"admin":"ready"})");
    EXPECT_EQ(weight(1), 0U);  // not before it has passed again
    wait_for(backend(1), [](const Json& j) { return j["state"] == "down"; });
    EXPECT_EQ(weight(1), 0U);
    world.answer_all(health::passing());
    wait_weight(1, 100);
}

TEST_F(ApiPolicyTest, OnDownRemoveTakesTheDestinationOutAndPutsItBack) {
    make_web(2);
    patch(web, R"({"on-down":"remove"})");
    wait_weight(1, 100);
    world.answer("b1", health::failing());
    const auto down = json(wait_for(backend(1), [](const Json& j) { return j["weight"].has("removed"); }));
    EXPECT_EQ(weight(1), std::nullopt);
    EXPECT_EQ(weight(2), 100U);
    EXPECT_THAT(down["weight"]["why"].text(), HasSubstr("its destination is removed"));
    patch(backend(1), R"({"weight":70})");  // of one that is not there
    EXPECT_EQ(weight(1), std::nullopt);
    world.answer("b1", health::passing());
    wait_weight(1, 70);
    // And away for good.
    world.answer("b1", health::failing());
    wait_for(backend(1), [](const Json& j) { return j["weight"].has("removed"); });
    EXPECT_EQ(call("DELETE", backend(1)).status, 200);
}

TEST_F(ApiPolicyTest, BackupsServeWhileThePrimariesAreUnderTheQuorum) {
    make_web(2);
    ASSERT_EQ(call("PUT", backend(3),
                   R"({"address":"10.1.0.3","port":8080,"backup":true,)"
                   R"("pulse":{"type":"tcp","interval":"10ms","rise":1,"fall":1}})")
                  .status,
              200);
    patch(web, R"({"quorum":2})");
    wait_weight(1, 100);
    wait_weight(2, 100);
    const auto standby = json(wait_for(backend(3), [](const Json& j) { return j["state"] == "up"; }));
    EXPECT_EQ(standby["weight"]["effective"], 0);
    EXPECT_THAT(standby["weight"]["reasons"]["pool"].text(), HasSubstr("a backup"));
    EXPECT_EQ(json(wait_for(web, [](const Json& j) { return j["state"] == "up"; }))["pool"]["backups_up"], 1);
    world.answer("b1", health::failing());
    wait_weight(3, 100);
    const auto degraded = json(wait_for(web, [](const Json& j) { return j["state"] == "degraded"; }));
    EXPECT_EQ(degraded["because"], "1 of 2 primaries are up, the quorum is 2; 1 backup serves");
    EXPECT_EQ(degraded["pool"]["quorum_met"], false);
    world.answer("b1", health::passing());
    wait_weight(3, 0);
}

TEST_F(ApiPolicyTest, PanicGivesAllTheirWeightAndMaxDownKeepsTheLast) {
    make_web(4);
    patch(web, R"({"panic-threshold":"50%"})");
    for (int n = 1; n <= 4; ++n) wait_weight(n, 100);
    world.answer("b1", health::failing());
    wait_weight(1, 0);
    world.answer("b2", health::failing());
    wait_weight(2, 0);
    world.answer("b3", health::failing());
    wait_weight(1, 100);
    wait_for(backend(3), [](const Json& j) { return j["state"] == "down"; });
    EXPECT_EQ(weight(3), 100U);
    EXPECT_EQ(json(get(web))["pool"]["panic"], true);
    EXPECT_THAT(json(get(backend(1)))["weight"]["why"].text(), HasSubstr("panic-threshold"));
    patch(web, R"({"panic-threshold":"0%","max-down":"50%"})");
    wait_weight(1, 0);
    wait_weight(2, 0);
    wait_weight(3, 100);
    EXPECT_THAT(json(get(backend(3)))["weight"]["why"].text(), HasSubstr("max-down"));
}

TEST_F(ApiPolicyTest, ARampRisesStepByStepToTheWholeWeight) {
    make_web(1);
    patch(web, R"({"slow-start":"2s","slow-start-least":"10%"})");
    // New backends ramp as well: this one came up before, so it has to fall first.
    wait_for(backend(1), [](const Json& j) { return j["state"] == "up"; });
    world.answer("b1", health::failing());
    wait_weight(1, 0);
    world.answer("b1", health::passing());
    const auto ramping = json(wait_for(backend(1), [](const Json& j) {
        return j["weight"]["effective"].number() > 0 && j["weight"]["effective"].number() < 100;
    }));
    EXPECT_LT(ramping["weight"]["factors"]["ramp"].number(), 100);
    EXPECT_THAT(ramping["weight"]["reasons"]["ramp"].text(), HasSubstr("came back a short time ago"));
    wait_weight(1, 100);
    EXPECT_EQ(json(get(backend(1)))["weight"]["why"], "");
}

TEST_F(ApiPolicyTest, InitialUpServesBeforeItsFirstResult) {
    world.answer_all(std::nullopt);
    make_web(1, R"({"type":"tcp","interval":"1h","timeout":"10m","initial":"up"})");
    EXPECT_EQ(weight(1), 100U);
    EXPECT_EQ(json(get(backend(1)))["state"], "up");
}

TEST_F(ApiPolicyTest, HashSchedulersGetWhatTheyNeed) {
    ASSERT_EQ(call("PUT", web, R"({"address":"10.0.0.1","port":80,"method":"sh"})").status, 200);
    const auto flags = [&] { return (*driver->service(key()))->flags & 0x18; };
    EXPECT_EQ(flags(), 0x08U);
    EXPECT_EQ(json(get(web))["pool"]["flags"], "sh-fallback");
    EXPECT_EQ(json(get(web))["options"]["flags"], "");
    patch(web, R"({"fallback":"off"})");
    EXPECT_EQ(flags(), 0U);
    EXPECT_THAT(json(get(web))["warnings"].at(0).text(), HasSubstr("fallback is refused"));
    ASSERT_EQ(call("PUT", backend(1), R"({"address":"10.1.0.1","port":8080,"pulse":{"type":"tcp"}})").status,
              200);
    const auto j =
        json(wait_for(backend(1), [](const Json& now) { return now["weight"]["effective"] == 1; }));
    EXPECT_THAT(j["weight"]["why"].text(), HasSubstr("divided by their greatest common divisor"));
    EXPECT_FALSE(j["weight"].has("reasons"));
    patch(web, R"({"method":"dh"})");
    EXPECT_EQ(json(get(web))["pool"]["on_down"], "remove");
}

TEST_F(ApiPolicyTest, SeveralPulsesMustAllPassAndEachIsShown) {
    make_web();
    ASSERT_EQ(call("PUT", backend(1),
                   R"({"address":"10.1.0.1","port":8080,"pulses":[)"
                   R"({"type":"tcp","interval":"10ms"},{"type":"http","interval":"20ms","path":"/x"}]})")
                  .status,
              200);
    const auto up = json(wait_for(backend(1), [](const Json& j) { return j["state"] == "up"; }));
    ASSERT_EQ(up["checks"].size(), 2U);
    EXPECT_EQ(up["checks"].at(0)["type"], "tcp");
    EXPECT_EQ(up["checks"].at(1)["check"]["interval"], "20ms");
    EXPECT_EQ(up["options"]["pulses"].size(), 2U);
    const auto wrong =
        call("PUT", backend(2),
             R"({"address":"10.1.0.2","port":8080,"pulses":[{"type":"tcp"},{"type":"http","path":5}]})");
    EXPECT_EQ(wrong.status, 400);
    EXPECT_EQ(pointers(wrong), "/pulses/1/args");
}

TEST_F(ApiPolicyTest, WhatABackendShowsLastIsOfThePulseThatItsReasonNames) {
    make_web();
    plugin::Report unavailable = health::failing();
    unavailable.detail = "503 Service Unavailable";
    world.answer("b1/http", unavailable);
    ASSERT_EQ(call("PUT", backend(1),
                   R"({"address":"10.1.0.1","port":8080,"pulses":[)"
                   R"({"type":"tcp","interval":"10ms"},{"type":"http","interval":"10ms"}]})")
                  .status,
              200);
    wait_for(backend(1), [](const Json& j) { return j["state"] == "down"; });
    world.answer("b1/tcp", health::failing());
    const auto both =
        json(wait_for(backend(1), [](const Json& j) { return j["checks"].at(0)["state"] == "down"; }));
    EXPECT_THAT(both["because"].text(), testing::StartsWith("http: 503 Service Unavailable"));
    EXPECT_EQ(both["last"]["reason"], "503 Service Unavailable");
}

TEST_F(ApiPolicyTest, ABackendThatLosesOneOfItsPulsesGoesOnFollowingItsConfiguredWeight) {
    make_web();
    ASSERT_EQ(call("PUT", backend(1),
                   R"({"address":"10.1.0.1","port":8080,"pulses":[{"type":"tcp"},{"type":"http"}]})")
                  .status,
              200);
    wait_for(backend(1), [](const Json& j) { return j["weight"]["effective"] == 100; });
    EXPECT_EQ(call("PATCH", backend(1), R"({"pulses":[{"type":"http"}]})").status, 200);
    EXPECT_EQ(call("PATCH", backend(1), R"({"weight":150})").status, 200);
    const auto j =
        json(wait_for(backend(1), [](const Json& now) { return now["weight"]["effective"] == 150; }));
    EXPECT_EQ(j["weight"]["why"], "");
}

TEST_F(ApiPolicyTest, ABackendThatMovesToAServerThatIsCheckedAlreadyServesThere) {
    make_web(1);
    ASSERT_EQ(call("PUT", "/service/api", R"({"address":"10.0.0.2","port":80})").status, 200);
    const std::string there =
        R"({"address":"10.1.0.7","port":8080,"pulse":{"type":"tcp","interval":"10ms","rise":1,"fall":1}})";
    ASSERT_EQ(call("PUT", "/service/api/b1", there).status, 200);
    const auto serves = [](const Json& j) { return j["weight"]["effective"] == 100; };
    wait_for("/service/api/b1", serves);
    wait_for(backend(1), serves);
    ASSERT_EQ(call("PUT", backend(1), there, "*").status, 200);
    wait_for(backend(1), serves);
}

TEST_F(ApiPolicyTest, AReportIsForPulsesThatTakeReportsAndIsReadStrictly) {
    make_web(1);
    EXPECT_EQ(call("PUT", "/service/web/b9/pulse", R"({"status":"pass"})").status, 404);
    EXPECT_EQ(call("PUT", "/service/x/b1/pulse", R"({"status":"pass"})").status, 404);
    const auto bad = call("PUT", backend(1) + "/pulse", R"({"status":"good","share":101,"x":1})");
    EXPECT_EQ(bad.status, 400);
    EXPECT_EQ(pointers(bad), "/status /share /x");
    EXPECT_EQ(call("PUT", backend(1) + "/pulse", "{}").status, 400);
}

TEST_F(ApiPolicyTest, WhileThisMachineIsSuspectedNobodyLosesHisWeightAndWhatFellInTheWaveGetsItBack) {
    make_web(3);
    for (int n = 1; n <= 3; ++n) wait_weight(n, 100);
    world.answer("b1", health::failing());
    wait_weight(1, 0);
    const uint64_t wave = checks->now();
    world.answer("b2", health::failing());
    wait_weight(2, 0);
    control->suspected({true, wave, "most targets failed at once"});
    wait_weight(2, 100);       // it fell in the wave
    EXPECT_EQ(weight(1), 0U);  // that was before
    world.answer("b3", health::failing());
    wait_for(backend(3), [](const Json& j) { return j["state"] == "down"; });
    EXPECT_EQ(call("PATCH", web, R"({"method":"wlc"})").status, 200);  // whatever else happens
    EXPECT_EQ(weight(3), 100U);
    world.answer("b1", health::passing());
    wait_weight(1, 100);  // who passes may serve
    control->suspected({false, checks->now(), ""});
    wait_weight(2, 0);
    wait_weight(3, 0);
    EXPECT_EQ(weight(1), 100U);
}

TEST_F(ApiPolicyTest, TheMetricsTellOfPoolsAndChecks) {
    make_web(2);
    wait_weight(1, 100);
    const std::string page = get("/metrics").body;
    EXPECT_THAT(
        page, HasSubstr("gorb_service_state{name=\"web\",host=\"10.0.0.1\",port=\"80\",protocol=\"tcp\"} 0"));
    EXPECT_THAT(page, HasSubstr("gorb_health_frozen 0"));
    EXPECT_THAT(page, HasSubstr("gorb_checks_total{result=\"pass\"}"));
    EXPECT_THAT(page, HasSubstr("gorb_check_lateness_seconds_bucket{le=\"0.01\"}"));
}

}  // namespace
}  // namespace gorb::rest::api_policy_test
