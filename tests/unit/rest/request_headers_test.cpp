#include "rest/request_headers.h"

#include <gtest/gtest.h>

namespace gorb::rest::request_headers_test {
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

TEST(IfMatch, EmptyElementsOfAListAreNone) {
    EXPECT_EQ(match("\"a-1\","), "a-1");
    EXPECT_EQ(match(",, \"a-1\" , ,\"b-2\"\t,"), "a-1 b-2");
}

TEST(IfMatch, WeakTagsNeverMatch) {
    EXPECT_EQ(match("W/\"a-1\", \"b-2\""), "b-2");
    const auto only_weak = parse_if_match("W/\"a-1\", W/\"b-2\"");
    ASSERT_FALSE(only_weak);
    EXPECT_EQ(only_weak.error().code, base::Errc::stale);
}

TEST(IfMatch, RefusesWhatIsNoList) {
    for (const char* value :
         {"\"a", "a\"", "\"a\" \"b\"", ",", " , ,", "*, \"a\"", "\"a\",*", "W/a", "\"a b\"", "**x y"}) {
        EXPECT_EQ(match(value), "wrong") << value;
    }
}

TEST(Condition, IfNoneMatchIsStarAndAlone) {
    EXPECT_FALSE(read_condition("", std::nullopt).value());
    EXPECT_TRUE(read_condition("*", std::nullopt).value()->any);
    EXPECT_TRUE(read_condition("", " * ").value()->absent);
    for (const char* value : {"", "\"a-1\"", "a-1", "W/\"a-1\"", "*, *"})
        EXPECT_FALSE(read_condition("", value)) << value;
    EXPECT_FALSE(read_condition("*", "*"));
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
    EXPECT_FALSE(read_query("", "expand=backends").value().expanded);
    EXPECT_TRUE(read_query("expand=backends", "expand=backends").value().expanded);
    EXPECT_TRUE(read_query("&expand=backends&", "expand=backends").value().expanded);
    for (const char* query : {"expand=services", "expand=", "expand", "pretty=1", "adopt=true"})
        EXPECT_FALSE(read_query(query, "expand=backends")) << query;
    EXPECT_FALSE(read_query("expand=backends", ""));
    EXPECT_FALSE(read_query("expand=", ""));
    EXPECT_NE(read_query("a=1", "expand=backends").error().sentence.find("expand=backends"),
              std::string::npos);
}

TEST(Query, TakesParametersWithTheirValues) {
    const auto both = read_query("drain=1m30s&adopt=true", "adopt drain");
    ASSERT_TRUE(both);
    EXPECT_TRUE(both->adopt);
    EXPECT_EQ(both->drain, std::chrono::seconds(90));
    EXPECT_FALSE(both->force);
    EXPECT_TRUE(read_query("force=true", "force")->force);
    EXPECT_FALSE(read_query("force=false", "force")->force);
    EXPECT_EQ(read_query("after=18446744073709551615", "after")->after, UINT64_MAX);
    EXPECT_EQ(read_query("drain=0s", "drain")->drain, base::Nanos(0));
}

TEST(Query, NamesTheParameterWhoseValueIsWrong) {
    for (const char* query : {"adopt", "adopt=", "adopt=1", "adopt=True", "force=yes", "drain",
                              "drain=", "drain=30", "drain=-1s", "drain=721h", "drain=soon", "after",
                              "after=", "after=-1", "after=1x", "after=18446744073709551616"}) {
        const auto read = read_query(query, "adopt force drain after");
        ASSERT_FALSE(read) << query;
        EXPECT_EQ(read.error().code, base::Errc::invalid);
        const std::string name(query, std::string_view(query).find('=') == std::string::npos
                                          ? std::string_view(query).size()
                                          : std::string_view(query).find('='));
        EXPECT_NE(read.error().sentence.find('"' + name + '"'), std::string::npos) << read.error().sentence;
    }
}

}  // namespace
}  // namespace gorb::rest::request_headers_test
