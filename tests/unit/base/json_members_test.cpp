#include "base/json_members.h"

#include <gtest/gtest.h>

#include <array>

#include "base/json_write.h"

namespace gorb::base::json_members_test {
namespace {

struct Case {
    const char *before, *after, *words;
};

TEST(DifferingMembers, AreNamedWithWhatTheyWereAndAre) {
    const std::array cases{
        Case{R"({"weight":100})", R"({"weight":7})", "weight 100 -> 7"},
        Case{R"({"a":1,"b":"x","c":true})", R"({"a":1,"b":"y","c":false})", "b x -> y, c true -> false"},
        Case{R"({"a":{"b":1},"c":[1,2]})", R"({"a":{"b":2},"c":[1]})", "a, c"},
        Case{R"({"a":1})", R"({"a":{"b":2}})", "a"},
        Case{R"({"a":1})", R"({"a":1,"b":2})", "b default -> 2"},
        Case{R"({"a":1,"b":2})", R"({"b":2})", "a 1 -> default"},
        Case{R"({"a":1,"b":2})", R"({"b":2,"a":1})", ""},
        Case{R"({})", R"({})", ""},
        Case{"", "", ""},
        Case{R"({"a":"x","b":""})", R"({"a":"x y","b":"a, b"})", R"(a x -> "x y", b "" -> "a, b")"},
        Case{R"({"a":"\""})", R"({"a":"\\"})", R"(a "\"" -> "\\")"},
        // What looks like an end within a text is none.
        Case{R"({"a":"},\"x\":{","b":1})", R"({"a":"},\"x\":{","b":2})", "b 1 -> 2"},
        Case{R"({"a":["]",{"b":"\\"}],"c":1})", R"({"a":["]",{"b":"\\"}],"c":2})", "c 1 -> 2"},
        // The whole name counts.
        Case{R"({"down":1,"down-interval":1})", R"({"down":1,"down-interval":2})", "down-interval 1 -> 2"},
    };
    for (const Case& c : cases) EXPECT_EQ(differing_members(c.before, c.after), c.words) << c.after;
}

TEST(DifferingMembers, OfLongTextsTheNameSaysEnough) {
    const std::string longest(64 - 2, 'x');
    const auto object = [](const std::string& text) { return R"({"a":")" + text + R"("})"; };
    EXPECT_EQ(differing_members(object("y"), object(longest)), "a y -> " + longest);
    EXPECT_EQ(differing_members(object("y"), object(longest + "x")), "a");
}

// It reads what JsonWriter writes, whatever the texts are.
TEST(DifferingMembers, AreThoseOfTheWriter) {
    for (const char* text : {"\"", "\\", "\\\"", "{\"a\":1}", "\n,\"b\":2", "", "}"}) {
        const auto write = [text](int number) {
            std::string out;
            StringSink sink(out);
            JsonWriter writer(sink);
            writer.StartObject();
            writer.name(text);
            writer.text(text);
            writer.name("n");
            writer.Int(number);
            writer.EndObject();
            return out;
        };
        EXPECT_EQ(differing_members(write(1), write(2)), "n 1 -> 2") << text;
    }
}

}  // namespace
}  // namespace gorb::base::json_members_test
