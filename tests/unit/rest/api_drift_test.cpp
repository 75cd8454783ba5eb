// Drift over the API: what somebody else changed is found, shown, and repaired or only reported.
#include <gmock/gmock.h>

#include <cerrno>

#include "unit/rest/api_kernel_fixture.h"

namespace gorb::rest::api_drift_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// The last event of that entry.
std::optional<Json> event_of(const Json& events, const std::string& entry) {
    std::optional<Json> found;
    for (const Json& event : events["events"].elements()) {
        if (event["kind"] == "drift" && event["entry"] == entry.c_str()) found = event;
    }
    return found;
}

TEST_F(KernelTest, DriftIsFoundRepairedAndTold) {
    make_web_up(2);
    const Json before = json(get("/events"));
    const auto last =
        static_cast<uint64_t>(before["events"].at(before["events"].size() - 1)["number"].number());
    set_weight("10.0.0.1:80", "10.1.0.1:8080", 7);
    apply(ipvs::Op::remove(key_of("10.0.0.1:80"), *base::Endpoint::parse("10.1.0.2:8080")));
    auto record = *service("10.0.0.1:80");
    record.scheduler = "rr";
    apply(ipvs::Op::edit(record));

    const Json differences = json(get("/kernel"))["differences"];
    ASSERT_EQ(differences.size(), 3U);
    for (const Json& difference : differences.elements()) EXPECT_TRUE(difference["since"].is_null());

    const auto round = call("POST", "/reconcile");
    ASSERT_EQ(round.status, 200) << round.body;
    const Json j = json(round);
    EXPECT_EQ(j["services"], 1);
    EXPECT_EQ(j["drift"], 3);
    EXPECT_EQ(j["added"], 1);
    EXPECT_EQ(j["edited"], 2);
    EXPECT_EQ(j["removed"], 0);
    EXPECT_EQ(j["refused"], 0);
    EXPECT_EQ(service("10.0.0.1:80")->scheduler, "wrr");
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 100U);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.2:8080")->weight, 100U);
    EXPECT_EQ(json(get("/kernel"))["differences"].size(), 0U);

    const Json events = json(get("/events?after=" + std::to_string(last)));
    EXPECT_EQ(events["events"].size(), 3U);
    const auto edited = event_of(events, "10.1.0.1:8080 in 10.0.0.1:80/tcp");
    ASSERT_TRUE(edited);
    EXPECT_THAT((*edited)["before"].text(), HasSubstr("7"));
    EXPECT_THAT((*edited)["after"].text(), HasSubstr("100"));
    EXPECT_THAT((*edited)["text"].text(), HasSubstr("repaired"));
    const auto added = event_of(events, "10.1.0.2:8080 in 10.0.0.1:80/tcp");
    ASSERT_TRUE(added);
    EXPECT_EQ((*added)["before"], "not there");
    EXPECT_EQ(json(call("POST", "/reconcile"))["drift"], 0);
    EXPECT_TRUE(page_has("\ngorb_drift_total 3\n"));
    EXPECT_TRUE(page_has("\ngorb_reconcile_rounds_total 2\n"));
}

// A scheduler whose module is gone, say, for which each round has several attempts.
TEST_F(KernelTest, DriftThatCanNotBeRepairedIsToldOnceAndThenThatItIs) {
    make_web_up(2);
    const auto told = [&](const char* entry) {
        std::vector<std::string> texts;
        for (const Json& event : json(get("/events"))["events"].elements()) {
            if (event["kind"] == "drift" && event["entry"] == entry) texts.push_back(event["text"].text());
        }
        return texts;
    };
    driver->set_hook(
        [](const ipvs::Op& op, uint64_t) { return op.kind == ipvs::Op::Kind::add_service ? ENOENT : 0; });
    apply(ipvs::Op::remove(key_of("10.0.0.1:80")));
    EXPECT_EQ(json(call("POST", "/reconcile"))["drift"], 3) << "the service and two destinations";
    for (int i = 0; i < 2; ++i) EXPECT_GT(json(call("POST", "/reconcile"))["refused"].number(), 0);
    EXPECT_THAT(told("10.0.0.1:80/tcp"), ElementsAre(HasSubstr("could not be repaired")));
    EXPECT_THAT(told("10.1.0.1:8080 in 10.0.0.1:80/tcp"), SizeIs(1));
    EXPECT_FALSE(json(get("/kernel"))["differences"].at(0)["since"].is_null());
    driver->set_hook({});
    EXPECT_EQ(json(call("POST", "/reconcile"))["refused"], 0);
    EXPECT_THAT(told("10.0.0.1:80/tcp"), ElementsAre(HasSubstr("could not be"), HasSubstr("drift repaired")));
    EXPECT_EQ(json(get("/kernel"))["differences"].size(), 0U);
}

