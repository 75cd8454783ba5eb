#include "answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gorb/testing.hpp>

#include "dns/name_server.h"
#include "loaded.h"

namespace plugin_test {
namespace {

using gorb::testing::FakeConfig;
using gorb::testing::PulseRunner;
using gorb::testing::Values;
using pulse_dns::Judgement;
using pulse_dns::Question;
using testing::HasSubstr;
using Kind = Judgement::Kind;

constexpr uint16_t asked_id = 0x1234;

Question question(const Values& args) {
    const FakeConfig config(static_cast<const gorb_pulse_ops*>(plugin("dns").ops)->args, args);
    return Question::parse(gorb::sdk::Config(config.c()));
}
Judgement judged(const Values& args, const std::vector<std::string>& records, unsigned flags = 0x8180) {
    const Question asked = question(args);
    return pulse_dns::judge(asked, asked_id, answer(asked.message(asked_id), records, flags), true);
}
std::string refusal(const Values& args) {
    return PulseRunner::check(plugin("dns"), args);
}
std::string text_record(const std::string& a, const std::string& b) {
    return record(16, static_cast<char>(a.size()) + a + static_cast<char>(b.size()) + b);
}
const std::string mail = std::string("\4mail\7example\0", 14);

TEST(DnsQuestion, HasOneQuestionWithTheIdAndAsksForRecursion) {
    const std::string wire = question({{"name", "www.example."}, {"record", "aaaa"}}).message(asked_id);
    EXPECT_EQ(wire, std::string("\x12\x34\x01\0\0\1\0\0\0\0\0\0\3www\7example\0\0\x1c\0\1", 29));
    EXPECT_EQ(question({{"name", "x"}, {"recursion", "false"}}).message(asked_id)[2], 0);
}

TEST(DnsQuestion, AnAddressIsTurnedIntoTheNameOfItsPtrRecord) {
    EXPECT_EQ(question({{"name", "192.0.2.1"}, {"record", "PTR"}}).name, "1.2.0.192.in-addr.arpa");
    EXPECT_EQ(question({{"name", "2001:db8::1"}, {"record", "PTR"}}).name,
              "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    EXPECT_EQ(question({{"name", "192.0.2.1"}}).name, "192.0.2.1") << "only where PTR is asked for";
}

TEST(DnsQuestion, WhatMakesNoSenseIsRefusedWithWords) {
    EXPECT_EQ(refusal({{"name", "www.example"}}), "");
    EXPECT_EQ(refusal({{"name", "."}, {"record", "NS"}}), "");
    EXPECT_EQ(refusal({{"name", "example"}, {"record", "TYPE65280"}}), "");
    for (const char* odd : {"TYPE", "TYPE0", "TYPE1x", "TYPE-1", "TYPE65536", "TYPE65537", "TYPE70000"})
        EXPECT_THAT(refusal({{"name", "example"}, {"record", odd}}), HasSubstr("is no record type")) << odd;
    EXPECT_THAT(refusal({{"name", ""}}), HasSubstr("is no domain name"));
    EXPECT_THAT(refusal({{"name", std::string(64, 'a') + ".example"}}), HasSubstr("is no domain name"));
    EXPECT_THAT(refusal({{"name",
                          "b\xc3\xbc"
                          "cher.example"}}),
                HasSubstr("xn--"));
    EXPECT_THAT(refusal({{"name", "x"}, {"record", "B"}}), HasSubstr("is no record type"));
    EXPECT_THAT(refusal({{"name", "x"}, {"record", "AXFR"}}), HasSubstr("can not be asked for"));
    EXPECT_THAT(refusal({{"name", "x"}, {"rcode", "NOERROR,MAYBE"}}),
                HasSubstr("\"MAYBE\" is no response code"));
    EXPECT_THAT(refusal({{"name", "x"}, {"rcode", "16"}}), HasSubstr("is no response code"));
    EXPECT_THAT(refusal({{"name", "x"}, {"expect", "www"}}), HasSubstr("is no IPv4 address"));
    EXPECT_THAT(refusal({{"name", "x"}, {"record", "AAAA"}, {"expect", "192.0.2.1"}}),
                HasSubstr("is no IPv6 address"));
    EXPECT_THAT(refusal({{"name", "x"}, {"rcode", "NXDOMAIN"}, {"expect", "192.0.2.1"}}),
                HasSubstr("which \"rcode\" does not allow"));
}

TEST(DnsAnswer, PassesWithARecordOfTheType) {
    const auto got = judged({{"name", "www.example"}}, {a_record(1)});
    EXPECT_TRUE(got.pass);
    EXPECT_EQ(got.words, "NOERROR, 1 A record");
    EXPECT_EQ(judged({{"name", "www.example"}}, {a_record(1), a_record(2)}).words, "NOERROR, 2 A records");
}

TEST(DnsAnswer, FailsWithoutARecordOfTheTypeUnlessNoneIsNeeded) {
    EXPECT_EQ(judged({{"name", "www.example"}}, {}).words, "NOERROR, but no A record in the answer");
    EXPECT_FALSE(judged({{"name", "www.example"}}, {record(5, mail)}).pass);
    EXPECT_TRUE(judged({{"name", "www.example"}, {"answers", "0"}}, {}).pass);
    EXPECT_EQ(judged({{"name", "www.example"}, {"answers", "3"}}, {a_record(1), a_record(2)}).words,
              "NOERROR, but only 2 A records (expected 3)");
}

TEST(DnsAnswer, AResponseCodeThatIsNotAllowedFailsWithItsName) {
    const auto got = judged({{"name", "www.example"}}, {}, 0x8182);
    EXPECT_FALSE(got.pass);
    EXPECT_EQ(got.rcode, 2);
    EXPECT_EQ(got.words, "SERVFAIL (expected NOERROR)");
    EXPECT_EQ(judged({{"name", "www.example"}, {"rcode", "NOERROR, NXDOMAIN"}}, {}, 0x8185).words,
              "REFUSED (expected NOERROR or NXDOMAIN)");
    EXPECT_EQ(judged({{"name", "www.example"}}, {}, 0x818e).words, "rcode 14 (expected NOERROR)");
}

TEST(DnsAnswer, AnAllowedResponseCodePassesAsItIs) {
    const Values both = {{"name", "www.example"}, {"rcode", "NOERROR,nxdomain"}, {"expect", "192.0.2.1"}};
    const auto got = judged(both, {}, 0x8183);
    EXPECT_TRUE(got.pass);
    EXPECT_EQ(got.words, "NXDOMAIN");
    EXPECT_EQ(got.rcode, 3);
    EXPECT_FALSE(judged(both, {a_record(2)}).pass) << "the record is still looked at in a NOERROR answer";
    EXPECT_FALSE(judged({{"name", "www.example"}, {"rcode", "NXDOMAIN"}}, {a_record(1)}).pass);
}

TEST(DnsAnswer, OneRecordMustHoldWhatIsExpected) {
    const Values args = {{"name", "www.example"}, {"expect", "192.0.2.1"}};
    EXPECT_TRUE(judged(args, {a_record(7), a_record(1)}).pass);
    const auto got = judged(args, {a_record(10), a_record(11)});
    EXPECT_FALSE(got.pass) << "192.0.2.10 begins with 192.0.2.1, and is another address";
    EXPECT_EQ(got.words, "no A record holds \"192.0.2.1\" (there is 192.0.2.10, 192.0.2.11)");
}

TEST(DnsAnswer, AddressesAreComparedHoweverTheyAreWritten) {
    const std::string aaaa = record(28, std::string("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16));
    EXPECT_TRUE(judged({{"name", "x"}, {"record", "AAAA"}, {"expect", "2001:0DB8:0::1"}}, {aaaa}).pass);
    EXPECT_FALSE(judged({{"name", "x"}, {"record", "AAAA"}, {"expect", "2001:db8::2"}}, {aaaa}).pass);
}

TEST(DnsAnswer, NamesAreComparedWithoutCaseAndFinalDotAndByWholeWords) {
    const std::string mx = record(15, std::string("\0\x0a", 2) + mail);
    for (const char* good : {"mail.example", "MAIL.Example.", "10 mail.example.", "10"})
        EXPECT_TRUE(judged({{"name", "x"}, {"record", "MX"}, {"expect", good}}, {mx}).pass) << good;
    for (const char* bad : {"ail.example", "mail", "1", "0 mail.example"})
        EXPECT_FALSE(judged({{"name", "x"}, {"record", "MX"}, {"expect", bad}}, {mx}).pass) << bad;
}

TEST(DnsAnswer, TheStringsOfTxtAreJoinedAndKeepTheirCase) {
    const std::string txt = text_record("v=spf1 include:a.exa", "mple -all");
    for (const char* good : {"v=spf1 include:a.example -all", "v=spf1", "include:a.example"})
        EXPECT_TRUE(judged({{"name", "x"}, {"record", "TXT"}, {"expect", good}}, {txt}).pass) << good;
    EXPECT_FALSE(judged({{"name", "x"}, {"record", "TXT"}, {"expect", "V=SPF1"}}, {txt}).pass);
}

TEST(DnsAnswer, OfAnyTypeEachRecordIsComparedAsThoseOfItsTypeAre) {
    const std::string txt = text_record("Release=", "Blue"), mx = record(15, std::string("\0\x0a", 2) + mail),
                      aaaa = record(28, std::string("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16));
    for (const char* good : {"Release=Blue", "MAIL.example.", "2001:0DB8:0::1", "192.0.2.7"})
        EXPECT_TRUE(
            judged({{"name", "x"}, {"record", "ANY"}, {"expect", good}}, {mx, txt, aaaa, a_record(7)}).pass)
            << good;
    for (const char* bad : {"release=blue", "mail", "2001:db8::2"})
        EXPECT_FALSE(judged({{"name", "x"}, {"record", "ANY"}, {"expect", bad}}, {mx, txt, aaaa}).pass)
            << bad;
}

TEST(DnsAnswer, WhatDoesNotFitTheQueryIsForeign) {
    const Question asked = question({{"name", "www.example"}}), other = question({{"name", "ww2.example"}});
    const auto words = [&](const std::string& message) {
        const auto got = pulse_dns::judge(asked, asked_id, message, true);
        EXPECT_EQ(got.kind, Kind::foreign);
        return got.words;
    };
    EXPECT_EQ(words(answer(asked.message(asked_id + 1), {a_record(1)})), "its id is another one");
    EXPECT_EQ(words(answer(other.message(asked_id), {a_record(1)})), "it is about another question");
    EXPECT_EQ(words(asked.message(asked_id)), "it is a query");
    EXPECT_EQ(words("\x12\x34\x81"), "it is too short to be DNS");
    EXPECT_EQ(words(answer(asked.message(asked_id), {}, 0xa980)), "it answers another kind of message");
    std::string none = answer(asked.message(asked_id), {});
    none[5] = 0;
    EXPECT_EQ(words(none), "it has no question");
}

TEST(DnsAnswer, TheCaseOfTheQuestionDoesNotMatter) {
    const Question asked = question({{"name", "www.example"}}), loud = question({{"name", "WWW.EXAMPLE"}});
    EXPECT_TRUE(pulse_dns::judge(asked, asked_id, answer(loud.message(asked_id), {a_record(1)}), true).pass);
}

TEST(DnsAnswer, ARefusalWithoutTheQuestionIsHeard) {
    const Question asked = question({{"name", "www.example"}});
    const std::string refused("\x12\x34\x80\x05\0\0\0\0\0\0\0\0", 12);
    const auto got = pulse_dns::judge(asked, asked_id, refused, true);
    EXPECT_EQ(got.kind, Kind::judged);
    EXPECT_EQ(got.words, "REFUSED (expected NOERROR)");
}

TEST(DnsAnswer, TruncationCountsOverUdpOnly) {
    const Question asked = question({{"name", "www.example"}});
    const std::string cut = answer(asked.message(asked_id), {a_record(1)}, 0x8380);
    EXPECT_EQ(pulse_dns::judge(asked, asked_id, cut, true).kind, Kind::truncated);
    EXPECT_TRUE(pulse_dns::judge(asked, asked_id, cut, false).pass);
}

TEST(DnsAnswer, HalfARecordIsAMalformedAnswer) {
    const auto got = judged({{"name", "www.example"}}, {a_record(1), a_record(2).substr(0, 9)});
    EXPECT_FALSE(got.pass);
    EXPECT_THAT(got.words, HasSubstr("malformed answer: record 2"));
}

}  // namespace
}  // namespace plugin_test
