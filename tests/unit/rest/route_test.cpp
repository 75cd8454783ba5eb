#include "rest/route.h"

#include <gtest/gtest.h>

namespace gorb::rest::route_test {
namespace {

Router router() {
    return Router({{"GET", "/", "root", ""},
                   {"GET", "/service", "list", "services"},
                   {"GET", "/service/{service}", "get", "backends"},
                   {"PUT", "/service/{service}", "put", ""},
                   {"GET", "/service/{service}/{backend}", "get_backend", ""},
                   {"PUT", "/log", "log", ""}});
}

// "operation name name" or "status Allow".
std::string target(std::string_view method, std::string_view path) {
    const Router r = router();
    const auto found = r.find(method, path);
    if (const auto* f = std::get_if<Router::Found>(&found)) {
        std::string out(r.route(f->route).operation);
        for (const auto& name : f->names) out += name.empty() ? "" : " " + name;
        return out;
    }
    const auto& missed = std::get<Router::Missed>(found);
    return std::to_string(missed.status) + (missed.allow.empty() ? "" : " " + missed.allow);
}

std::string sentence(std::string_view method, std::string_view path) {
    const auto found = router().find(method, path);
    return std::get<Router::Missed>(found).sentence;
}

TEST(Route, FindsTheOperationAndItsNames) {
    EXPECT_EQ(target("GET", "/"), "root");
    EXPECT_EQ(target("GET", "/service"), "list");
    EXPECT_EQ(target("GET", "/service/web"), "get web");
    EXPECT_EQ(target("PUT", "/service/web"), "put web");
    EXPECT_EQ(target("GET", "/service/web/b1"), "get_backend web b1");
}

TEST(Route, DecodesNames) {
    EXPECT_EQ(target("GET", "/service/w%65b/b%3A1"), "get_backend web b:1");
    EXPECT_EQ(target("GET", "/service/a%2Db"), "get a-b");
}

TEST(Route, RefusesNamesThatBreakTheRule) {
    EXPECT_EQ(target("GET", "/service/a%2Fb"), "400");
    EXPECT_EQ(target("GET", "/service/a%20b"), "400");
    EXPECT_EQ(target("GET", "/service/a%00b"), "400");
    EXPECT_EQ(target("GET", "/service/a+b"), "400");
    EXPECT_EQ(target("GET", "/service/.."), "400");
    EXPECT_EQ(target("GET", "/service/%C3%A4"), "400");
    EXPECT_EQ(target("GET", "/service/" + std::string(128, 'a')), "get " + std::string(128, 'a'));
    EXPECT_EQ(target("GET", "/service/" + std::string(129, 'a')), "400");
    EXPECT_NE(sentence("GET", "/service/web/a%2Fb").find("backend"), std::string::npos);
}

TEST(Route, RefusesBrokenPercentEncoding) {
    EXPECT_EQ(target("GET", "/service/a%"), "400");
    EXPECT_EQ(target("GET", "/service/a%4"), "400");
    EXPECT_EQ(target("GET", "/service/a%zz"), "400");
}

TEST(Route, AWrongMethodIsToldTheRightOnes) {
    EXPECT_EQ(target("POST", "/service/web"), "405 GET, HEAD, PUT, OPTIONS");
    EXPECT_EQ(target("GET", "/log"), "405 PUT, OPTIONS");
    EXPECT_EQ(target("get", "/service"), "405 GET, HEAD, OPTIONS");
    EXPECT_NE(sentence("POST", "/log").find("PUT"), std::string::npos);
}

TEST(Route, AllowIsEmptyForUnknownPaths) {
    EXPECT_EQ(router().allow("/service/web"), "GET, HEAD, PUT, OPTIONS");
    EXPECT_EQ(router().allow("/nothing"), "");
    EXPECT_EQ(router().allow("*"), "");
}

TEST(Route, AnUnknownPathIsToldTheKnownOnes) {
    for (const char* path :
         {"/nothing", "/service/web/b1/more", "//", "", "service", "*", "/service//b1", "/Service"}) {
        EXPECT_EQ(target("GET", path), "404") << path;
    }
    EXPECT_NE(sentence("GET", "/nothing").find("/service/{service}/{backend}"), std::string::npos);
}

TEST(Route, ATrailingSlashIsToldThePathWithout) {
    EXPECT_EQ(target("GET", "/service/web/"), "404");
    EXPECT_NE(sentence("GET", "/service/web/").find("it is \"/service/web\""), std::string::npos);
    EXPECT_NE(sentence("GET", "/service/").find("it is \"/service\""), std::string::npos);
    EXPECT_EQ(sentence("GET", "/nothing/").find("it is"), std::string::npos);
}

TEST(Route, ShowsOnlyPrintableCharacters) {
    EXPECT_EQ(shown("a\n\xff"), "\"a??\"");
    EXPECT_EQ(shown(std::string(200, 'x')), "\"" + std::string(100, 'x') + "...\"");
}

}  // namespace
}  // namespace gorb::rest::route_test
