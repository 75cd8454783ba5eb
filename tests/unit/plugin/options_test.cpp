#include "plugin/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "plugin/text.h"

namespace gorb::plugin::options_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const gorb_option end = {nullptr, 0, 0, nullptr, nullptr, nullptr};

std::vector<OptionSpec> specs_of(std::vector<gorb_option> table) {
    table.push_back(end);
    auto specs = read_options(table.data());
    EXPECT_TRUE(specs) << specs.error().sentence;
    return specs ? *specs : std::vector<OptionSpec>{};
}

std::string refusal_of(std::vector<gorb_option> table) {
    table.push_back(end);
    const auto specs = read_options(table.data());
    EXPECT_FALSE(specs);
    return specs ? "" : specs.error().sentence;
}

TEST(ReadOptions, GivesTheTableAsValues) {
    const auto specs = specs_of({{"port", GORB_INT, GORB_REQUIRED, nullptr, "1..65535", "where"},
                                 {"tls-key", GORB_TEXT, GORB_SECRET, "", nullptr, nullptr}});
    ASSERT_THAT(specs, SizeIs(2));
    EXPECT_EQ(specs[0].name, "port");
    EXPECT_EQ(specs[0].type_text(), "integer");
    EXPECT_EQ(specs[0].flags, uint32_t{GORB_REQUIRED});
    EXPECT_EQ(specs[0].fallback, std::nullopt);
    EXPECT_EQ(specs[0].range, "1..65535");
    EXPECT_EQ(specs[0].help, "where");
    EXPECT_EQ(specs[1].fallback, "");
    EXPECT_EQ(specs[1].help, "");
    EXPECT_THAT(*read_options(nullptr), IsEmpty());
}

TEST(ReadOptions, ADefaultIsWhatThePluginWrote) {
    const std::string lines = "QUIT\r\n\tx", much(3000, 'x');
    for (const std::string& text : {lines, much}) {
        const auto specs = specs_of({{"say", GORB_TEXT, 0, text.c_str(), nullptr, nullptr}});
        const auto config = *Config::make(specs, {});
        gorb_str said{};
        ASSERT_EQ(config->c()->text(config->c(), "say", &said), 0);
        EXPECT_EQ(view(said), text);
    }
}

TEST(ReadOptions, NamesTheEntryThatIsWrong) {
    const gorb_option good = {"good", GORB_BOOL, 0, nullptr, nullptr, nullptr};
    const auto wrong = [&](gorb_option option) { return refusal_of({good, option}); };
    EXPECT_THAT(wrong({"a b", GORB_INT, 0, nullptr, nullptr, ""}), HasSubstr("option 2, \"a b\": the name"));
    EXPECT_THAT(wrong({"", GORB_INT, 0, nullptr, nullptr, ""}), HasSubstr("the name"));
    EXPECT_THAT(wrong({"good", GORB_INT, 0, nullptr, nullptr, ""}), HasSubstr("two options"));
    EXPECT_THAT(wrong({"x", 0, 0, nullptr, nullptr, ""}), HasSubstr("type 0"));
    EXPECT_THAT(wrong({"x", 6, 0, nullptr, nullptr, ""}), HasSubstr("type 6"));
    EXPECT_THAT(wrong({"x", GORB_INT, 0, nullptr, "a..b", ""}), HasSubstr("range \"a..b\""));
    EXPECT_THAT(wrong({"x", GORB_INT, 0, nullptr, "5..1", ""}), HasSubstr("range"));
    EXPECT_THAT(wrong({"x", GORB_INT, 0, nullptr, "1|two", ""}), HasSubstr("range"));
    EXPECT_THAT(wrong({"x", GORB_DURATION, 0, nullptr, "1s..soon", ""}), HasSubstr("range"));
    for (const char* range : {"", "a|", "a||b"})
        EXPECT_THAT(wrong({"x", GORB_TEXT, 0, nullptr, range, ""}), HasSubstr("range"));
    EXPECT_THAT(wrong({"x", GORB_INT, 0, "many", nullptr, ""}), HasSubstr("fallback \"many\""));
    EXPECT_THAT(wrong({"x", GORB_TEXT, 0, "PUT", "GET|HEAD", ""}), HasSubstr("one of GET, HEAD"));
    EXPECT_THAT(wrong({"x", GORB_JSON, 0, "{", nullptr, ""}), HasSubstr("fallback"));
    EXPECT_THAT(wrong({"x", GORB_BOOL, 0, "yes", nullptr, ""}), HasSubstr("true or false"));
    EXPECT_THAT(wrong({"x", GORB_TEXT, 0, "\xff", nullptr, ""}), HasSubstr("UTF-8"));
}

