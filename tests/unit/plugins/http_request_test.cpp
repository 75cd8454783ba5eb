#include <gtest/gtest.h>

#include <gorb/testing.hpp>

#include "match/names.h"
#include "request.h"

namespace pulse_http {
namespace {

using gorb::testing::address;
using pulse_match::authority;

std::string default_host(const gorb_addr& peer, uint16_t usual = 80) {
    std::string out;
    append_default_host(out, peer, usual);
    return out;
}

template <class F>
bool refused(F&& check) {
    try {
        check();
        return false;
    } catch (const gorb::sdk::Error&) {
        return true;
    }
}

std::string whole(const Request& request) {
    const Request::Text text = request.text();
    return text.before + "web:8080" + text.after;
}

TEST(HttpRequest, IsOneCompleteRequestThatLeavesTheConnectionOpen) {
    Request request;
    request.path = "/health?deep=1";
    request.agent = "gorb/1.2";
    EXPECT_EQ(whole(request),
              "GET /health?deep=1 HTTP/1.1\r\nHost: web:8080\r\nUser-Agent: gorb/1.2\r\nAccept: */*\r\n\r\n");
}

TEST(HttpRequest, AsksForTheEndOfTheConnectionWhenItIsWanted) {
    Request request;
    request.close = true;
    EXPECT_NE(whole(request).find("\r\nConnection: close\r\n\r\n"), std::string::npos);
}

TEST(HttpRequest, ExtraHeadersFollowAndMayReplaceOurOwn) {
    Request request;
    request.agent = "gorb";
    request.extra =
        ExtraHeaders::parse(R"({"user-agent": "probe", "X-Level": 3, "Authorization": " Bearer x "})");
    EXPECT_EQ(whole(request),
              "GET / HTTP/1.1\r\nHost: web:8080\r\nAccept: */*\r\nuser-agent: probe\r\nX-Level: "
              "3\r\nAuthorization: Bearer x\r\n\r\n");
}

TEST(HttpRequest, ABodyComesWithItsLength) {
    Request request;
    request.method = "POST";
    request.body = "{\"ping\": 1}\r\n\r\n";
    EXPECT_NE(whole(request).find("\r\nContent-Length: 15\r\n\r\n{\"ping\": 1}\r\n\r\n"), std::string::npos);
    EXPECT_FALSE(refused([] { Request::check_body(std::string(65536, 'a')); }));
    EXPECT_TRUE(refused([] { Request::check_body(std::string(65537, 'a')); }));
}

TEST(HttpRequest, SaysThatThereIsNoBodyWhereOneCouldBe) {
    Request request;
    for (const char* method : {"POST", "PUT", "PATCH"}) {
        request.method = method;
        EXPECT_NE(whole(request).find("Content-Length: 0\r\n"), std::string::npos);
    }
    request.method = "HEAD";
    EXPECT_EQ(whole(request).find("Content-Length"), std::string::npos);
}

TEST(HttpRequest, NothingThatCouldEndALineOrAWordGetsIn) {
    for (int c = 0; c < 256; ++c) {
        const std::string text = std::string("/a") + static_cast<char>(c) + "b";
        const bool bad = c <= 0x20 || c >= 0x7f;
        EXPECT_EQ(refused([&] { Request::check_path(text, "GET"); }), bad || c == '#') << c;
        if (bad) {
            EXPECT_TRUE(refused([&] { authority("host", text.substr(1)); })) << c;
        }
    }
    EXPECT_TRUE(refused([] { Request::check_path("/ HTTP/1.1\r\nX: y", "GET"); }));
    EXPECT_TRUE(refused([] { authority("host", "a\r\nX: y"); }));
}

TEST(HttpRequest, APathBeginsWithASlash) {
    EXPECT_TRUE(refused([] { Request::check_path("", "GET"); }));
    EXPECT_TRUE(refused([] { Request::check_path("health", "GET"); }));
    EXPECT_TRUE(refused([] { Request::check_path("*", "GET"); }));
    EXPECT_FALSE(refused([] { Request::check_path("*", "OPTIONS"); }));
    EXPECT_FALSE(refused([] { Request::check_path("/%20/x?y=z&w", "GET"); }));
    EXPECT_FALSE(refused([] { Request::check_path("/" + std::string(2047, 'a'), "GET"); }));
    EXPECT_TRUE(refused([] { Request::check_path("/" + std::string(2048, 'a'), "GET"); }));
}

TEST(HttpRequest, AHostIsANameOrAddressWithAPortAtMost) {
    for (const char* good :
         {"example.org", "example.org:8080", "[::1]:80", "[::1]", "2001:db8::1", "::1", "10.0.0.1", "a_b"})
        EXPECT_FALSE(refused([&] { authority("host", good); })) << good;
    for (const char* bad :
         {"", "http://x", "user@x", "x?y", "x#y", "a,b", ":80", "[::1", "[]:80", "[::1]80", "a:b:c",
          "example.org:http", "example.org:", "example.org:0", "example.org:65536"})
        EXPECT_TRUE(refused([&] { authority("host", bad); })) << bad;
    EXPECT_TRUE(refused([] { authority("host", std::string(256, 'a')); }));
}

TEST(HttpRequest, TheDefaultHostIsTheAddressWithThePortUnlessItIs80) {
    EXPECT_EQ(default_host(address("10.0.0.1", 80)), "10.0.0.1");
    EXPECT_EQ(default_host(address("10.0.0.1", 8080)), "10.0.0.1:8080");
    EXPECT_EQ(default_host(address("2001:db8::1", 80)), "[2001:db8::1]");
    EXPECT_EQ(default_host(address("2001:db8::1", 81)), "[2001:db8::1]:81");
    EXPECT_EQ(default_host(address("10.0.0.255", 443), 443), "10.0.0.255");
    EXPECT_EQ(default_host(address("10.0.0.1", 80), 443), "10.0.0.1:80");
    auto scoped = address("fe80::1", 80);
    scoped.scope = 3;
    EXPECT_EQ(default_host(scoped), "[fe80::1]") << "a zone is of no use to the server";
}

}  // namespace
}  // namespace pulse_http
