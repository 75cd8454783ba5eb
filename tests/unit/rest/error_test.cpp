#include "rest/error.h"

#include <gtest/gtest.h>

#include <map>

#include "base/json.h"

namespace gorb::rest::error_test {
namespace {

TEST(Error, EveryKindHasItsStatus) {
    const std::map<base::Errc, int> table{
        {base::Errc::invalid, 400},   {base::Errc::not_found, 404},   {base::Errc::exists, 409},
        {base::Errc::stale, 412},     {base::Errc::too_large, 413},   {base::Errc::unsupported, 500},
        {base::Errc::forbidden, 500}, {base::Errc::refused, 500},     {base::Errc::io, 500},
        {base::Errc::internal, 500},  {base::Errc::unavailable, 503}, {base::Errc::timeout, 504},
        {base::Errc::no_space, 507},
    };
    for (int code = 0; code <= static_cast<int>(base::Errc::internal); ++code) {
        const auto it = table.find(static_cast<base::Errc>(code));
        ASSERT_NE(it, table.end()) << "no expectation for Errc " << code;
        EXPECT_EQ(status_of(it->first), it->second) << "Errc " << code;
    }
}

TEST(Error, IsASentenceAsJson) {
    const Response r = error_response(404, "there is no service \"web\"");
    EXPECT_EQ(r.status, 404);
    EXPECT_EQ(r.content_type, "application/json");
    EXPECT_EQ(r.body, R"({"error":"there is no service \"web\""})");
}

TEST(Error, NamesEachWrongFieldByItsPointer) {
    base::Error error{base::Errc::invalid,
                      "two fields are wrong",
                      {{"/port", "is too large"}, {"/pulse/type", "is unknown"}},
                      0};
    const Response r = error_response(error);
    EXPECT_EQ(r.status, 400);
    EXPECT_EQ(
        r.body,
        R"({"error":"two fields are wrong","fields":[)"
        R"({"pointer":"/port","problem":"is too large"},{"pointer":"/pulse/type","problem":"is unknown"}]})");
}

TEST(Error, EscapesWhatWouldBreakTheJson) {
    const Response r = error_response(400, "a \\ and a \n and \x01");
    EXPECT_TRUE(base::parse_json_object(r.body)) << r.body;
}

}  // namespace
}  // namespace gorb::rest::error_test
