#include "rest/request_headers.h"

#include <gtest/gtest.h>

namespace gorb::rest {
namespace {

// "*", "a b" for tags a and b, "none" for no condition, "wrong" for an error.
std::string match(std::string_view value) {
    const auto parsed = parse_if_match(value);
    if (!parsed) return "wrong";
    if (!*parsed) return "none";
    std::string out = (*parsed)->any ? "*" : "";
    for (const auto& tag : (*parsed)->tags) out += (out.empty() ? "" : " ") + tag;
    return out;
}

TEST(IfMatch, AbsentIsNoCondition) {
    EXPECT_EQ(match(""), "none");
    EXPECT_EQ(match("  "), "none");
}

TEST(IfMatch, StarAndListsOfTags) {
    EXPECT_EQ(match("*"), "*");
    EXPECT_EQ(match("\"a-1\""), "a-1");
    EXPECT_EQ(match("\"a-1\", \"b-2\""), "a-1 b-2");
    EXPECT_EQ(match(" \"a-1\"\t,\"b-2\" "), "a-1 b-2");
    EXPECT_EQ(match("\"a,b\",\"c\""), "a,b c");
}

TEST(IfMatch, TakesATagWithoutQuotes) {
    EXPECT_EQ(match("a-1"), "a-1");
    EXPECT_EQ(match("a-1,b-2"), "a-1 b-2");
}

TEST(IfMatch, WeakTagsNeverMatch) {
    EXPECT_EQ(match("W/\"a-1\", \"b-2\""), "b-2");
    const auto only_weak = parse_if_match("W/\"a-1\"");
    ASSERT_TRUE(only_weak && *only_weak);
    EXPECT_FALSE((*only_weak)->any);
    EXPECT_TRUE((*only_weak)->tags.empty());
}

TEST(IfMatch, RefusesWhatIsNoList) {
    for (const char* value :
         {"\"a", "a\"", "\"a\" \"b\"", ",", "\"a\",", "*, \"a\"", "\"a\",*", "W/a", "\"a b\"", "**x y"}) {
        EXPECT_EQ(match(value), "wrong") << value;
    }
}

TEST(ContentType, TakesJsonAndNothingElse) {
    EXPECT_TRUE(is_json("", "{}"));
    EXPECT_TRUE(is_json("application/json", "{}"));
    EXPECT_TRUE(is_json("Application/JSON; charset=utf-8", "{}"));
    EXPECT_TRUE(is_json("application/merge-patch+json", "{}"));
    EXPECT_FALSE(is_json("text/plain", "{}"));
    EXPECT_FALSE(is_json("application/xml", "{}"));
    EXPECT_FALSE(is_json("multipart/form-data", "{}"));
    EXPECT_FALSE(is_json("application/jsonp", "{}"));
}

TEST(ContentType, TakesWhatCurlCallsAForm) {
    EXPECT_TRUE(is_json("application/x-www-form-urlencoded", " \n{\"a\": 1}"));
    EXPECT_FALSE(is_json("application/x-www-form-urlencoded", "a=1"));
    EXPECT_FALSE(is_json("application/x-www-form-urlencoded", ""));
}

TEST(Query, KnowsOnlyWhatExpands) {
    EXPECT_FALSE(wants_expanded("", "backends").value());
    EXPECT_TRUE(wants_expanded("expand=backends", "backends").value());
    EXPECT_TRUE(wants_expanded("&expand=backends&", "backends").value());
    EXPECT_FALSE(wants_expanded("expand=services", "backends"));
    EXPECT_FALSE(wants_expanded("expand=", "backends"));
    EXPECT_FALSE(wants_expanded("expand", "backends"));
    EXPECT_FALSE(wants_expanded("pretty=1", "backends"));
    EXPECT_FALSE(wants_expanded("expand=backends", ""));
    EXPECT_FALSE(wants_expanded("expand=", ""));
    EXPECT_NE(wants_expanded("a=1", "backends").error().sentence.find("expand=backends"), std::string::npos);
}

}  // namespace
}  // namespace gorb::rest
