#include "conversation.h"

#include <gmock/gmock.h>

#include <gorb/testing/config.hpp>

#include "loaded.h"

namespace pulse_tcp {
namespace {

using gorb::sdk::Error;
using gorb::testing::PulseRunner;
using gorb::testing::Values;
using State = Dialogue::State;
using testing::HasSubstr;
using testing::ThrowsMessage;

Script script(const std::string& steps, size_t limit = Script::default_limit) {
    Script out;
    out.steps = Script::parse_steps(steps);
    out.limit = limit;
    return out;
}

// What gorbd would answer to these arguments, "" for yes.
std::string refusal(const Values& args) {
    return PulseRunner::check(plugin_test::plugin("tcp"), args);
}

TEST(TcpSteps, AreReadFromJson) {
    const auto steps = Script::parse_steps(
        R"([{"expect": "220"}, {"send": "EHLO x\\r\\n", "expect-regex": "^250 "}, {"send-hex": "01 00", "expect-hex": "ff"}, {"send": "QUIT\r\n"}])");
    ASSERT_EQ(steps.size(), 4u);
    EXPECT_EQ(steps[0].send, "");
    EXPECT_EQ(steps[0].expect->shown(), "\"220\"");
    EXPECT_EQ(steps[1].send, "EHLO x\r\n");
    EXPECT_EQ(steps[1].expect->shown(), "/^250 /");
    EXPECT_EQ(steps[2].send, std::string("\1\0", 2));
    EXPECT_EQ(steps[2].expect->shown(), "\"\\xff\"");
    EXPECT_EQ(steps[3].send, "QUIT\r\n");
    EXPECT_FALSE(steps[3].expect);
}

TEST(TcpSteps, WhatIsWrongIsNamedWithItsStep) {
    const std::vector<std::pair<std::string, std::string>> wrong = {
        {"", "no JSON"},
        {"[", "no JSON"},
        {"[] x", "no JSON"},
        {"{}", "no array"},
        {"[]", "no array"},
        {"[1]", "step 1: is no object"},
        {"[{}]", "step 1: neither sends nor expects"},
        {R"([{"send": "a"}, {}])", "step 2: neither"},
        {R"([{"send": 1}])", "step 1: \"send\" is no text"},
        {R"([{"sent": "a"}])", "step 1: there is no \"sent\""},
        {R"([{"send": "a", "send-hex": "00"}])", "exclude each other"},
        {R"([{"expect": "a", "expect-regex": "a"}])", "exclude each other"},
        {R"([{"send": ""}])", "empty"},
        {R"([{"expect": ""}])", "empty"},
        {R"([{"send": "\\q"}])", "step 1: \"send\" has a backslash"},
        {R"([{"send": "a"}, {"expect-hex": "0"}])", "step 2: \"expect-hex\" wants pairs"},
        {R"([{"expect-regex": "("}])", "step 1: \"expect-regex\" is no regular expression"},
        {std::string(100000, '['), "no JSON"},
    };
    for (const auto& [json, words] : wrong) {
        EXPECT_THAT([&text = json] { Script::parse_steps(text); }, ThrowsMessage<Error>(HasSubstr(words)))
            << json.substr(0, 80);
    }
    std::string many = "[";
    for (size_t i = 0; i <= Script::most_steps; ++i) many += (i ? "," : "") + std::string(R"({"send":"a"})");
    EXPECT_THAT([&] { Script::parse_steps(many + "]"); }, ThrowsMessage<Error>(HasSubstr("more than 32")));
}

TEST(TcpSteps, OptionsThatDoNotGoTogetherAreRefused) {
    EXPECT_EQ(refusal({{"send", "a"}, {"expect", "b"}}), "");
    EXPECT_EQ(refusal({{"tls", "true"}, {"ca", "/etc/ca.pem"}}), "");
    EXPECT_THAT(refusal({{"send", "a"}, {"steps", R"([{"send": "a"}])"}}), HasSubstr("exclude"));
    EXPECT_THAT(refusal({{"expect", "a"}, {"expect-hex", "00"}}), HasSubstr("exclude"));
    EXPECT_THAT(refusal({{"ca", "/etc/ca.pem"}}), HasSubstr("\"tls\": true"));
    EXPECT_THAT(refusal({{"tls", "true"}, {"key", "/etc/k.pem"}}), HasSubstr("needs \"cert\""));
    EXPECT_EQ(refusal({{"expect", "12345"}, {"limit", "4"}}),
              "\"limit\" must be at least 5, or no reply can hold \"12345\"");
    EXPECT_EQ(refusal({{"steps", R"([{"expect-regex": "^1{3}[a-z]+$"}])"}, {"limit", "3"}}),
              "\"limit\" must be at least 4, or no reply can hold /^1{3}[a-z]+$/");
    EXPECT_EQ(refusal({{"expect", "12345"}, {"limit", "5"}}), "");
    EXPECT_THROW(refusal({{"limit", "65537"}}), std::invalid_argument);
    EXPECT_THROW(refusal({{"limit", "0"}}), std::invalid_argument);
}

TEST(TcpSteps, TheFilesOfTlsAreNamedByAbsolutePaths) {
    // A relative one would be sought from wherever the daemon was started.
    for (const char* option : {"ca", "cert", "key"}) {
        EXPECT_EQ(refusal({{"tls", "true"}, {option, "etc/file.pem"}}),
                  std::string("\"") + option + "\" must be the absolute path of a PEM file");
    }
    EXPECT_EQ(refusal({{"tls", "true"}, {"cert", "/etc/c.pem"}, {"key", "/etc/k.pem"}}), "");
    EXPECT_EQ(refusal({{"tls", "true"}, {"cert", "/etc/both.pem"}}), "");
}

TEST(TcpSteps, TheNameOfTlsIsOneThatACertificateCanBeFor) {
    for (const char* good : {"example.org", "10.0.0.1", "2001:db8::1", "a_b"})
        EXPECT_EQ(refusal({{"tls", "true"}, {"tls-name", good}}), "") << good;
    // With a NUL in front it would be an empty one, which is looked for in no certificate.
    for (const std::string& bad :
         {std::string("example.org:443"), std::string("[::1]"), std::string("a b"), std::string("a/b"),
          std::string("\0example.org", 12), std::string(256, 'a')})
        EXPECT_THAT(refusal({{"tls", "true"}, {"tls-name", bad}}), HasSubstr("\"tls-name\" must be a name"))
            << bad;
}

TEST(TcpConversations, AreSharedByEqualOptionsAndGoWithTheLastTarget) {
    const auto* ops = static_cast<const gorb_pulse_ops*>(plugin_test::plugin("tcp").ops);
    Conversations conversations;
    const auto get = [&](const Values& args) {
        const gorb::testing::FakeConfig config(ops->args, args);
        return conversations.get(gorb::sdk::Config(config.c()));
    };
    EXPECT_EQ(get({}), nullptr) << "only connecting needs none";
    EXPECT_EQ(get({{"full-handshake", "true"}, {"limit", "10"}}), nullptr);
    const auto first = get({{"send", "a"}, {"expect", "b"}});
    EXPECT_EQ(get({{"expect", "b"}, {"send", "a"}, {"port", "1"}}), first);
    for (const Values& other :
         {Values{{"send", "ab"}}, Values{{"send", "a"}, {"expect", "b"}, {"limit", "7"}},
          Values{{"send", "a"}, {"expect", "b"}, {"tls", "true"}},
          Values{{"send", "a"}, {"expect-regex", "b"}}, Values{{"tls", "true"}}})
        EXPECT_NE(get(other), first);
    for (int i = 0; i < 1000; ++i) get({{"send", std::to_string(i)}});
    EXPECT_LE(conversations.size(), 40u) << "those that nobody uses are forgotten";
    EXPECT_EQ(get({{"send", "a"}, {"expect", "b"}}), first);
}

TEST(TcpDialogue, GoesThroughItsSteps) {
    const Script mail = script(
        R"([{"expect": "220"}, {"send": "EHLO x\r\n", "expect-regex": "(?m)^250 .*\r\n"}, {"send": "QUIT\r\n", "expect": "221"}])");
    Dialogue dialogue(mail);
    dialogue.begin();
    EXPECT_EQ(dialogue.take_output(), "");
    dialogue.feed("220 mail ESMTP\r\n");
    EXPECT_EQ(dialogue.take_output(), "EHLO x\r\n");
    dialogue.feed("250-SIZE\r\n");
    EXPECT_EQ(dialogue.take_output(), "");
    dialogue.feed("250 OK\r\n");
    EXPECT_EQ(dialogue.take_output(), "QUIT\r\n");
    EXPECT_EQ(dialogue.state(), State::talking);
    dialogue.feed("221 bye\r\n");
    EXPECT_EQ(dialogue.state(), State::passed);
    EXPECT_EQ(dialogue.words(), "answered \"221\"");
}

TEST(TcpDialogue, TheLastStepThatSaysAShareDecides) {
    const Script two = script(
        R"([{"expect-regex": "^(?P<share>[0-9]+)\\n"}, {"expect-regex": "^(now (?P<share>[0-9]+))?;"}])");
    for (const auto& [reply, share] : {std::pair("90\nnow 20;", 20u), {"90\n;", 90u}}) {
        Dialogue dialogue(two);
        dialogue.begin();
        for (const char* c = reply; *c; ++c) dialogue.feed({c, 1});
        EXPECT_EQ(dialogue.state(), State::passed);
        EXPECT_EQ(dialogue.share().percent, share) << reply;
    }
}

TEST(TcpDialogue, WhatCameBeforeAQuestionIsNoAnswerToIt) {
    const Script two = script(R"([{"expect": "220"}, {"send": "a", "expect": "250"}])");
    Dialogue dialogue(two);
    dialogue.begin();
    dialogue.feed("220 smtp250.example.org\r\n");
    EXPECT_EQ(dialogue.state(), State::talking);
    dialogue.feed("250 ok");
    EXPECT_EQ(dialogue.state(), State::passed);
}

TEST(TcpDialogue, WithoutAQuestionTheNextStepLooksBehindTheMatch) {
    const Script two = script(R"([{"expect": "ab"}, {"expect": "ab"}, {"expect": "c"}])", 4);
    Dialogue dialogue(two);
    dialogue.begin();
    dialogue.feed("abxabyc");
    EXPECT_EQ(dialogue.state(), State::passed) << dialogue.words();
    Dialogue other(two);
    other.begin();
    other.feed("abxb");
    EXPECT_EQ(other.state(), State::talking) << "the first match is not used twice";
}

TEST(TcpDialogue, OnlySendingPassesAtOnce) {
    const Script only = script(R"([{"send": "a"}, {"send": "b"}])");
    Dialogue dialogue(only);
    dialogue.begin();
    EXPECT_EQ(dialogue.take_output(), "ab");
    EXPECT_EQ(dialogue.state(), State::passed);
    EXPECT_TRUE(only.ends_with_send());
}

TEST(TcpDialogue, SaysWhatItExpectedAndWhatItGot) {
    const Script redis = script(R"([{"send": "PING\r\n", "expect-regex": "^\\+PONG"}])");
    Dialogue dialogue(redis);
    dialogue.begin();
    dialogue.feed("-NOAUTH Authentication required.\r\n");
    EXPECT_EQ(dialogue.state(), State::failed);
    EXPECT_EQ(dialogue.words(), R"(expected /^\+PONG/, got "-NOAUTH Authentication required.")");
}

TEST(TcpDialogue, EveryEndHasItsReason) {
    const Script greeting = script(R"([{"expect": "220"}])", 100);
    const auto after = [&](std::string_view fed, const std::function<void(Dialogue&)>& end) {
        Dialogue dialogue(greeting);
        dialogue.begin();
        dialogue.feed(fed);
        end(dialogue);
        EXPECT_EQ(dialogue.state(), State::failed);
        return dialogue.words();
    };
    const auto closed = [](Dialogue& dialogue) { dialogue.ended("connection closed"); };
    const auto timeout = [](Dialogue& dialogue) { dialogue.timed_out(); };
    EXPECT_EQ(after("", closed), "connection closed before \"220\" came");
    EXPECT_EQ(after("554 no\r\n", closed), "connection closed before \"220\" came, got \"554 no\"");
    EXPECT_EQ(after("", timeout), "nothing came within the timeout, expected \"220\"");
    EXPECT_EQ(after("554 no\r\n", timeout), "expected \"220\" within the timeout, got \"554 no\"");
    EXPECT_THAT(after(std::string(200, 'x'), [](Dialogue&) {}),
                HasSubstr("expected \"220\" within 100 bytes, got \"xxx"));
}

TEST(TcpDialogue, AStepIsNamedWhereThereAreSeveral) {
    const Script two = script(R"([{"expect": "220"}, {"send": "a", "expect-regex": "^250"}])");
    Dialogue dialogue(two);
    dialogue.begin();
    dialogue.feed("220");
    dialogue.feed("554 no");
    EXPECT_EQ(dialogue.words(), "step 2: expected /^250/, got \"554 no\"");
}

TEST(TcpDialogue, TheLimitIsForEachStepAndExact) {
    const Script one = script(R"([{"expect": "z"}])", 10);
    for (const size_t before : {9u, 10u}) {
        Dialogue whole(one), pieces(one);
        whole.begin();
        pieces.begin();
        const std::string reply = std::string(before, 'x') + "z and endlessly more";
        whole.feed(reply);
        for (const char c : reply) pieces.feed({&c, 1});
        EXPECT_EQ(whole.state(), before == 9 ? State::passed : State::failed);
        EXPECT_EQ(pieces.state(), whole.state());
    }
}

TEST(TcpDialogue, AnEndIsTheLastChanceOfARegexThatWaitedForMore) {
    const Script one = script(R"([{"expect-regex": "^OK(?!,)\\z|^OK [0-9]+ jobs\\b"}])");
    Dialogue dialogue(one);
    dialogue.begin();
    dialogue.feed("OK 3 jobs");
    dialogue.ended("connection closed");
    EXPECT_EQ(dialogue.state(), State::passed) << dialogue.words();
}

TEST(TcpDialogue, ReasonsArePrintableAndShortWhateverComes) {
    const Script one = script(R"([{"expect-regex": "^(a+)+b"}, {"expect": "never"}])", 65536);
    for (const std::string& reply :
         {std::string(70000, '\xff'), std::string(70000, '\0'), std::string(70000, 'a')}) {
        Dialogue dialogue(one);
        dialogue.begin();
        dialogue.feed(reply);
        EXPECT_EQ(dialogue.state(), State::failed);
        EXPECT_LT(dialogue.words().size(), 256u);
        for (const char c : dialogue.words()) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
    }
}

}  // namespace
}  // namespace pulse_tcp
