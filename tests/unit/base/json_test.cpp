#include "base/json.h"

#include <Poco/JSON/Array.h>
#include <gtest/gtest.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace gorb::base::json_test {
namespace {

std::string canonical(std::string_view text) {
    const auto value = parse_json(text);
    EXPECT_TRUE(value) << text << ": " << value.error().sentence;
    return value ? canonical_json(*value) : "";
}

std::string refusal(std::string_view text) {
    const auto value = parse_json(text);
    EXPECT_FALSE(value) << text;
    return value ? "" : value.error().sentence;
}

TEST(ParseJson, EveryKindOfValueIsRead) {
    EXPECT_EQ(canonical(R"( {"b": [1, -2, 0.5, true, false, null, "t"], "a": {}} )"),
              R"({"a":{},"b":[1,-2,0.5,true,false,null,"t"]})");
    EXPECT_EQ(canonical("7"), "7");
    EXPECT_EQ(canonical("\"\\u00e9\\ud83d\\ude00\\n\\/\""), "\"\xc3\xa9\xf0\x9f\x98\x80\\n/\"");
}

TEST(ParseJson, WhatIsNotInRfc8259IsRefused) {
    for (const std::string_view text :
         {"",      " ",       "{",         "}",          "{]",        "[1,]",    "{\"a\":1,}",
          "{a:1}", "{'a':1}", "{\"a\" 1}", "{\"a\":}",   "nul",       "NaN",     "Infinity",
          "-",     "+1",      "01",        "1.",         ".5",        "1e",      "0x10",
          "tru",   "\"a",     "\"\t\"",    "\"\\x41\"",  "\"\\u12\"", "[1 2]",   "1 2",
          "{} x",  "{}{}",    "{},",       "/* c */ {}", "{} // c",   "# c\n{}", "\xef\xbb\xbf{}"}) {
        EXPECT_EQ(refusal(text).rfind("this is not JSON as RFC 8259 has it: at line ", 0), 0U) << text;
    }
}

TEST(ParseJson, TheSentenceNamesThePlace) {
    EXPECT_NE(refusal("{\"a\": 1,\n \"b\" 2}").find("at line 2, column 6:"), std::string::npos)
        << refusal("{\"a\": 1,\n \"b\" 2}");
    EXPECT_NE(refusal("{} x").find("at line 1, column 4:"), std::string::npos) << refusal("{} x");
}

TEST(ParseJson, AMemberGivenTwiceIsRefused) {
    EXPECT_NE(refusal(R"({"a": 1, "a": 1})").find("\"a\" is there twice"), std::string::npos);
    EXPECT_NE(refusal(R"({"x": {"a": 1, "b": {}, "\u0061": 2}})").find("\"a\" is there twice"),
              std::string::npos);
    EXPECT_EQ(canonical(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})"),
              R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})");
}

TEST(ParseJson, OnlyUtf8IsRead) {
    for (const std::string_view bad :
         {"\xff", "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xf4", "\xc3("}) {
        EXPECT_NE(refusal("\"" + std::string(bad) + "\"").find("not UTF-8"), std::string::npos);
        EXPECT_FALSE(parse_json("{\"" + std::string(bad))) << "cut within a character";
        EXPECT_FALSE(parse_json(bad));
    }
    for (const char* half :
         {R"("\ud800")", R"("\ud800x")", R"("\ud800\ud800")", R"("\udc00")", R"({"\udfff": 1})"})
        refusal(half);
    EXPECT_EQ(canonical("\"\xed\x9f\xbf\xee\x80\x80\""),
              "\"\xed\x9f\xbf\xee\x80\x80\"");  // beside the surrogates
}

TEST(ParseJson, NulIsRefusedInAllItsForms) {
    refusal(std::string_view("{}\0", 3));
    refusal(std::string_view("{\"a\":1}\0{\"b\":2}", 15));
    refusal(std::string_view("\"a\0b\"", 5));
    refusal(R"("a\u0000b")");
    refusal(R"({"a\u0000": 1})");
}

TEST(ParseJson, NestingEndsAt32Levels) {
    const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
    EXPECT_TRUE(parse_json(nested(32)));
    EXPECT_NE(refusal(nested(33)).find("more than 32 levels"), std::string::npos);
    refusal(std::string(1'000'000, '['));
    std::string objects;
    for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
    refusal(objects);
}

