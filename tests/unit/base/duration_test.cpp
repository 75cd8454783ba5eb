#include "base/duration.h"

#include <gtest/gtest.h>

#include <random>

namespace gorb::base::duration_test {
namespace {

using namespace std::chrono_literals;

TEST(Duration, FormsAreRead) {
    const std::pair<const char*, Nanos> forms[] = {
        {"0s", 0s},       {"5s", 5s},          {"250ms", 250ms},
        {"1m30s", 90s},   {"1.5s", 1500ms},    {"7us", 7us},
        {"2h", 2h},       {"0.5us", 500ns},    {"1h0m0.000001s", 3600s + 1us},
        {"5sec", 5s},     {"1 minutes", 1min}, {"3 SECONDS", 3s},
        {"2Min", 2min},   {"1 hours", 1h},     {" 1m 30s ", 90s},
        {"100MS", 100ms}, {"0.0004us", 0ns},   {"4611686018427387us", 4611686018427387us}};
    for (const auto& [text, value] : forms) {
        const auto parsed = parse_duration(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(*parsed, value) << text;
    }
}

TEST(Duration, OtherFormsAreRefused) {
    for (const char* text : {"", " ", "5", "s", "-5s", "+5s", "5x", "1.s", ".5s", "5s3", "5 s s", "1e3s",
                             "5,5s", "1..5s", "NaN s", "5d", "inf"}) {
        const auto parsed = parse_duration(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, Errc::invalid);
        EXPECT_NE(parsed.error().sentence.find("1m30s"), std::string::npos);
    }
    for (const char* text :
         {"4611686018427387905ns", "1281024h", "99999999999999999999999999999999999999999999s",
          "1281023h 59m 9999999999999s"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
    EXPECT_FALSE(parse_duration(std::string_view("5s\0", 3)));
}

TEST(Duration, TheTextIsShortAndKnown) {
    const std::pair<Nanos, const char*> forms[] = {
        {0s, "0s"},        {90s, "1m30s"},           {250ms, "250ms"}, {1500ms, "1.5s"},
        {1h, "1h"},        {3661s, "1h1m1s"},        {60s, "1m"},      {1ns, "0.001us"},
        {1500us, "1.5ms"}, {3600s + 20ms, "1h20ms"}, {24h, "24h"},     {-5s, "-5s"}};
    for (const auto& [value, text] : forms) EXPECT_EQ(duration_text(value), text);
}

TEST(Duration, EveryValueReadsBackFromItsText) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 50'000; ++i) {
        const Nanos value(static_cast<int64_t>(random() >> (2 + random() % 62)));
        const auto again = parse_duration(duration_text(value));
        ASSERT_TRUE(again) << duration_text(value);
        ASSERT_EQ(*again, value) << duration_text(value);
    }
    EXPECT_EQ(*parse_duration(duration_text(Nanos(1LL << 62))), Nanos(1LL << 62));
}

}  // namespace
}  // namespace gorb::base::duration_test
