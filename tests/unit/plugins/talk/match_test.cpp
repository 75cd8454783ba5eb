#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <gorb/sdk/values.hpp>

#include "match/pattern.h"
#include "match/share.h"
#include "match/text.h"

namespace pulse_match {
namespace {

using gorb::sdk::Error;
using Outcome = Pattern::Outcome;
using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

const std::string what = "\"expect\"";

TEST(MatchText, EscapesBecomeTheirBytes) {
    EXPECT_EQ(unescaped(R"(PING\r\n\t\\\0\x41\xff)", what), std::string("PING\r\n\t\\\0A\xff", 11));
    EXPECT_EQ(unescaped("as it is, \r\n too", what), "as it is, \r\n too");
    EXPECT_EQ(unescaped("", what), "");
}

TEST(MatchText, ABackslashThatBeginsNoEscapeIsRefusedWithTheListOfThem) {
    for (const char* text : {"\\q", "end\\", "\\x", "\\x4", "\\xg0", "\\x 1"}) {
        EXPECT_THAT([&] { unescaped(text, what); },
                    ThrowsMessage<Error>(testing::AllOf(StartsWith(what), HasSubstr("\\xNN"))))
            << text;
    }
}

TEST(MatchText, HexMayHaveBlanksColonsAndDashes) {
    EXPECT_EQ(from_hex("50 49:4E-4f", what), "PINO");
    EXPECT_EQ(from_hex("0d0a\n00", what), std::string("\r\n\0", 3));
    for (const char* text : {"5", "5 0", "0x50", "zz"}) EXPECT_THROW(from_hex(text, what), Error) << text;
}

TEST(MatchText, QuotedIsPrintableAsciiWhateverTheBytesAre) {
    EXPECT_EQ(in_quotes("-NOAUTH Authentication required."), "\"-NOAUTH Authentication required.\"");
    EXPECT_EQ(in_quotes(std::string_view("a\0\x01\xff\r\n\t\\", 8)), R"("a\0\x01\xff\r\n\t\\")");
    const std::string cut = in_quotes(std::string(1000, '\xff'), 80);
    EXPECT_THAT(cut, testing::EndsWith("\"..."));
    EXPECT_LE(cut.size(), 85u);
    for (int byte = 0; byte < 256; ++byte) {
        for (const char c : in_quotes(std::string(1, static_cast<char>(byte))))
            EXPECT_TRUE(c >= 0x20 && c < 0x7f);
    }
    EXPECT_EQ(without_line_end("250 ok\r\n"), "250 ok");
    EXPECT_EQ(without_line_end("\r\n"), "");
}

// What comes of a reply that arrives one byte after the other; `size` says after how many bytes it was
// decided.
Outcome byte_by_byte(const Pattern& pattern, std::string_view reply, size_t& size) {
    Search search(pattern);
    for (size = 1; size <= reply.size(); ++size) {
        const Outcome outcome = search.look(reply.substr(0, size), false);
        if (outcome != Outcome::not_yet) return outcome;
    }
    size = reply.size();
    return Outcome::not_yet;
}

TEST(MatchPattern, BytesAreFoundWhereverTheyAreAndHoweverTheyAreCut) {
    const Pattern pong = Pattern::bytes("PONG", what);
    EXPECT_EQ(pong.search("+PONG\r\n", 0, false).end, 5u);
    size_t size = 0;
    EXPECT_EQ(byte_by_byte(pong, "PPOPOPONG and more", size), Outcome::found);
    EXPECT_EQ(size, 9u);
    EXPECT_EQ(byte_by_byte(pong, "-ERR", size), Outcome::not_yet);
    EXPECT_EQ(pong.search("-ERR", 0, true).outcome, Outcome::never);
}

TEST(MatchPattern, BytesWithNulAreBytes) {
    const Pattern pattern = Pattern::bytes(std::string("\0\0\x02", 3), what);
    EXPECT_EQ(pattern.search(std::string_view("\x07\0\0\x02\0", 5), 0, false).outcome, Outcome::found);
    EXPECT_EQ(pattern.search(std::string_view("\x07\0\x02\0", 4), 0, true).outcome, Outcome::never);
}

TEST(MatchPattern, ARegexAtTheBeginningFailsWithTheFirstWrongByte) {
    const Pattern pong = Pattern::regex("^\\+PONG\r\n", what);
    size_t size = 0;
    EXPECT_EQ(byte_by_byte(pong, "-NOAUTH", size), Outcome::never);
    EXPECT_EQ(size, 1u);
    EXPECT_EQ(byte_by_byte(pong, "+PONG\r\n", size), Outcome::found);
    EXPECT_EQ(size, 7u);
    EXPECT_EQ(byte_by_byte(pong, "+PO", size), Outcome::not_yet);
    EXPECT_EQ(pong.search("+PO", 0, true).outcome, Outcome::never);
}

TEST(MatchPattern, ARegexSomewhereGoesOnWhereAMatchMayHaveBegun) {
    const Pattern pattern = Pattern::regex("b+c", what);
    size_t size = 0;
    EXPECT_EQ(byte_by_byte(pattern, "aabbabbbc", size), Outcome::found);
    EXPECT_EQ(size, 9u);
    const auto searched = pattern.search("aaabb", 0, false);
    EXPECT_EQ(searched.outcome, Outcome::not_yet);
    EXPECT_EQ(searched.from, 3u) << "what can not begin a match any more is not looked at again";
    EXPECT_EQ(pattern.search("aaaa", 0, false).from, 4u);
}

TEST(MatchPattern, ARegexIsAboutBytesAndLinesOfAnyProtocol) {
    EXPECT_EQ(
        Pattern::regex("^.\\x00\\xff$", what).search(std::string_view("\x80\0\xff", 3), 0, true).outcome,
        Outcome::found);
    EXPECT_EQ(Pattern::regex("(?m)^250 .*$", what).search("250-a\r\n250 b\r\n", 0, false).end, 12u)
        << "a dot does not go over the end of a line";
    EXPECT_EQ(Pattern::regex("(?s)^..$", what).search("\r\n", 0, true).outcome, Outcome::found);
}

TEST(MatchPattern, TheGroupOfThatNameIsTheShare) {
    const Pattern agent = Pattern::regex("^(up|ready)?( (?P<share>[0-9]+)%)?\\n", what);
    const std::string text = "ready 50%\n";
    EXPECT_EQ(agent.search(text, 0, true).share, "50");
    size_t size = 0;
    EXPECT_EQ(byte_by_byte(agent, text, size), Outcome::found);
    Search search(agent);
    ASSERT_EQ(search.look("up\n", false), Outcome::found);
    EXPECT_EQ(search.share(), "") << "the group took no part in it";
    EXPECT_EQ(Pattern::regex("(?<other>5)", what).search("5", 0, true).share, "");
    EXPECT_EQ(Pattern::regex("(?<share>)x", what).search("x", 0, true).share, "");
    EXPECT_EQ(Pattern::bytes("50", what).search("50", 0, true).share, "");
    EXPECT_THAT([] { Pattern::regex("(?J)(?<share>1)|(?<share>2)", what); },
                ThrowsMessage<Error>("\"expect\" has more than one group of the name \"share\""));
}

TEST(MatchShare, IsAWholeNumberOfPerCent) {
    EXPECT_EQ(Share::read("0").percent, 0u);
    EXPECT_EQ(Share::read("75%").percent, 75u);
    EXPECT_EQ(Share::read("100").warning, "");
    for (const char* wrong : {"101", "-1", "1.5", "50%%", "%", "x", "99999999999", "5 0"}) {
        EXPECT_EQ(Share::read(wrong).percent, 100u) << wrong;
        EXPECT_EQ(
            Share::read(wrong).warning,
            "its share must be a whole number from 0 to 100 (per cent), not \"" + std::string(wrong) + "\"");
    }
}

TEST(MatchPattern, CatastrophicRegexesEndAtTheirLimit) {
    for (const char* source : {"(a+)+[bc]", "^(a|aa)+$", "(.*)*[cd]", "(?:a?){30}a{30}[xy]",
                               "(((a*)*)*)*[bc]", "^(?:(a+)|b)*\\1$"}) {
        const Pattern pattern = Pattern::regex(source, what);
        const auto begin = std::chrono::steady_clock::now();
        const auto outcome = pattern.search(std::string(60000, 'a') + "!", 0, true).outcome;
        const auto took = std::chrono::steady_clock::now() - begin;
        EXPECT_EQ(outcome, Outcome::too_hard) << source;
        EXPECT_LT(took, std::chrono::milliseconds(500)) << source;
    }
}

TEST(MatchPattern, ASearchEndsAtItsLimitWhereverAMatchMayBeginAndWhateverRepeatsItsPartsHave) {
    const std::string all(65536, 'a'), half = all.substr(0, 29999);
    std::string halves = half;
    halves.append("!").append(half).append("!");
    struct Case {
        const char* source;
        std::string reply;
    };
    for (const auto& [source, reply] :
         {Case{"a.*[bc]", std::string(4096, 'a')}, Case{"a.*[bc]", all}, Case{"[a-z]+[0-9]", all},
          Case{"(*NO_START_OPT)(*NO_AUTO_POSSESS)[a-z]++[0-9]", all}, Case{"(?C1)[a-z]+(?C2)[0-9]", all},
          Case{"(?<=b[a-z]{100})a", all}, Case{"(?x) (?: [a-z] {30000} # a lot \n | [0-9] ) q", halves},
          Case{"^(.{30000}).*?\\1", half + "b" + all.substr(0, 35000)},
          Case{"^(?<n>.{30000}).*?\\k<n>", half + "b" + all.substr(0, 35000)},
          Case{"^(?<n>.{30000}).*?(?P=n)", half + "b" + all.substr(0, 35000)}}) {
        const Pattern pattern = Pattern::regex(source, what);
        const auto searched = pattern.search(reply, 0, false);
        EXPECT_EQ(searched.outcome, Outcome::too_hard) << source;
        EXPECT_LE(searched.steps, 2 * Pattern::most_steps) << source;
    }
}

TEST(MatchPattern, OneLookAtAllThatMayComeIsNotTooHard) {
    const std::string end = "END" + std::string(65533, 'y');
    std::string lines;
    while (lines.size() < 65000) lines += "hello dear world, and so on\r\n";
    lines += "status=17\r\n";
    for (const auto& [source, reply] :
         {std::pair("(?s)^.*END", end), std::pair("(?s)END.*$", end),
          std::pair("(?m)^status=[0-9]+\r$", lines), std::pair("(?i)STATUS=(?:[0-9]{2})+", lines),
          std::pair("(?s).{60000}.*status=(1)7", lines)}) {
        EXPECT_EQ(Pattern::regex(source, what).search(reply, 0, true).outcome, Outcome::found) << source;
    }
}

TEST(MatchPattern, AReplyInVeryManyPiecesTakesNoMoreThanTwentySearches) {
    const Pattern pattern = Pattern::regex("(?s)a.*b", what);  // has to begin anew with each piece
    Search search(pattern);
    const std::string reply = "a" + std::string(65534, 'x') + "b";
    const auto begin = std::chrono::steady_clock::now();
    size_t at = 1;
    Outcome outcome = Outcome::not_yet;
    while (at < reply.size() && outcome == Outcome::not_yet)
        outcome = search.look(std::string_view(reply).substr(0, at++), false);
    EXPECT_EQ(outcome, Outcome::not_yet);
    EXPECT_LE(search.steps(), 20 * Pattern::most_steps);
    EXPECT_EQ(search.look(reply, true), Outcome::found) << "the last look is always a whole one";
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5))
        << "65,000 looks would take minutes";
}