TEST(ParseJson, WhatWouldTakeFarMoreMemoryThanItsSizeIsRefused) {
    const auto list_of = [](std::string_view value, size_t bytes) {
        std::string text = "[";
        while (text.size() < bytes) text.append(value).append(",");
        return text.append(value).append("]");
    };
    for (const char* small : {"{}", "[]", "0", "[{}]"}) {
        const auto parsed = parse_json(list_of(small, 4 << 20));
        ASSERT_FALSE(parsed) << small;
        EXPECT_EQ(parsed.error().code, Errc::too_large);
        EXPECT_NE(parsed.error().sentence.find("too much memory"), std::string::npos);
    }
}

// As small as gorb's documents can be, which are written without blanks.
TEST(ParseJson, BackendsWithPulsesAreNotTooManySmallValues) {
    for (const char* backend :
         {R"({"address":"10.0.0.1","port":80})",
          R"({"address":"10.0.0.1","port":80,"pulses":[{"port":80},{"port":81}]})",
          R"({"address":"10.0.0.1","port":80,"pulse":{"type":"tcp","args":{"port":81}}})"}) {
        constexpr int many = 60'000;
        std::string backends = "{\"b\":0";
        for (int i = 0; i < many; ++i) backends += ",\"b" + std::to_string(i) + "\":" + backend;
        const auto parsed = parse_json(backends + "}");
        EXPECT_TRUE(parsed) << backend << ": " << parsed.error().sentence;
    }
}

TEST(ParseJson, WholeNumbersAreExactOrRefused) {
    EXPECT_EQ(canonical("9223372036854775807"), "9223372036854775807");
    EXPECT_EQ(canonical("-9223372036854775808"), "-9223372036854775808");
    EXPECT_EQ(canonical("9223372036854775808"), "9223372036854775808");
    EXPECT_EQ(canonical("18446744073709551615"), "18446744073709551615");
    EXPECT_EQ(canonical("9007199254740993"), "9007199254740993");  // no double
    for (const char* text : {"18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
                             "1e999", "-1e400", "1e-999", "1e99999999999999999999"}) {
        refusal(text);
    }
    refusal(std::string(100'000, '9'));
}

TEST(ParseJson, EqualNumbersHaveEqualTexts) {
    for (const char* text : {"100", "100.0", "1e2", "1.0E+2", "0.1e3"}) EXPECT_EQ(canonical(text), "100");
    for (const char* text : {"0", "-0", "0.0", "-0.0", "0e5"}) EXPECT_EQ(canonical(text), "0");
    EXPECT_EQ(canonical("9007199254740992.0"), "9007199254740992");
    EXPECT_EQ(canonical("1e18"), "1000000000000000000.0");  // above 2^53 a double is no integer
    EXPECT_EQ(canonical("0.10"), "0.1");
}

TEST(ParseJson, EveryDoubleReadsBackFromItsText) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 20'000; ++i) {
        double d = 0;
        const uint64_t bits = random();
        static_assert(sizeof d == sizeof bits);
        std::memcpy(&d, &bits, sizeof d);
        if (!std::isfinite(d)) continue;
        const std::string text = canonical_json(Poco::Dynamic::Var(d));
        const auto again = parse_json(text);
        ASSERT_TRUE(again) << text;
        ASSERT_EQ(again->convert<double>(), d) << text;
        ASSERT_TRUE(std::trunc(d) == d || canonical_json(*again) == text) << text;
    }
}

TEST(ParseJson, AnObjectIsWantedWhereItIsSaidSo) {
    EXPECT_TRUE(parse_json_object("{}"));
    for (const char* text : {"[]", "1", "null", "\"{}\""}) {
        const auto object = parse_json_object(text);
        ASSERT_FALSE(object) << text;
        EXPECT_NE(object.error().sentence.find("must be a JSON object"), std::string::npos);
    }
}

