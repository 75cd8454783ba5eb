// The kernel's table over the API: whose its entries are, what is in the way, what is taken over.
#include <gmock/gmock.h>

#include <cerrno>

#include "rest/kernel_resource.h"
#include "unit/rest/api_kernel_fixture.h"

namespace gorb::rest::api_kernel_test {
namespace {

using testing::HasSubstr;
using Owners = std::map<std::string, std::string>;

TEST_F(KernelTest, EveryEntryHasItsOwner) {
    make_web_up(1);
    make_foreign("10.0.0.1:80", "10.1.0.9:8080", 5);
    make_foreign("10.0.0.9:80");
    make_foreign("10.0.0.9:80", "10.1.0.1:8080", 5);
    const Json kernel = json(get("/kernel"));
    ASSERT_EQ(kernel["services"].size(), 2U);
    const Json web = kernel["services"].at(0);
    EXPECT_EQ(owner(web), "gorb web");
    EXPECT_EQ(web["address"], "10.0.0.1");
    EXPECT_EQ(web["port"], 80);
    EXPECT_EQ(web["protocol"], "tcp");
    ASSERT_EQ(web["destinations"].size(), 2U);
    EXPECT_EQ(owner(web["destinations"].at(0)), "gorb b1");
    EXPECT_EQ(web["destinations"].at(0)["weight"], 100);
    EXPECT_EQ(owner(web["destinations"].at(1)), "foreign");
    const Json other = kernel["services"].at(1);
    EXPECT_EQ(owner(other), "foreign");
    EXPECT_EQ(owner(other["destinations"].at(0)), "foreign");
    EXPECT_EQ(kernel["differences"].size(), 0U);
}

TEST_F(KernelTest, AMarkIsShownWithItsFamily) {
    for (const auto family : {base::Ip::Family::v4, base::Ip::Family::v6}) {
        ipvs::ServiceRecord record;
        record.key.family = family;
        record.key.fwmark = 7;
        record.scheduler = "wrr";
        record.netmask = family == base::Ip::Family::v6 ? 128 : 32;
        apply(ipvs::Op::add(record));
    }
    const Json kernel = json(get("/kernel"));
    ASSERT_EQ(kernel["services"].size(), 2U);
    EXPECT_EQ(kernel["services"].at(0)["family"], "ipv4");
    EXPECT_EQ(kernel["services"].at(1)["family"], "ipv6");
    EXPECT_EQ(kernel["services"].at(1)["fwmark"], 7);
}

TEST_F(KernelTest, WhatTheKernelDoesNotLetGoIsLeavingUntilItIsGone) {
    make_web_up(2);
    driver->set_hook(
        [](const ipvs::Op& op, uint64_t) { return op.kind == ipvs::Op::Kind::remove_dest ? EBUSY : 0; });
    const auto put = call("PUT", "/config", R"({"services":{"web":{"address":"10.0.0.1","port":80}}})");
    ASSERT_EQ(put.status, 200) << put.body;
    EXPECT_EQ(json(put)["removed"], 2);
    EXPECT_EQ(
        owners(),
        (Owners{{"10.0.0.1:80", "gorb web"}, {"10.1.0.1:8080", "leaving"}, {"10.1.0.2:8080", "leaving"}}));
    driver->set_hook({});
    call("POST", "/reconcile");
    EXPECT_EQ(owners(), (Owners{{"10.0.0.1:80", "gorb web"}}));
}

store::Leaving leaving_service(const char* vip) {
    store::Leaving entry;
    entry.service.protocol = model::Protocol::tcp;
    entry.service.vip = *base::Endpoint::parse(vip);
    return entry;
}

// The guard holds since the start, so what it holds is made here.
TEST_F(KernelTest, WhatIsHeldIsShownWithWhatLetsItGo) {
    make_foreign("10.0.0.8:80");
    make_foreign("10.0.0.8:80", "10.1.0.8:8080", 5);
    make_foreign("10.0.0.9:80");
    make_foreign("10.0.0.9:80", "10.1.0.9:8080", 5);
    control::Ownership whose;
    whose.snapshot = control->snapshot();
    for (const char* vip : {"10.0.0.8:80", "10.0.0.9:80"}) whose.leaving.insert(leaving_service(vip));
    whose.held.insert(leaving_service("10.0.0.9:80"));
    const Response response = kernel_response(
        *control, {whose, control->wanted(*whose.snapshot), reconcile::read_table(*driver).value()}, whose);
    EXPECT_EQ(contract.wrong_with("getKernel", response), "");
    const Json kernel = json(response);
    ASSERT_EQ(kernel["services"].size(), 2U);
    const Json goes = kernel["services"].at(0), held = kernel["services"].at(1);
    EXPECT_EQ(owner(goes), "leaving");
    EXPECT_FALSE(goes.has("held"));
    EXPECT_FALSE(goes["destinations"].at(0).has("held"));
    EXPECT_EQ(owner(held), "leaving");
    EXPECT_THAT(held["held"].text(), HasSubstr("POST /reconcile?force=true"));
    EXPECT_TRUE(held["destinations"].at(0).has("held"));
    ASSERT_EQ(kernel["differences"].size(), 2U);
    EXPECT_FALSE(kernel["differences"].at(0).has("held"));
    EXPECT_TRUE(kernel["differences"].at(1).has("held"));
}

// Each change comes while the table is read: before that has got to its entry, and after.
TEST_F(KernelTest, WhatIsChangedWhileTheTableIsReadIsNeitherForeignNorADifference) {
    make_web_up(2);
    const Handler changing = api;
    std::vector<std::vector<std::string>> first, then;
    api = make_api({*control,
                    registry,
                    metrics,
                    "1.2.3",
                    [&] {
                        const auto change = [&](const std::vector<std::vector<std::string>>& calls) {
                            for (const auto& c : calls) {
                                std::promise<int> status;
                                auto request = std::make_shared<Request>();
                                request->method = c[0];
                                request->path = c[1];
                                request->body = c[2];
                                changing(request, [&](const Response& r) { status.set_value(r.status); });
                                EXPECT_EQ(status.get_future().get(), 200) << c[0] << " " << c[1];
                            }
                        };
                        change(first);
                        auto table = reconcile::read_table(*driver);
                        change(then);
                        return table;
                    },
                    {},
                    {},
                    {}});
    const std::vector<std::vector<std::string>> add{
        {"PUT", "/service/new", R"({"address":"10.0.0.2","port":80})"},
        {"PUT", "/service/web/b3", R"({"address":"10.1.0.3","port":8080,"pulse":{"type":"none"}})"}},
        edit{{"PATCH", "/service/web", R"({"method":"rr"})"},
             {"PATCH", "/service/web/b1", R"({"weight":7})"}},
        remove{{"DELETE", "/service/new", ""}, {"DELETE", "/service/web/b3", ""}};
    for (const auto& [before, after] : {std::pair{add, edit}, std::pair{edit, remove}}) {
        first = before;
        then = after;
        const Json kernel = json(get("/kernel"));
        for (const auto& [place, whose] : owners(kernel)) EXPECT_EQ(whose.substr(0, 4), "gorb") << place;
        EXPECT_EQ(kernel["differences"].size(), 0U);
    }
    first.clear();
    then.clear();
    set_weight("10.0.0.1:80", "10.1.0.1:8080", 3);
    EXPECT_EQ(json(get("/kernel"))["differences"].size(), 1U);
}

// What is wanted of a backend is its newest weight, which may come after all the rest of the answer is known.
TEST_F(KernelTest, AWeightThatChangesBeforeTheAnswerIsWrittenIsNoDifference) {
    make_web_up(3);
    control::Ownership whose;
    whose.snapshot = control->snapshot();
    set_weight("10.0.0.1:80", "10.1.0.3:8080", 3);
    const KernelReading reading{whose, control->wanted(*whose.snapshot),
                                reconcile::read_table(*driver).value()};
    ASSERT_EQ(call("PATCH", "/service/web/b1", R"({"weight":7})").status, 200);
    ASSERT_EQ(call("DELETE", "/service/web/b2").status, 200);
    const Json kernel = json(kernel_response(*control, reading, whose));
    ASSERT_EQ(kernel["differences"].size(), 1U);
    EXPECT_EQ(kernel["differences"].at(0)["entry"].text(), "10.1.0.3:8080 in 10.0.0.1:80/tcp");
}

TEST_F(KernelTest, AForeignServiceIsInTheWayAndNamed) {
    make_foreign("10.0.0.1:80", "rr");
    const auto ops = driver->ops();
    const auto put = call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80,"method":"wlc"})");
    EXPECT_EQ(put.status, 409);
    EXPECT_THAT(error(put), HasSubstr("10.0.0.1:80/tcp"));
    EXPECT_THAT(error(put), HasSubstr("adopt=true"));
    EXPECT_EQ(get("/service/web").status, 404);
    EXPECT_EQ(service("10.0.0.1:80")->scheduler, "rr");
    EXPECT_EQ(driver->ops(), ops);