TEST_F(KernelTest, WhatIsForeignIsNoDrift) {
    make_web_up(1);
    make_foreign("10.0.0.1:80", "10.1.0.9:80", 1);
    make_foreign("10.0.0.9:80");
    EXPECT_EQ(json(call("POST", "/reconcile"))["drift"], 0);
    EXPECT_EQ(json(call("POST", "/reconcile?force=true"))["removed"], 0);
    EXPECT_TRUE(dest("10.0.0.1:80", "10.1.0.9:80"));
    EXPECT_TRUE(service("10.0.0.9:80"));
}

struct ReportOnlyTest : KernelTest {
    static control::Options report() {
        control::Options options;
        options.repair_drift = false;
        return options;
    }
    ReportOnlyTest() : KernelTest(report(), nullptr) {}
};

TEST_F(ReportOnlyTest, DriftIsOnlyReportedAndShownWithItsTime) {
    make_web_up(1);
    set_weight("10.0.0.1:80", "10.1.0.1:8080", 7);
    const Json round = json(call("POST", "/reconcile"));
    EXPECT_EQ(round["drift"], 1);
    EXPECT_EQ(round["edited"], 0);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 7U);

    const Json differences = json(get("/kernel"))["differences"];
    ASSERT_EQ(differences.size(), 1U);
    const Json difference = differences.at(0);
    EXPECT_EQ(difference["entry"], "10.1.0.1:8080 in 10.0.0.1:80/tcp");
    EXPECT_THAT(difference["found"].text(), HasSubstr("7"));
    EXPECT_THAT(difference["wanted"].text(), HasSubstr("100"));
    const std::string since = difference["since"].text();
    EXPECT_THAT(since, HasSubstr("Z"));
    const auto event = event_of(json(get("/events")), "10.1.0.1:8080 in 10.0.0.1:80/tcp");
    ASSERT_TRUE(event);
    EXPECT_EQ((*event)["text"].text().find("repaired"), std::string::npos);

    // Seen again it is the same, and tells no second story.
    const auto events = json(get("/events"))["events"].size();
    call("POST", "/reconcile");
    EXPECT_EQ(json(get("/kernel"))["differences"].at(0)["since"].text(), since);
    EXPECT_EQ(json(get("/events"))["events"].size(), events);

    set_weight("10.0.0.1:80", "10.1.0.1:8080", 100);
    call("POST", "/reconcile");
    EXPECT_EQ(json(get("/kernel"))["differences"].size(), 0U);
}

// As one in maintenance is where weight 0 would go on swallowing clients.
TEST_F(ReportOnlyTest, ADestinationThatIsOutAndThatSomebodyPutBackIsADifference) {
    make_web_up(1);
    ASSERT_EQ(call("PATCH", "/service/web", R"({"method":"dh"})").status, 200);
    ASSERT_EQ(call("PATCH", "/service/web/b1", R"({"admin":"maint"})").status, 200);
    ASSERT_FALSE(dest("10.0.0.1:80", "10.1.0.1:8080"));
    EXPECT_EQ(json(get("/kernel"))["differences"].size(), 0U);
    make_foreign("10.0.0.1:80", "10.1.0.1:8080", 5);
    EXPECT_EQ(json(call("POST", "/reconcile"))["drift"], 1);
    EXPECT_TRUE(dest("10.0.0.1:80", "10.1.0.1:8080"));
    const Json differences = json(get("/kernel"))["differences"];
    ASSERT_EQ(differences.size(), 1U);
    EXPECT_EQ(differences.at(0)["entry"], "10.1.0.1:8080 in 10.0.0.1:80/tcp");
    EXPECT_EQ(differences.at(0)["found"], "nat, weight 5");
    EXPECT_EQ(differences.at(0)["wanted"], "not there");
    EXPECT_THAT(differences.at(0)["since"].text(), HasSubstr("Z"));
    apply(ipvs::Op::remove(key_of("10.0.0.1:80"), *base::Endpoint::parse("10.1.0.1:8080")));
    EXPECT_EQ(json(get("/kernel"))["differences"].size(), 0U);
}