TEST(ReadOptions, WithADefaultNobodyHasToGiveIt) {
    const auto specs = specs_of({{"x", GORB_TEXT, GORB_REQUIRED | GORB_SECRET, "y", nullptr, nullptr},
                                 {"z", GORB_TEXT, GORB_REQUIRED, nullptr, nullptr, nullptr}});
    EXPECT_EQ(specs[0].flags, uint32_t{GORB_SECRET});
    EXPECT_EQ(specs[1].flags, uint32_t{GORB_REQUIRED});
}

TEST(ReadOptions, GivesUpOnATableWithoutAnEnd) {
    std::vector<std::string> names;
    names.reserve(300);
    for (int i = 0; i < 300; ++i) names.push_back("o" + std::to_string(i));
    std::vector<gorb_option> table;
    table.reserve(300);
    for (const auto& name : names) table.push_back({name.c_str(), GORB_BOOL, 0, nullptr, nullptr, nullptr});
    EXPECT_THAT(refusal_of(table), HasSubstr("no end within 256"));
}

// One option, one value given as JSON: what does a plugin see?
std::string seen(const gorb_option& option, const std::string& json) {
    const auto config = Config::make(specs_of({option}), {{option.name, json}});
    if (!config) {
        EXPECT_EQ(config.error().code, base::Errc::invalid);
        EXPECT_THAT(config.error().faults, SizeIs(1));
        EXPECT_EQ(config.error().faults.at(0).pointer, std::string("/") + option.name);
        return "! " + config.error().faults.at(0).what;
    }
    const gorb_config* c = (*config)->c();
    bool yes = false;
    int64_t number = 0;
    uint64_t ns = 0;
    gorb_str text{};
    switch (option.type) {
        case GORB_BOOL:
            EXPECT_EQ(c->boolean(c, option.name, &yes), 0);
            return yes ? "true" : "false";
        case GORB_INT:
            EXPECT_EQ(c->integer(c, option.name, &number), 0);
            return std::to_string(number);
        case GORB_DURATION:
            EXPECT_EQ(c->duration(c, option.name, &ns), 0);
            return std::to_string(ns);
        case GORB_TEXT:
            EXPECT_EQ(c->text(c, option.name, &text), 0);
            return {text.ptr, text.len};
        default:
            EXPECT_EQ(c->json(c, option.name, &text), 0);
            return {text.ptr, text.len};
    }
}

TEST(Config, ReadsBooleans) {
    const gorb_option option = {"b", GORB_BOOL, 0, nullptr, nullptr, nullptr};
    EXPECT_EQ(seen(option, "true"), "true");
    EXPECT_EQ(seen(option, "\"false\""), "false");
    for (const char* wrong : {"1", "\"yes\"", "null", "[]", "{}"}) {
        EXPECT_EQ(seen(option, wrong), "! must be true or false") << wrong;
    }
}

TEST(Config, ReadsWholeNumbersWithinTheirRange) {
    const gorb_option option = {"i", GORB_INT, 0, nullptr, "1..65535", nullptr};
    EXPECT_EQ(seen(option, "8080"), "8080");
    EXPECT_EQ(seen(option, "\"8080\""), "8080");
    EXPECT_EQ(seen(option, "1"), "1");
    EXPECT_EQ(seen(option, "65535"), "65535");
    for (const char* wrong :
         {"0", "65536", "1.5", "\"0x10\"", "\"\"", "true", "null", "[1]", "99999999999999999999"}) {
        EXPECT_THAT(seen(option, wrong), testing::StartsWith("! ")) << wrong;
    }
    EXPECT_EQ(seen(option, "0"), "! must be a whole number from 1 to 65535");
    const gorb_option any = {"i", GORB_INT, 0, nullptr, nullptr, nullptr};
    EXPECT_EQ(seen(any, "-9223372036854775808"), "-9223372036854775808");
    EXPECT_THAT(seen(any, "9223372036854775808"), testing::StartsWith("! "));
    const gorb_option open = {"i", GORB_INT, 0, nullptr, "0..", nullptr};
    EXPECT_EQ(seen(open, "5"), "5");
    EXPECT_EQ(seen(open, "-5"), "! must be a whole number from 0");
    const gorb_option few = {"i", GORB_INT, 0, nullptr, "1|2|4", nullptr};
    EXPECT_EQ(seen(few, "4"), "4");
    EXPECT_EQ(seen(few, "3"), "! must be one of 1, 2, 4");
}