TEST(MatchPattern, AnOrdinaryReplyIsLookedAtWithEachOfItsPieces) {
    const Pattern pattern = Pattern::regex("^(220-.*\r\n)*220 .*\r\n", what);
    std::string reply;
    for (int i = 0; i < 20; ++i) reply += "220-mail.example.org says a lot\r\n";
    reply += "220 ready\r\n";
    size_t size = 0;
    EXPECT_EQ(byte_by_byte(pattern, reply + "more", size), Outcome::found);
    EXPECT_EQ(size, reply.size());
}

TEST(MatchPattern, WrongPatternsAreRefusedInWords) {
    EXPECT_THAT([] { Pattern::regex("a(b", what); },
                ThrowsMessage<Error>(testing::AllOf(StartsWith(what), HasSubstr("parenthesis"))));
    EXPECT_THROW(Pattern::regex("", what), Error);
    EXPECT_THROW(Pattern::regex(std::string(Pattern::most_regex + 1, 'a'), what), Error);
    EXPECT_THROW(Pattern::regex("(*UTF)a", what), Error) << "replies need not be UTF-8";
    EXPECT_THROW(Pattern::regex("((((((((a{1000}){1000}){1000}){1000}))))))", what), Error);
    EXPECT_THROW(Pattern::bytes("", what), Error);
    EXPECT_THROW(Pattern::bytes(std::string(Pattern::most_bytes + 1, 'a'), what), Error);
}

TEST(MatchPattern, ShowsItselfAsItWasWritten) {
    EXPECT_EQ(Pattern::regex("^\\+PONG\r\n", what).shown(), "/^\\+PONG\\r\\n/");
    EXPECT_EQ(Pattern::regex("a\"b\\\\", what).shown(), "/a\"b\\\\/");
    EXPECT_EQ(Pattern::bytes("+PONG\r\n", what).shown(), "\"+PONG\\r\\n\"");
    EXPECT_LE(Pattern::regex(std::string(1000, 'a'), what).shown().size(), 65u);
}

}  // namespace
}  // namespace pulse_match