// To report is not to keep one's hands off: what gorb has to do with an entry it does, and writes it whole.
TEST_F(ReportOnlyTest, WhatAnEntryIsToBecomeIsDoneAllTheSame) {
    make_web_up(3);
    const auto forwarding = [&](int n, uint32_t value) {
        auto record = *dest("10.0.0.1:80", "10.1.0." + std::to_string(n) + ":8080");
        record.forwarding = value;
        record.weight = 7;
        apply(ipvs::Op::edit(key_of("10.0.0.1:80"), record));
    };
    for (int n = 1; n <= 3; ++n) forwarding(n, 3);
    apply(ipvs::Op::remove(key_of("10.0.0.1:80"), *base::Endpoint::parse("10.1.0.3:8080")));
    EXPECT_EQ(json(call("POST", "/reconcile?force=true"))["drift"], 3);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->forwarding, 3U);

    world.answer("b1", health::failing());
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["effective"] == 0; });
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->forwarding, 0U);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 0U);
    ASSERT_EQ(call("PATCH", "/service/web/b2", R"({"weight":50})").status, 200);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.2:8080")->forwarding, 0U);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.2:8080")->weight, 50U);
    // The others of the service are left as they are, and one that is gone comes back with what it is told.
    EXPECT_FALSE(dest("10.0.0.1:80", "10.1.0.3:8080"));
    ASSERT_EQ(call("PATCH", "/service/web/b3", R"({"weight":50})").status, 200);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.3:8080")->weight, 50U);
    EXPECT_EQ(json(call("POST", "/reconcile"))["drift"], 0);
}

// Changes of many objects compare with what the kernel has, in the services that they change.
TEST_F(ReportOnlyTest, AConfigurationSetsTheServicesRightThatItChanges) {
    make_web_up(2);
    ASSERT_EQ(call("PUT", "/service/other", R"({"address":"10.0.0.2","port":80})").status, 200);
    set_weight("10.0.0.1:80", "10.1.0.2:8080", 7);
    auto other = *service("10.0.0.2:80");
    other.scheduler = "rr";
    apply(ipvs::Op::edit(other));
    std::string config = get("/config").body;
    ASSERT_EQ(call("PUT", "/config", config).status, 200);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.2:8080")->weight, 7U) << "it changes nothing";
    const std::string from = R"("method":"wrr")", to = R"("method":"wlc")";
    config.replace(config.find(from, config.find(R"("web")")), from.size(), to);
    ASSERT_EQ(call("PUT", "/config", config).status, 200);
    EXPECT_EQ(service("10.0.0.1:80")->scheduler, "wlc");
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.2:8080")->weight, 100U);
    EXPECT_EQ(service("10.0.0.2:80")->scheduler, "rr");
}

TEST_F(KernelTest, WrongQuestionsAre400AndDoNothing) {
    make_web_up(1);
    set_weight("10.0.0.1:80", "10.1.0.1:8080", 7);
    const auto ops = driver->ops();
    EXPECT_EQ(call("POST", "/reconcile", "{}").status, 400);
    EXPECT_EQ(call("POST", "/reconcile?adopt=true").status, 400);
    EXPECT_EQ(call("POST", "/reconcile?force=perhaps").status, 400);
    for (const char* query : {"after", "after=x", "after=-1", "before=1"})
        EXPECT_EQ(get("/events?" + std::string(query)).status, 400) << query;
    EXPECT_EQ(get("/kernel?expand=services").status, 400);
    EXPECT_EQ(driver->ops(), ops);
}

}  // namespace
}  // namespace gorb::rest::api_drift_test