TEST(Config, ReadsDurations) {
    const gorb_option option = {"d", GORB_DURATION, 0, nullptr, "100ms..1h", nullptr};
    EXPECT_EQ(seen(option, "\"5s\""), "5000000000");
    EXPECT_EQ(seen(option, "5"), "5000000000");
    EXPECT_EQ(seen(option, "0.25"), "250000000");
    EXPECT_EQ(seen(option, "\"1.5\""), "1500000000");
    EXPECT_EQ(seen(option, "\"1h\""), "3600000000000");
    for (const char* wrong : {"\"soon\"", "\"99ms\"", "3601", "-1", "true", "null", "1e300"}) {
        EXPECT_THAT(seen(option, wrong), HasSubstr("from 100ms to 1h")) << wrong;
    }
}

TEST(Config, ReadsTexts) {
    const gorb_option option = {"t", GORB_TEXT, 0, nullptr, nullptr, nullptr};
    EXPECT_EQ(seen(option, R"("/health")"), "/health");
    EXPECT_EQ(seen(option, "200"), "200");
    EXPECT_EQ(seen(option, "1.50"), "1.50");
    EXPECT_EQ(seen(option, R"([200, "300-399", 404])"), "200,300-399,404");
    EXPECT_EQ(seen(option, "[]"), "");
    for (const char* wrong : {"true", "null", "{}", "[[1]]", "[true]"}) {
        EXPECT_EQ(seen(option, wrong), "! must be a text, a number, or an array of those") << wrong;
    }
    const gorb_option list = {"t", GORB_TEXT, 0, nullptr, "GET|HEAD", nullptr};
    EXPECT_EQ(seen(list, "\"HEAD\""), "HEAD");
    EXPECT_EQ(seen(list, "\"PUT\""), "! must be one of GET, HEAD");
}

TEST(Config, ReadsAnyJson) {
    const gorb_option option = {"j", GORB_JSON, 0, nullptr, nullptr, nullptr};
    EXPECT_EQ(seen(option, R"({"b": [1, 2], "a": null})"), R"({"a":null,"b":[1,2]})");
    EXPECT_EQ(seen(option, "\"x\""), "\"x\"");
    EXPECT_THAT(seen(option, "{"), testing::StartsWith("! "));
}

TEST(Config, TellsAllFaultsAtOnce) {
    const auto specs = specs_of({{"port", GORB_INT, GORB_REQUIRED, nullptr, nullptr, nullptr},
                                 {"path", GORB_TEXT, 0, "/", nullptr, nullptr},
                                 {"wait", GORB_DURATION, 0, nullptr, nullptr, nullptr}});
    const auto config = Config::make(specs, {{"wait", "\"x\""}, {"a/b", "1"}});
    ASSERT_FALSE(config);
    const auto& faults = config.error().faults;
    ASSERT_THAT(faults, SizeIs(3));
    EXPECT_EQ(faults[0], (base::Fault{"/port", "is required"}));
    EXPECT_EQ(faults[1].pointer, "/wait");
    EXPECT_EQ(faults[2], (base::Fault{"/a~1b", "is not known here; known are: port, path, wait"}));
}

TEST(Config, NamesAFewOfManyThatItDoesNotKnow) {
    std::map<std::string, std::string> given;
    for (int n = 0; n < 1000; ++n) given.emplace("x" + std::to_string(n), "1");
    const auto config = Config::make(specs_of({{"port", GORB_INT, 0, "80", nullptr, nullptr}}), given);
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().faults, SizeIs(20));
}