TEST(ParseJson, ManyMembersCostNoMoreThanTheyAre) {
    std::string text = "{";
    for (int i = 0; i < 100'000; ++i) text += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":1";
    text += "}";
    const auto object = parse_json_object(text);  // quadratic, this would be minutes
    ASSERT_TRUE(object);
    EXPECT_EQ((*object)->size(), 100'000U);
}

TEST(PointerToken, EscapesAsRfc6901Wants) {
    EXPECT_EQ(pointer_token("a/b~c~1"), "a~1b~0c~01");
}

class Reader : public testing::Test {
  protected:
    ObjectReader read(std::string_view text, std::string pointer = "") {
        return {*parse_json_object(text), std::move(pointer), faults};
    }
    std::vector<Fault> faults;
};

TEST_F(Reader, MembersOfTheRightTypeAreGiven) {
    auto doc = read(R"({"t": "x", "b": true, "i": 5, "whole": 5.0, "o": {"n": -1}})");
    EXPECT_EQ(doc.text("t"), "x");
    EXPECT_EQ(doc.boolean("b"), true);
    EXPECT_EQ(doc.integer("i", 5, 5), 5);
    EXPECT_EQ(doc.integer("whole", 0, 9), 5);
    auto inner = doc.object("o");
    ASSERT_TRUE(inner);
    EXPECT_EQ(inner->integer("n", -1, 0), -1);
    EXPECT_EQ(doc.text("absent"), std::nullopt);
    EXPECT_EQ(doc.any("absent"), nullptr);
    inner->finish();
    doc.finish();
    EXPECT_TRUE(faults.empty());
}

TEST_F(Reader, EveryWrongOneIsAFaultAtItsPointer) {
    auto doc = read(
        R"({"t": 1, "b": "true", "i": "5", "f": 5.5, "low": -1, "high": 18446744073709551615, "o": [], "n": null})");
    EXPECT_FALSE(doc.text("t"));
    EXPECT_FALSE(doc.boolean("b"));
    EXPECT_FALSE(doc.integer("i", 0, 9));
    EXPECT_FALSE(doc.integer("f", 0, 9));
    EXPECT_FALSE(doc.integer("low", 0, 9));
    EXPECT_FALSE(doc.integer("high", -9, 9));
    EXPECT_FALSE(doc.object("o"));
    EXPECT_FALSE(doc.text("n"));
    EXPECT_EQ(faults, (std::vector<Fault>{{"/t", "must be a text"},
                                          {"/b", "must be true or false"},
                                          {"/i", "must be a whole number from 0 to 9"},
                                          {"/f", "must be a whole number from 0 to 9"},
                                          {"/low", "must be a whole number from 0 to 9"},
                                          {"/high", "must be a whole number from -9 to 9"},
                                          {"/o", "must be an object, {...}"},
                                          {"/n", "must be a text"}}));
}

TEST_F(Reader, UnknownMembersAreFaultsThatListTheKnownOnes) {
    auto doc = read(R"({"b": 1, "x/y": 2, "z": 3})", "/outer");
    doc.any("b");
    doc.any("a");
    EXPECT_EQ(doc.rest(), (std::vector<std::string>{"x/y", "z"}));
    doc.finish();
    EXPECT_EQ(faults, (std::vector<Fault>{{"/outer/x~1y", "is not known here; known are: a, b"},
                                          {"/outer/z", "is not known here; known are: a, b"}}));
}

TEST(FaultsError, TheSentenceNamesTheFirstFieldAndTheRestIsHeld) {
    const Error one = faults_error({{"/port", "must be a number"}});
    EXPECT_EQ(one.code, Errc::invalid);
    EXPECT_EQ(one.sentence, "/port must be a number");
    EXPECT_EQ(faults_error({{"/a", "x"}, {"/b", "y"}}).sentence, "/a x (and 1 more fault)");
    const Error three = faults_error({{"", "is empty"}, {"/b", "y"}, {"/c", "z"}});
    EXPECT_EQ(three.sentence, "the document is empty (and 2 more faults)");
    EXPECT_EQ(three.faults.size(), 3U);
}

TEST(JsonWriter, WritesNestedTextByPieces) {
    std::string out;
    StringSink sink(out);
    JsonWriter w(sink);
    w.StartArray();
    for (int i = 0; i < 40; ++i) w.StartObject(), key(w, std::string_view("k\""));
    value(w, "\xc3\xa9\n\x01");
    for (int i = 0; i < 40; ++i) w.EndObject();
    w.EndArray();
    EXPECT_TRUE(w.IsComplete());
    std::string expected = "[";
    for (int i = 0; i < 40; ++i) expected += "{\"k\\\"\":";
    expected += "\"\xc3\xa9\\n\\u0001\"" + std::string(40, '}') + "]";
    EXPECT_EQ(out, expected);
}

// Whatever the length, wherever in it the byte stands, and whatever stands beside it.
TEST(JsonWriter, EscapesWhatMustBeAndNothingElse) {
    for (size_t length = 0; length <= 20; ++length) {
        for (size_t at = 0; at < std::max<size_t>(length, 1); ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                for (const char* rest : {"a", "\x7f", "\xff", "!"}) {
                    std::string text;
                    for (size_t i = 0; i < length; ++i) text += *rest;
                    if (length) text[at] = static_cast<char>(byte);
                    std::string out, plain;
                    StringSink sink(out);
                    JsonWriter ours(sink);
                    ours.StartObject();
                    member(ours, text, text);
                    ours.EndObject();
                    rapidjson::StringBuffer buffer;
                    rapidjson::Writer<rapidjson::StringBuffer> theirs(buffer);
                    theirs.StartObject();
                    theirs.Key(text.data(), static_cast<rapidjson::SizeType>(text.size()));
                    theirs.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
                    theirs.EndObject();
                    ASSERT_EQ(out, buffer.GetString()) << length << " " << at << " " << byte;
                }
            }
        }
    }
}

TEST(JsonWriter, WritesFractionsAsRapidJsonDoes) {
    using Limits = std::numeric_limits<double>;
    for (const double number :
         {0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 0.99, 1.0 / 3, 1e-7, 1e21, 123456789.125, 1.5e300, Limits::min(),
          Limits::max(), Limits::denorm_min(), Limits::lowest()}) {
        std::string out;
        StringSink sink(out);
        JsonWriter ours(sink);
        ours.Double(number);
        rapidjson::StringBuffer buffer;
        rapidjson::Writer<rapidjson::StringBuffer> theirs(buffer);
        theirs.Double(number);
        EXPECT_EQ(out, buffer.GetString());
    }
    std::string out;
    StringSink sink(out);
    JsonWriter w(sink);
    w.StartArray();
    for (const double number : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()})
        w.Double(number);
    w.EndArray();
    EXPECT_EQ(out, "[null,null,null]");
}

