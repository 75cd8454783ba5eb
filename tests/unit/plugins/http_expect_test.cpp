#include <gtest/gtest.h>

#include <gorb/sdk/values.hpp>
#include <random>

#include "expect.h"

namespace pulse_http {
namespace {

std::string refusal(const std::string& text) {
    try {
        Expectation::parse(text);
        return "";
    } catch (const gorb::sdk::Error& e) {
        return e.what();
    }
}

TEST(HttpExpect, OneCode) {
    const auto one = Expectation::parse("200");
    EXPECT_TRUE(one.accepts(200));
    EXPECT_FALSE(one.accepts(199));
    EXPECT_FALSE(one.accepts(201));
    EXPECT_EQ(one.text(), "200");
}

TEST(HttpExpect, ARangeHoldsBothItsEnds) {
    const auto range = Expectation::parse("200-399");
    EXPECT_TRUE(range.accepts(200) && range.accepts(302) && range.accepts(399));
    EXPECT_FALSE(range.accepts(199) || range.accepts(400));
}

TEST(HttpExpect, AListOfBothWithBlanks) {
    const auto list = Expectation::parse(" 200, 204 ,300 - 302");
    for (const int code : {200, 204, 300, 301, 302}) EXPECT_TRUE(list.accepts(code)) << code;
    for (const int code : {201, 203, 205, 299, 303}) EXPECT_FALSE(list.accepts(code)) << code;
    EXPECT_EQ(list.text(), "200, 204, 300-302");
}

TEST(HttpExpect, WhatIsNoStatusIsRefusedAndNamed) {
    EXPECT_EQ(refusal("ok"), "\"expect\": \"ok\" is no HTTP status (100 to 599) or range of them");
    EXPECT_EQ(refusal("404, 200-"), "\"expect\": \"200-\" is no HTTP status (100 to 599) or range of them");
    for (const char* bad :
         {"", ",", "200,", "99", "600", "2000", "-200", "200-", "2xx", "200 204", "0x1f", "+200", "20.0"})
        EXPECT_NE(refusal(bad), "") << bad;
    EXPECT_EQ(refusal("399-200"), "\"expect\": \"399-200\" runs backwards");
}

TEST(HttpExpect, AnEndlessListIsRefused) {
    std::string text = "200";
    for (int i = 0; i < 64; ++i) text += ",200";
    EXPECT_NE(refusal(text).find("more than 64"), std::string::npos);
}

TEST(HttpExpect, ItsOwnTextMeansTheSame) {
    std::mt19937 random(7);
    std::uniform_int_distribution<int> code(100, 599), count(1, 8);
    for (int turn = 0; turn < 200; ++turn) {
        std::string text;
        for (int i = count(random); i > 0; --i) {
            int low = code(random), high = code(random);
            if (low > high) std::swap(low, high);
            text += (text.empty() ? "" : ",") + std::to_string(low) + "-" + std::to_string(high);
        }
        const auto first = Expectation::parse(text), again = Expectation::parse(first.text());
        for (int status = 100; status < 600; ++status)
            ASSERT_EQ(first.accepts(status), again.accepts(status)) << text;
    }
}

}  // namespace
}  // namespace pulse_http