    const auto config = call("PUT", "/config", R"({"services":{"web":{"address":"10.0.0.1","port":80}}})");
    EXPECT_EQ(config.status, 409);
    EXPECT_THAT(error(config), HasSubstr("10.0.0.1:80/tcp"));
    EXPECT_EQ(driver->ops(), ops);
    EXPECT_EQ(call("POST", "/plan", R"({"services":{"web":{"address":"10.0.0.1","port":80}}})").status, 409);

    const auto taken =
        call("PUT", "/service/web?adopt=true", R"({"address":"10.0.0.1","port":80,"method":"wlc"})");
    EXPECT_EQ(taken.status, 200) << taken.body;
    EXPECT_EQ(service("10.0.0.1:80")->scheduler, "wlc");
    EXPECT_EQ(owners(), (Owners{{"10.0.0.1:80", "gorb web"}}));
}

TEST_F(KernelTest, AForeignDestinationIsInTheWayAndKeepsItsWeightWhenItIsAdopted) {
    make_web();
    make_foreign("10.0.0.1:80", "10.1.0.1:8080", 37);
    world.answer("b1", health::not_known());
    const std::string body = R"({"address":"10.1.0.1","port":8080,"weight":90,"pulse":{"interval":"10ms"}})";
    const auto put = call("PUT", "/service/web/b1", body);
    EXPECT_EQ(put.status, 409);
    EXPECT_THAT(error(put), HasSubstr("10.1.0.1:8080"));
    EXPECT_THAT(error(put), HasSubstr("10.0.0.1:80/tcp"));
    EXPECT_EQ(get("/service/web/b1").status, 404);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 37U);

    const auto taken = call("PUT", "/service/web/b1?adopt=true", body);
    EXPECT_EQ(taken.status, 200) << taken.body;
    EXPECT_EQ(json(taken)["weight"]["effective"], 37);
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 37U);
    EXPECT_EQ(owners()["10.1.0.1:8080"], "gorb b1");
    world.answer("b1", health::passing());
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["effective"] == 90; });
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 90U);
}

