// What is wrong with a request, and what the kernel refuses: each with its status and sentence.
#include <gmock/gmock.h>

#include <array>
#include <cerrno>

#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_error_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST_F(ApiTest, UnknownObjectsAre404ByName) {
    make_web();
    EXPECT_EQ(get("/service/none").status, 404);
    EXPECT_THAT(error(get("/service/none")), HasSubstr("\"none\""));
    EXPECT_THAT(error(get("/service/web/b9")), HasSubstr("\"b9\""));
    EXPECT_THAT(error(get("/service/none/b9")), HasSubstr("\"none\""));
    EXPECT_EQ(call("PUT", "/service/none/b1", R"({"address":"10.1.0.1","port":80})").status, 404);
}

TEST_F(ApiTest, UnknownPathsAndMethodsAreTold) {
    const auto path = get("/services");
    EXPECT_EQ(path.status, 404);
    EXPECT_THAT(error(path), HasSubstr("/service/{service}"));
    EXPECT_EQ(get("/service/").status, 404);
    const auto method = call("POST", "/service/web", "{}");
    EXPECT_EQ(method.status, 405);
    ASSERT_EQ(method.headers.size(), 1U);
    EXPECT_EQ(method.headers[0].first, "Allow");
    EXPECT_EQ(method.headers[0].second, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
}

TEST_F(ApiTest, OptionsAnswersWhatIsAllowed) {
    const auto options = call("OPTIONS", "/service/web/b1");
    EXPECT_EQ(options.status, 200);
    EXPECT_EQ(options.headers.at(0).second, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    EXPECT_EQ(json(options)["allow"], "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    EXPECT_EQ(call("OPTIONS", "/nothing").status, 404);
}

TEST_F(ApiTest, OptionsOfNoPathAnswersWhatTheServerAsAWholeTakes) {
    const auto options = call("OPTIONS", "*");  // RFC 9110, 9.3.7
    EXPECT_EQ(options.status, 204);
    EXPECT_EQ(options.body, "");
    ASSERT_EQ(options.headers.size(), 1U);
    EXPECT_EQ(options.headers[0].first, "Allow");
    EXPECT_EQ(options.headers[0].second, "GET, HEAD, PUT, PATCH, DELETE, POST, OPTIONS");
    EXPECT_EQ(get("*").status, 404);
}

TEST_F(ApiTest, WrongNamesAre400) {
    const auto r = call("PUT", "/service/a%2Fb", R"({"address":"10.0.0.1","port":80})");
    EXPECT_EQ(r.status, 400);
    EXPECT_THAT(error(r), HasSubstr("1 to 128 characters"));
}

TEST_F(ApiTest, UnknownQueryParametersAre400) {
    EXPECT_EQ(get("/service?expand=backends").status, 400);
    EXPECT_EQ(get("/plugins?verbose=1").status, 400);
}

TEST_F(ApiTest, AConditionWhereNoneIsTakenIs400AndNothingIsDone) {
    make_web(1);
    const std::vector<std::array<const char*, 3>> requests{
        {"POST", "/reconcile", ""},
        {"POST", "/plan", R"({"services":{}})"},
        {"POST", "/kernel/adopt", R"({"address":"10.0.0.9","port":80})"},
        {"PUT", "/service/web/b1/pulse", R"({"status":"pass"})"},
        {"PUT", "/log", R"({"level":"error"})"},
    };
    for (const auto& [method, path, body] : requests) {
        Request none_match;
        none_match.method = method;
        none_match.path = path;
        none_match.body = body;
        none_match.if_none_match = "*";
        for (const Response& no : {call(method, path, body, "\"a-1\""), send(std::move(none_match))}) {
            EXPECT_EQ(no.status, 400) << path;
            EXPECT_NE(error(no).find("takes no condition"), std::string::npos) << error(no);
        }
    }
    EXPECT_NE(json(get("/log"))["level"].text(), "error");
    EXPECT_EQ(call("GET", "/service/web", "", "\"a-1\"").status, 200);  // of what is shown it is not asked
}

TEST_F(ApiTest, MalformedJsonIs400AndSaysWhere) {
    for (const char* body : {"", "{", "[]", "1", "{\"port\":}", "{\"a\":1,\"a\":2}", "{} x"}) {
        const auto r = call("PUT", "/service/web", body);
        EXPECT_EQ(r.status, 400) << body;
        EXPECT_NE(error(r), "") << body;
    }
}

TEST_F(ApiTest, EveryWrongFieldIsNamedAtOnce) {
    const auto s = call("PUT", "/service/web",
                        R"({"address":"10.0.0.1","port":70000,"protocol":"sctp","colour":"red"})");
    EXPECT_EQ(s.status, 400);
    EXPECT_THAT(pointers(s), HasSubstr("/port"));
    EXPECT_THAT(pointers(s), HasSubstr("/protocol"));
    EXPECT_THAT(pointers(s), HasSubstr("/colour"));
    make_web();
    const auto b = call("PUT", "/service/web/b1",
                        R"({"address":"10.1.0.1","port":"80","weight":-1,"pulse":{"interval":"never"}})");
    EXPECT_EQ(b.status, 400);
    EXPECT_THAT(pointers(b), HasSubstr("/port"));
    EXPECT_THAT(pointers(b), HasSubstr("/weight"));
    EXPECT_THAT(pointers(b), HasSubstr("/pulse/interval"));
}

TEST_F(ApiTest, AWebPageMakesNoBrowserChangeAnything) {
    make_web();
    const auto ask = [&](const std::string& method, const std::string& path, const std::string& body,
                         const std::string& origin) {
        Request request;
        request.method = method;
        request.path = path;
        request.content_type = "application/json";
        request.body = body;
        request.origin = origin;
        return send(request);
    };
    // A name of the page's own may point to gorbd's address, so that no browser asks first.
    for (const char* origin : {"http://evil.example:4672", "null", "https://lb.example.com"}) {
        for (const auto& [method, path, body] : std::initializer_list<std::array<const char*, 3>>{
                 {"DELETE", "/service/web", ""},
                 {"PUT", "/service/other", R"({"address":"10.0.0.2","port":80})"},
                 {"PATCH", "/service/web", R"({"scheduler":"rr"})"},
                 {"POST", "/reconcile", ""},
                 {"POST", "/plan", R"({"services":{}})"},
                 {"PUT", "/log", R"({"level":"debug"})"}}) {
            const auto answer = ask(method, path, body, origin);
            EXPECT_EQ(answer.status, 403) << method << path;
            EXPECT_THAT(error(answer), AllOf(HasSubstr(origin), HasSubstr("web-origins")));
        }
        EXPECT_EQ(ask("GET", "/service/web", "", origin).status, 200);
    }
    EXPECT_EQ(get("/service").body, R"(["web"])");
    EXPECT_EQ(ask("PUT", "/log", R"({"level":"info"})", "https://ops.example").status, 200);
    EXPECT_EQ(ask("DELETE", "/service/web", "", "").status, 200);
    // Who asks first is not let: there is no Access-Control-Allow-Origin.
    Request first;
    first.method = "OPTIONS";
    first.path = "/service/web";
    for (const auto& [name, value] : send(first).headers) EXPECT_EQ(name, "Allow");
}

TEST_F(ApiTest, ContentThatIsNotJsonIs415) {
    Request r;
    r.method = "PUT";
    r.path = "/service/web";
    r.body = R"({"address":"10.0.0.1","port":80})";
    for (const char* type : {"text/plain", "application/xml", "multipart/form-data; boundary=x"}) {
        r.content_type = type;
        const auto response = send(r);
        EXPECT_EQ(response.status, 415) << type;
        EXPECT_THAT(error(response), HasSubstr("application/json"));
    }
    EXPECT_EQ(get("/service").body, "[]");
    for (const char* type : {"application/json; charset=utf-8", "application/x-www-form-urlencoded", ""}) {
        r.content_type = type;
        EXPECT_EQ(send(r).status, 200) << type;
    }
}

TEST_F(ApiTest, ADeleteWithABodyIsRefused) {
    make_web();
    const auto refused = call("DELETE", "/service/web", R"({"drain":"30s"})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(error(refused), HasSubstr("?drain=30s"));
    EXPECT_EQ(get("/service/web").status, 200) << "its author wanted something else than it had got";
}

TEST_F(ApiTest, APatchIsNoListOfOperations) {
    make_web();
    Request r;
    r.method = "PATCH";
    r.path = "/service/web";
    r.content_type = "application/json-patch+json; charset=utf-8";
    r.body = R"([{"op":"replace","path":"/method","value":"rr"}])";
    const auto refused = send(r);
    EXPECT_EQ(refused.status, 415);
    ASSERT_EQ(refused.headers.size(), 1U);
    EXPECT_EQ(refused.headers[0].first, "Accept-Patch");
    EXPECT_THAT(refused.headers[0].second, HasSubstr("application/merge-patch+json"));
    r.content_type = "application/merge-patch+json";
    r.body = R"({"method":"rr"})";
    EXPECT_EQ(send(r).status, 200);
}

TEST_F(ApiTest, AnUnknownPulseIsNamedWithThoseThatAreLoaded) {
    make_web();
    const auto r =
        call("PUT", "/service/web/b1", R"({"address":"10.1.0.1","port":80,"pulse":{"type":"telepathy"}})");
    EXPECT_EQ(r.status, 400);
    EXPECT_EQ(pointers(r), "/pulse/type");
    EXPECT_THAT(r.body, HasSubstr("http"));
    const auto args =
        call("PUT", "/service/web/b1",
             R"({"address":"10.1.0.1","port":80,"pulse":{"type":"http","args":{"nonsense":1}}})");
    EXPECT_EQ(args.status, 400);
    EXPECT_EQ(pointers(args), "/pulse/args/nonsense");
    EXPECT_THAT(args.body, HasSubstr("known are: method, path"));
    EXPECT_THAT(args.body, HasSubstr("every pulse has type, interval"));
    const auto known = call("PUT", "/service/web/b1",
                            R"({"address":"10.1.0.1","port":80,"pulse":{"type":"http","port":"x"}})");
    EXPECT_EQ(known.status, 400);
    EXPECT_THAT(known.body, Not(HasSubstr("every pulse has")));
    EXPECT_EQ(json(get("/service/web"))["backends"].size(), 0U);
}

TEST_F(ApiTest, TheSameAddressTwiceIs409WithTheNameOfTheOther) {
    make_web(1);
    const auto s = call("PUT", "/service/copy", R"({"address":"10.0.0.1","port":80})");
    EXPECT_EQ(s.status, 409);
    EXPECT_THAT(error(s), HasSubstr("\"web\""));
    const auto b = call("PUT", "/service/web/copy", R"({"address":"10.1.0.1","port":8080})");
    EXPECT_EQ(b.status, 409);
    EXPECT_THAT(error(b), HasSubstr("\"b1\""));
}

TEST_F(ApiTest, WhatTheKernelRefusesIs500WithItsWordsAndLeavesNothing) {
    const auto scheduler =
        call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80,"method":"unheard"})");
    EXPECT_EQ(scheduler.status, 500);
    EXPECT_THAT(error(scheduler), HasSubstr("unheard"));
    EXPECT_EQ(get("/service/web").status, 404);
    EXPECT_TRUE(driver->services()->empty());

    driver->fail_all(EPERM);
    const auto forbidden = call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80})");
    EXPECT_EQ(forbidden.status, 500);
    EXPECT_NE(error(forbidden), "");
    driver->fail_all(0);
    EXPECT_EQ(get("/service").body, "[]");
}

}  // namespace
}  // namespace gorb::rest::api_error_test