TEST(JsonWriter, PutsCommasBetweenWhatStandsSideBySide) {
    std::string out;
    StringSink sink(out);
    JsonWriter w(sink);
    w.StartArray();
    for (int i = 0; i < 2; ++i) w.StartObject(), w.EndObject();
    w.StartArray(), w.EndArray();
    w.StartObject();
    key(w, "a"), w.StartArray(), w.Bool(true), w.Null(), w.EndArray();
    key(w, "b"), w.raw("{\"c\":1}");
    key(w, "d"), w.raw(std::string(StringSink::piece, '7'));
    key(w, "e"), w.Bool(false);
    EXPECT_FALSE(w.IsComplete());
    w.EndObject();
    w.EndArray();
    EXPECT_TRUE(w.IsComplete());
    EXPECT_EQ(out, R"([{},{},[],{"a":[true,null],"b":{"c":1},"d":)" + std::string(StringSink::piece, '7') +
                       R"(,"e":false}])");
}

TEST(JsonWriter, WritesTextsLongerThanItsPieceAndAllNumbers) {
    std::string out;
    StringSink sink(out);
    JsonWriter w(sink);
    w.StartArray();
    std::string expected = "[";
    for (const size_t length : {1020, 1021, 1022, 1023, 1024, 1025, 5000}) {
        const std::string text(length, 'x');
        value(w, text);
        expected += "\"" + text + "\",";
    }
    for (int i = 0; i < 100; ++i) {  // at each place of a piece
        w.Int64(std::numeric_limits<int64_t>::min());
        w.Uint64(std::numeric_limits<uint64_t>::max());
        expected += "-9223372036854775808,18446744073709551615,";
    }
    w.Int(-1);
    w.Uint(4294967295U);
    w.EndArray();
    EXPECT_EQ(out, expected + "-1,4294967295]");

    std::string alone;
    StringSink other(alone);
    JsonWriter number(other);
    number.Uint64(0);
    EXPECT_EQ(alone, "0");
}

}  // namespace
}  // namespace gorb::base::json_test