TEST_F(KernelTest, AForeignServiceIsAdoptedWithItsDestinations) {
    make_foreign("10.0.0.1:80", "wlc");
    make_foreign("10.0.0.1:80", "10.1.0.1:8080", 37);
    make_foreign("10.0.0.1:80", "10.1.0.2:8080", 0);
    const auto adopted = call("POST", "/kernel/adopt", R"({"address":"10.0.0.1","port":80})");
    ASSERT_EQ(adopted.status, 200) << adopted.body;
    const Json j = json(adopted);
    EXPECT_EQ(j["name"], "tcp-10.0.0.1-80");
    EXPECT_EQ(j["options"]["method"], "wlc");
    EXPECT_EQ(j["origin"], "api");
    EXPECT_EQ(j["applied"], true);
    EXPECT_EQ(j["backends"].size(), 2U);
    EXPECT_EQ(adopted.etag, get("/service/tcp-10.0.0.1-80").etag);
    const Json b = json(get("/service/tcp-10.0.0.1-80/10.1.0.1-8080"));
    EXPECT_EQ(b["options"]["weight"], 37);
    EXPECT_EQ(b["options"]["pulse"]["type"], "tcp");
    EXPECT_EQ(dest("10.0.0.1:80", "10.1.0.1:8080")->weight, 37U);
    EXPECT_EQ(owners(), (Owners{{"10.0.0.1:80", "gorb tcp-10.0.0.1-80"},
                                {"10.1.0.1:8080", "gorb 10.1.0.1-8080"},
                                {"10.1.0.2:8080", "gorb 10.1.0.2-8080"}}));
}

TEST_F(KernelTest, WhatAnAdoptionChangesAboutWhereClientsGoIsNoted) {
    make_foreign("10.0.0.1:80", "sh");
    make_foreign("10.0.0.1:80", "10.1.0.1:8080", 100);
    make_foreign("10.0.0.1:80", "10.1.0.2:8080", 100);
    const auto adopted = call("POST", "/kernel/adopt", R"({"address":"10.0.0.1","port":80})");
    ASSERT_EQ(adopted.status, 200) << adopted.body;
    EXPECT_THAT(json(adopted)["note"].text(), HasSubstr("divided"));
}