TEST(Config, DoesNotRepeatASecretInItsFaults) {
    const auto specs = specs_of({{"key", GORB_INT, GORB_SECRET, nullptr, nullptr, nullptr}});
    const auto config = Config::make(specs, {{"key", "\"hunter2\""}});
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().sentence, testing::Not(HasSubstr("hunter2")));
    EXPECT_THAT(config.error().faults[0].what, testing::Not(HasSubstr("hunter2")));
}

TEST(Config, AnswersAPluginThatAsksForTheWrongThing) {
    const auto config = *Config::make(specs_of({{"set", GORB_INT, 0, "7", nullptr, nullptr},
                                                {"unset", GORB_INT, 0, nullptr, nullptr, nullptr}}),
                                      {});
    const gorb_config* c = config->c();
    EXPECT_EQ(c->struct_size, sizeof(gorb_config));
    int64_t number = 1;
    gorb_str text{};
    EXPECT_EQ(c->integer(c, "set", &number), 0);
    EXPECT_EQ(number, 7);
    EXPECT_EQ(c->integer(c, "unset", &number), -ENOENT);
    EXPECT_EQ(c->integer(c, "teapot", &number), -EINVAL);
    EXPECT_EQ(c->text(c, "set", &text), -EINVAL);
    EXPECT_EQ(c->integer(c, "set", nullptr), -EINVAL);
    EXPECT_EQ(c->integer(c, nullptr, &number), -EINVAL);
    EXPECT_EQ(number, 7);
}

TEST(CleanText, CutsAtTheEndOfACharacter) {
    EXPECT_EQ(clean_text("plain", 10), "plain");
    EXPECT_EQ(clean_text("plain", 3), "pla");
    EXPECT_EQ(clean_text("aä", 2), "a");
    EXPECT_EQ(clean_text("a\xe2\x82\xac!", 4), "a\xe2\x82\xac");
    EXPECT_EQ(clean_text("a\xe2\x82\xac!", 3), "a");
    EXPECT_EQ(clean_text("a\nb\tc\x7f", 10), "a b c ");
    EXPECT_EQ(clean_text("\xff\xc0\x80x\xed\xa0\x80", 10), "???x???");
    EXPECT_EQ(clean_text("\xf0\x9f\x98\x80", 10), "\xf0\x9f\x98\x80");
    EXPECT_EQ(clean_text("\xf4\x90\x80\x80", 10), "????");
    EXPECT_EQ(clean_text({"a\0b", 3}, 10), "a b");
    EXPECT_EQ(clean_text("\xc2\x9b"
                         "31m\xc2\x85\xc2\xa0.",
                         20),
              " 31m \xc2\xa0.")
        << "C1, which terminals obey";
}

// Whatever comes in, what goes out is UTF-8 without control characters and within the limit; and it is
// stable.
TEST(CleanText, AlwaysGivesCleanText) {
    std::mt19937 random(11);
    for (int round = 0; round < 5000; ++round) {
        std::string text(random() % 40, ' ');
        for (char& c : text) c = static_cast<char>(random() % 3 ? random() : random() % 128);
        const size_t limit = random() % 40;
        const std::string clean = clean_text(text, limit);
        ASSERT_LE(clean.size(), limit);
        ASSERT_EQ(clean_text(clean, limit), clean);
        for (const char c : clean) ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
    }
}

TEST(Explain, FillsTheBufferAndEndsIt) {
    gorb_error error;
    explain(&error, std::string(1000, 'x'));
    EXPECT_EQ(std::string(error.text), std::string(255, 'x'));
    explain(&error, "short");
    EXPECT_STREQ(error.text, "short");
    explain(nullptr, "nobody listens");
    std::fill(std::begin(error.text), std::end(error.text), 'y');  // a plugin that forgot the NUL
    EXPECT_EQ(words_of(error, "-"), std::string(256, 'y'));
    error.text[0] = 0;
    EXPECT_EQ(words_of(error, "nothing said"), "nothing said");
}

}  // namespace
}  // namespace gorb::plugin::options_test
