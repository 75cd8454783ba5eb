// The parts of pulse-exec that touch nothing: what an end means, how arguments are filled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "arguments.h"
#include "output.h"

namespace pulse_exec {
namespace {

using gorb::sdk::Error;
using gorb::sdk::Verdict;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ExecOutput, TheFirstLineIsTheReasonWithoutFiguresAndBlanks) {
    EXPECT_EQ(first_line("TCP OK - 0.000 second response time|time=0.0s;;;0\nmore\n"),
              "TCP OK - 0.000 second response time");
    EXPECT_EQ(first_line("  well \r\nmore"), "well");
    EXPECT_EQ(first_line("no newline"), "no newline");
}

TEST(ExecOutput, BlankLinesAreNoReason) {
    EXPECT_EQ(first_line("\n \t\r\n| only=figures\nhere\n"), "here");
    EXPECT_EQ(first_line(""), "");
    EXPECT_EQ(first_line("\n\n\n"), "");
    EXPECT_EQ(first_line("|"), "");
}

TEST(ExecOutput, WhatIsNoUtf8IsReplaced) {
    EXPECT_EQ(first_line("caf\xC3\xA9"), "caf\xC3\xA9");
    EXPECT_EQ(first_line("caf\xE9 au lait"), "caf\xEF\xBF\xBD au lait");
    EXPECT_EQ(first_line("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD") << "a surrogate";
    EXPECT_EQ(first_line("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD") << "overlong";
    EXPECT_EQ(first_line("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD") << "cut short";
}

TEST(ExecOutput, ControlCharactersDoNotReachATerminal) {
    EXPECT_EQ(first_line("a\x1B[31mb\tc\x7F"
                         "d"),
              "a?[31mb c?d");
}

TEST(ExecOutput, ALongLineIsCutAtACharacter) {
    EXPECT_EQ(first_line(std::string(5000, 'x')).size(), most_line);
    const std::string cut = first_line("x" + std::string(1000, 'x').replace(254, 2, "\xC3\xA9"));
    EXPECT_EQ(cut, std::string(255, 'x')) << "half a character is none";
}

TEST(ExecOutput, ExitStatusesMeanWhatNagiosSays) {
    EXPECT_EQ(judge({0, 0}, "fine", {}).verdict, Verdict::pass);
    EXPECT_EQ(judge({2, 0}, "gone", {}).verdict, Verdict::fail);
    EXPECT_EQ(judge({3, 0}, "no idea", {}).verdict, Verdict::unknown);
    for (const int status : {0, 1, 2, 3}) {
        EXPECT_EQ(judge({status, 0}, "said\nmore", {}).detail, "said");
        EXPECT_EQ(judge({status, 0}, "said", {}).code, status);
        EXPECT_EQ(judge({status, 0}, "", {}).detail,
                  "exit status " + std::to_string(status) + ", nothing said");
    }
}

TEST(ExecOutput, AWarningPassesAndIsShownUnlessItIsToFail) {
    const auto shown = judge({1, 0}, "disk 91%|d=91", {});
    EXPECT_EQ(shown.verdict, Verdict::pass);
    EXPECT_EQ(shown.warning, "disk 91%");
    const auto failed = judge({1, 0}, "disk 91%|d=91", {true});
    EXPECT_EQ(failed.verdict, Verdict::fail);
    EXPECT_EQ(failed.detail, "disk 91%");
    EXPECT_EQ(failed.warning, "");
    EXPECT_EQ(judge({0, 0}, "fine", {true}).verdict, Verdict::pass);
}

TEST(ExecOutput, WhatIsUnknownFailsIfItIsTo) {
    const auto failed = judge({3, 0}, "no idea", {false, true});
    EXPECT_EQ(failed.verdict, Verdict::fail);
    EXPECT_EQ(failed.detail, "no idea");
    EXPECT_EQ(failed.code, 3);
    EXPECT_EQ(judge({1, 0}, "busy", {false, true}).verdict, Verdict::pass);
    EXPECT_EQ(judge({3, 0}, "no idea", {true}).verdict, Verdict::unknown);
}

TEST(ExecOutput, TheFiguresMaySayTheShareOfTheWeight) {
    const auto share = [](const std::string& output, int status = 0) {
        return judge({status, 0}, output, {}).share;
    };
    EXPECT_EQ(share("OK|share=50%"), 50u);
    EXPECT_EQ(share("\nOK | load=1.5;2;3 share=0%;20;10;0;100 users=7\nmore | share=9"), 0u);
    EXPECT_EQ(share("busy|share=25", 1), 25u);
    for (const char* none :
         {"OK", "OK share=50%", "OK|'share'=50", "OK|myshare=50", "OK|load=1 share =5", "|share=50"})
        EXPECT_EQ(share(none), 100u) << none;
    EXPECT_EQ(share("gone|share=50%", 2), 100u) << "a failure has no share";
    for (const char* wrong : {"OK|share=", "OK|share=101%", "OK|share=-1", "OK|share=4.5%", "OK|share=U"}) {
        const auto judged = judge({0, 0}, wrong, {});
        EXPECT_EQ(judged.verdict, Verdict::pass) << wrong;
        EXPECT_EQ(judged.share, 100u) << wrong;
        EXPECT_THAT(judged.warning, HasSubstr("share must be a whole number from 0 to 100")) << wrong;
    }
    EXPECT_THAT(judge({1, 0}, "busy|share=x", {}).warning, HasSubstr("busy; its share"));
}

TEST(ExecOutput, OtherStatusesAndSignalsFailWithTheirNumberOrName) {
    EXPECT_EQ(judge({7, 0}, "", {}).detail, "exit status 7");
    EXPECT_EQ(judge({127, 0}, "sh: 1: ceck: not found", {}).detail,
              "exit status 127: sh: 1: ceck: not found");
    const auto killed = judge({0, SIGSEGV}, "halfway", {});
    EXPECT_EQ(killed.verdict, Verdict::fail);
    EXPECT_EQ(killed.detail, "killed by SIGSEGV: halfway");
    EXPECT_EQ(killed.code, 128 + SIGSEGV);
    EXPECT_EQ(judge({0, 34}, "", {}).detail, "killed by signal 34") << "one without a name";
}

TEST(ExecArguments, AreAnArrayOfTextsAndWholeNumbers) {
    EXPECT_THAT(read_arguments(R"(["-H","{address}",5,""])"), ElementsAre("-H", "{address}", "5", ""));
    EXPECT_THAT(read_arguments("[]"), IsEmpty());
    EXPECT_THAT(read_arguments(""), IsEmpty());
}

TEST(ExecArguments, AnythingElseIsRefusedInWords) {
    for (const char* json : {"{}", "\"-v\"", "[1.5]", "[null]", "[[\"a\"]]", "[\"a\"", "[true]", "nonsense",
                             "[\"a\\u0000b\"]", "[\"\xFF\"]"})
        EXPECT_THROW(read_arguments(json), Error) << json;
    EXPECT_THROW(read_arguments(std::string(100000, '[')), Error) << "however deep";
    std::string many = "[\"a\"";
    for (size_t i = 0; i < most_arguments; ++i) many += ",\"a\"";
    EXPECT_THROW(read_arguments(many + "]"), Error);
    EXPECT_THROW(read_arguments("[\"" + std::string(most_argument_bytes + 1, 'a') + "\"]"), Error);
}

TEST(ExecArguments, AnUnknownPlaceholderIsRefusedWithThoseThereAre) {
    try {
        read_arguments(R"(["-H", "{adress}"])");
        FAIL() << "not refused";
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("{adress} stands for nothing; there are {address}"));
    }
}

TEST(ExecArguments, PlaceholdersAreFilledOnceAndBracesOfOthersStay) {
    const Values values = {{"address", "10.0.0.1"}, {"port", "80"}, {"service", "{port}"}};
    EXPECT_EQ(filled("http://{address}:{port}/", values), "http://10.0.0.1:80/");
    EXPECT_EQ(filled("{service}", values), "{port}") << "what was filled in is not looked at again";
    EXPECT_EQ(filled(R"({"a": {}} ${HOME} {Port} {port)", values), R"({"a": {}} ${HOME} {Port} {port)");
    EXPECT_EQ(filled("", values), "");
}

}  // namespace
}  // namespace pulse_exec