TEST_F(KernelTest, AnAdoptedServiceHasTheNameAndThePulseThatAreGiven) {
    make_foreign("10.0.0.1:80");
    make_foreign("10.0.0.1:80", "10.1.0.1:8080", 37);
    const auto adopted = call(
        "POST", "/kernel/adopt",
        R"({"host":"10.0.0.1","port":80,"protocol":"tcp","name":"web","pulse":{"type":"http","path":"/up"}})");
    ASSERT_EQ(adopted.status, 200) << adopted.body;
    EXPECT_EQ(json(adopted)["name"], "web");
    const Json b = json(get("/service/web/10.1.0.1-8080"));
    EXPECT_EQ(b["options"]["pulse"]["type"], "http");
    EXPECT_EQ(b["options"]["pulse"]["args"]["path"], "/up");
}

TEST_F(KernelTest, WhoSaysNothingOfPulsesLeavesThemToWhatIsFound) {
    for (const char* unsaid : {"", R"(,"pulse":null)"}) {
        const auto adopt =
            read_adopt(R"({"address":"10.0.0.1","port":53,"protocol":"udp")" + std::string(unsaid) + "}");
        ASSERT_TRUE(adopt) << adopt.error().sentence;
        EXPECT_FALSE(adopt->pulses);
    }
    for (const char* said : {R"("pulse":{"type":"tcp"})", R"("pulses":[{"type":"tcp"}])"}) {
        const auto adopt =
            read_adopt(R"({"address":"10.0.0.1","port":53,"protocol":"udp",)" + std::string(said) + "}");
        ASSERT_TRUE(adopt) << adopt.error().sentence;
        EXPECT_EQ(adopt->pulses, model::PulseList());
    }
}

TEST_F(KernelTest, WhatIsNotThereOrNotToBeAdoptedIsSaidAndNothingChanges) {
    make_web();
    make_foreign("10.0.0.2:80");
    make_foreign("10.0.0.4:80");
    ipvs::DestRecord bypass;
    bypass.address = *base::Endpoint::parse("10.1.0.1:80");
    bypass.forwarding = 4;
    apply(ipvs::Op::add(key_of("10.0.0.2:80"), bypass));
    const auto ops = driver->ops();
    const auto before = get("/config").body;
    const std::vector<std::tuple<int, std::string, std::string>> cases{
        {404, R"({"address":"10.0.0.3","port":80})", "10.0.0.3:80/tcp"},
        {404, R"({"address":"10.0.0.2","port":80,"protocol":"udp"})", "10.0.0.2:80/udp"},
        {409, R"({"address":"10.0.0.2","port":80})", "10.1.0.1:80"},
        {409, R"({"address":"10.0.0.1","port":80,"name":"other"})", "web"},
        {409, R"({"address":"10.0.0.4","port":80,"name":"web"})", "web"},
    };
    for (const auto& [status, body, named] : cases) {
        const auto reply = call("POST", "/kernel/adopt", body);
        EXPECT_EQ(reply.status, status) << body << ": " << reply.body;
        EXPECT_THAT(error(reply), HasSubstr(named));
    }
    EXPECT_EQ(driver->ops(), ops);
    EXPECT_EQ(get("/config").body, before);
}

TEST_F(KernelTest, WrongBodiesOfAdoptNameTheirFields) {
    make_foreign("10.0.0.1:80");
    const std::vector<std::pair<std::string, std::string>> cases{
        {"{}", "/address /port"},
        {R"({"address":"here","port":80})", "/address"},
        {R"({"address":"10.0.0.1","port":"80"})", "/port"},
        {R"({"address":"10.0.0.1","port":80,"protocol":"sctp"})", "/protocol"},
        {R"({"address":"10.0.0.1","port":80,"name":"a b"})", "/name"},
        {R"({"address":"10.0.0.1","port":80,"colour":1})", "/colour"},
        {R"({"address":"10.0.0.1","port":80,"pulse":{"interval":"soon"}})", "/pulse/interval"},
    };
    for (const auto& [body, where] : cases) {
        const auto reply = call("POST", "/kernel/adopt", body);
        EXPECT_EQ(reply.status, 400) << body;
        EXPECT_EQ(pointers(reply), where) << reply.body;
    }
    for (const char* body : {"", "[]", "x"})
        EXPECT_EQ(call("POST", "/kernel/adopt", body).status, 400) << body;
    EXPECT_EQ(get("/service").body, "[]");
    EXPECT_EQ(owners(), (Owners{{"10.0.0.1:80", "foreign"}}));
}

}  // namespace
}  // namespace gorb::rest::api_kernel_test
