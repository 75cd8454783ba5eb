// openapi.json against the table of routes; that answers keep to it is judged in every test of the API
// (api_fixture.h).
#include <gtest/gtest.h>

#include <algorithm>

#include "rest/api.h"
#include "rest/openapi.h"
#include "unit/rest/openapi_check.h"

namespace gorb::rest::openapi_test {
namespace {

// "expand=services adopt" -> expand, adopt.
std::set<std::string> parameters(std::string_view takes) {
    std::set<std::string> names;
    while (!takes.empty()) {
        const std::string_view one = takes.substr(0, takes.find(' '));
        takes.remove_prefix(std::min(takes.size(), one.size() + 1));
        names.emplace(one.substr(0, one.find('=')));
    }
    return names;
}

TEST(OpenApi, EveryRouteIsDocumentedAndEveryDocumentedPathRouted) {
    const OpenApi contract;
    std::set<std::string> documented, routed;
    for (const auto& [id, op] : contract.operations())
        documented.insert(id + " " + op.method + " " + op.path);
    for (const Route& r : api_routes()) {
        routed.insert(std::string(r.operation) + " " + std::string(r.method) + " " + std::string(r.pattern));
    }
    EXPECT_EQ(documented, routed);
}

TEST(OpenApi, ParametersAreThoseOfTheRoutes) {
    const OpenApi contract;
    for (const Route& r : api_routes()) {
        const auto& op = contract.operations().at(std::string(r.operation));
        EXPECT_EQ(op.query, parameters(r.takes)) << op.id;
        EXPECT_EQ(static_cast<size_t>(std::ranges::count(r.pattern, '{')), op.path_names.size()) << op.id;
        for (const std::string& name : op.path_names) {
            EXPECT_NE(r.pattern.find("{" + name + "}"), std::string_view::npos) << op.id << " " << name;
        }
    }
}

TEST(OpenApi, ConditionsAreDeclaredWhereTheyAreTaken) {
    const OpenApi contract;
    for (const Route& r : api_routes()) {
        const auto& op = contract.operations().at(std::string(r.operation));
        EXPECT_EQ(op.headers.contains("If-Match"), r.conditional) << op.id;
    }
}

TEST(OpenApi, BodiesAreDeclaredWhereTheyAreRead) {
    const OpenApi contract;
    for (const auto& [id, op] : contract.operations()) {
        const bool reads = op.method == "PUT" || op.method == "PATCH" || op.method == "POST";
        EXPECT_EQ(op.document->HasMember("requestBody"), reads && id != "reconcile") << id;
        for (const char* status : {"413", "415"})
            EXPECT_EQ(op.statuses.contains(status), reads) << id << " " << status;
        EXPECT_TRUE(op.statuses.contains("200") && op.statuses.contains("400")) << id;
    }
}

// A client that was generated fills in defaults, and what a PATCH leaves out is to stay as it is.
TEST(OpenApi, PatchesHaveNoDefaults) {
    const OpenApi contract;
    for (const auto& [id, op] : contract.operations()) {
        if (op.method != "PATCH") continue;
        EXPECT_EQ(contract.places_in_body(id, "default"), std::vector<std::string>()) << id;
        EXPECT_GT(contract.places_in_body(id, "type").size(), 10U) << id;
    }
    EXPECT_GT(contract.places_in_body("putBackend", "default").size(), 5U);
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
    EXPECT_EQ(OpenApi().dangling(), std::vector<std::string>());
}

TEST(OpenApi, AFieldThatIsNotDeclaredIsFound) {
    const OpenApi contract;
    Response r;
    r.body = R"({"level":"info"})";
    EXPECT_EQ(contract.wrong_with("getLog", r), "");
    r.body = R"({"level":"info","more":1})";
    EXPECT_NE(contract.wrong_with("getLog", r), "");
    r.body = R"({"level":"loud"})";
    EXPECT_NE(contract.wrong_with("getLog", r), "");
    r.body = "{}";
    EXPECT_NE(contract.wrong_with("getLog", r), "");
    r.status = 418;
    EXPECT_NE(contract.wrong_with("getLog", r), "");
    EXPECT_EQ(contract.wrong_with_body("putBackend", R"({"port":1,"pulse":{"type":"http","path":"/"}})"), "");
    EXPECT_NE(contract.wrong_with_body("putBackend", R"({"port":1,"wieght":1})"), "");
}

TEST(OpenApi, NullIsTakenWhereItIsDeclared) {
    const OpenApi contract;
    Response r;
    r.body =
        R"({"plugins":[{"name":"a","kind":"k","version":"1","summary":"s","file":"f","build":"b","args":[],"options":[
        {"name":"o","type":"text","required":false,"secret":false,"default":null,"range":null,"help":"h"}]}],"refused":[]})";
    EXPECT_EQ(contract.wrong_with("listPlugins", r), "");
    r.body.replace(r.body.find("\"h\""), 3, "null");
    EXPECT_NE(contract.wrong_with("listPlugins", r), "");
}

}  // namespace
}  // namespace gorb::rest::openapi_test
