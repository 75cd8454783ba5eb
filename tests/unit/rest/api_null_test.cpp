// null in a whole document, as Go writes what is not set: where the contract declares it, it is taken.
#include <gtest/gtest.h>

#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_null_test {
namespace {

// "\"quorum\":null,\"max-down\":null"
std::string nulls(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "\"" : ",\"") + name + "\":null";
    return out;
}

struct ApiNullTest : ApiTest {
    const std::string service = R"("address":"10.0.0.1","port":80)";
    const std::string backend = R"("address":"10.1.0.1","port":80)";

    // The text of what is configured.
    std::string options(const std::string& target) {
        const std::string body = get(target).body;
        const size_t from = body.find("\"options\":");
        return body.substr(from, body.find("\"origin\"") - from);
    }
};

TEST_F(ApiNullTest, OfAServiceItIsTheDefault) {
    const auto names = contract.nullable("ServiceDocument");
    ASSERT_GT(names.size(), 5U);
    for (const std::string& name : names) {
        const auto put = call("PUT", "/service/web", "{" + service + "," + nulls({name}) + "}");
        EXPECT_EQ(put.status, 200) << put.body;
    }
    // All at once, in place of something else.
    const std::string plain = options("/service/web");
    const auto changed = [&] {
        const std::string other = R"(,"method":"wlc","quorum":3,"slow-start":"30s","persistent":600})";
        ASSERT_EQ(call("PUT", "/service/web", "{" + service + other, "*").status, 200);
        ASSERT_NE(options("/service/web"), plain);
    };
    changed();
    const auto put = call("PUT", "/service/web", "{" + service + "," + nulls(names) + "}", "*");
    ASSERT_EQ(put.status, 200) << put.body;
    EXPECT_EQ(options("/service/web"), plain);
    changed();
    const auto patch = call("PATCH", "/service/web", "{" + nulls(contract.nullable("ServicePatch")) + "}");
    ASSERT_EQ(patch.status, 200) << patch.body;
    EXPECT_EQ(options("/service/web"), plain);
}

TEST_F(ApiNullTest, OfABackendAndItsPulseItIsTheDefault) {
    make_web();
    const auto of_backend = contract.nullable("BackendDocument"),
               of_pulse = contract.nullable("PulseDocument");
    ASSERT_GT(of_backend.size(), 3U);
    ASSERT_GT(of_pulse.size(), 10U);
    std::vector<std::string> bodies;
    bodies.reserve(of_backend.size() + of_pulse.size() + 1);
    for (const std::string& name : of_backend) bodies.push_back("{" + backend + "," + nulls({name}) + "}");
    for (const std::string& name : of_pulse)
        bodies.push_back("{" + backend + R"(,"pulse":{"type":"tcp",)" + nulls({name}) + "}}");
    bodies.push_back("{" + backend + "," + nulls(of_backend) + "}");
    for (const std::string& body : bodies) {
        const auto put = call("PUT", "/service/web/b1", body);
        EXPECT_EQ(put.status, 200) << body << " " << put.body;
    }
    const auto patched = call("PATCH", "/service/web/b1", R"({"pulse":{)" + nulls(of_pulse) + "}}");
    EXPECT_EQ(patched.status, 200) << patched.body;
    ASSERT_EQ(call("PATCH", "/service/web/b1",
                   R"({"weight":7,"upper-threshold":9,"pulses":[{"type":"tcp","rise":7},{"type":"tcp"}]})")
                  .status,
              200);
    const auto reset = call("PATCH", "/service/web/b1", "{" + nulls(contract.nullable("BackendPatch")) + "}");
    ASSERT_EQ(reset.status, 200) << reset.body;
    const Json options = json(reset)["options"];
    EXPECT_EQ(options["weight"], 100);
    EXPECT_EQ(options["upper-threshold"], 0);
    EXPECT_EQ(options["pulse"]["rise"], 2);
    EXPECT_FALSE(options.has("pulses"));
}

TEST_F(ApiNullTest, OfAWholeConfigurationItIsTheDefault) {
    const auto of_service = contract.nullable("ConfigServiceDocument"),
               of_backend = contract.nullable("BackendDocument"),
               of_pulse = contract.nullable("PulseDocument");
    ASSERT_GT(of_service.size(), 5U);
    const auto put = [this](const std::string& more) {
        const auto answer = call("PUT", "/config", R"({"services":{"web":{)" + service + "," + more + "}}}");
        EXPECT_EQ(answer.status, 200) << more << " " << answer.body;
    };
    for (const std::string& name : of_service) put(nulls({name}));
    for (const std::string& name : of_backend)
        put(R"("backends":{"b1":{)" + backend + "," + nulls({name}) + "}}");
    for (const std::string& name : of_pulse)
        put(R"("backends":{"b1":{)" + backend + R"(,"pulse":{"type":"tcp",)" + nulls({name}) + "}}}");
}

TEST_F(ApiNullTest, OfWhatHasToBeThereItIsAFault) {
    EXPECT_EQ(pointers(call("PUT", "/service/web", R"({"address":"10.0.0.1","port":null})")), "/port");
    EXPECT_EQ(pointers(call("PUT", "/service/web", R"({"address":null,"port":80})")), "/address");
    make_web();
    EXPECT_EQ(pointers(call("PUT", "/service/web/b1",
                            "{" + backend + R"(,"pulse":{"window":{"failures":3,"of":null}}})")),
              "/pulse/window/of");
    EXPECT_EQ(pointers(call("PUT", "/service/web/b1",
                            "{" + backend + R"(,"pulse":{"window":{"failures":null,"of":5}}})")),
              "/pulse/window/failures");
}

}  // namespace
}  // namespace gorb::rest::api_null_test
