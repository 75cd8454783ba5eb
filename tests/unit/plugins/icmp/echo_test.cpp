#include "echo.h"

#include <gtest/gtest.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

namespace pulse_icmp {
namespace {

TEST(IcmpEcho, ARequestHasTheChecksumOfRfc1071) {
    const std::string message = echo_request(false, 0x1234, 1, "abc");
    EXPECT_EQ(message, std::string("\x08\0\x21\x68\x12\x34\0\1abc", 11));
    EXPECT_EQ(echo_request(true, 0x1234, 1, "")[0], static_cast<char>(ICMP6_ECHO_REQUEST));
}

TEST(IcmpEcho, IsReadAsItWasWritten) {
    for (const bool v6 : {false, true}) {
        const std::string message = echo_request(v6, 7, 65535, "payload");
        const auto echo = parse_echo(v6, false, message);
        ASSERT_TRUE(echo);
        EXPECT_TRUE(echo->request);
        EXPECT_EQ(echo->id, 7);
        EXPECT_EQ(echo->sequence, 65535);
        EXPECT_EQ(echo->payload, "payload");
    }
}

TEST(IcmpEcho, AnIpHeaderOfAnyLengthIsSkipped) {
    for (const size_t words : {5u, 6u, 15u}) {
        std::string message(words * 4, '\0');
        message[0] = static_cast<char>(0x40 | words);
        message[9] = IPPROTO_ICMP;
        message += echo_request(false, 7, 1, "payload");
        message[words * 4] = ICMP_ECHOREPLY;
        const auto echo = parse_echo(false, true, message);
        ASSERT_TRUE(echo) << words;
        EXPECT_FALSE(echo->request);
        EXPECT_EQ(echo->payload, "payload");
        EXPECT_FALSE(parse_echo(false, true, message.substr(0, words * 4 + 7))) << words;
    }
}

TEST(IcmpEcho, WhatIsNoEchoIsNothing) {
    EXPECT_FALSE(parse_echo(false, false, ""));
    EXPECT_FALSE(parse_echo(false, true, std::string("\x45")));
    EXPECT_FALSE(parse_echo(false, false, std::string("\3\1\0\0\0\0\0\0", 8))) << "unreachable";
    EXPECT_FALSE(parse_echo(false, false, std::string("\0\1\0\0\0\0\0\0", 8))) << "another code";
    EXPECT_FALSE(parse_echo(true, false, echo_request(false, 1, 1, ""))) << "another family";
    EXPECT_FALSE(parse_echo(false, true, std::string("\x41", 1) + std::string(40, '\0')))
        << "a header of 4 bytes";
}

TEST(IcmpEcho, EveryPayloadBeginsWithItsToken) {
    EXPECT_EQ(payload_of(0x0807060504030201, 10), std::string("\1\2\3\4\5\6\7\x08\x08\x09", 10));
    EXPECT_EQ(payload_of(0x0807060504030201, 2), "\1\2");
    EXPECT_EQ(payload_of(1, 0), "");
    EXPECT_NE(payload_of(1, 56), payload_of(2, 56));
}

TEST(IcmpEcho, ErrorsHaveWords) {
    EXPECT_EQ(error_words(false, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH), "host unreachable");
    EXPECT_EQ(error_words(false, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED), "prohibited by an administrator");
    EXPECT_EQ(error_words(false, ICMP_TIME_EXCEEDED, 0), "time to live exceeded on the way");
    EXPECT_EQ(error_words(true, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR), "address unreachable");
    EXPECT_EQ(error_words(true, ICMP6_TIME_EXCEEDED, 0), "hop limit exceeded on the way");
    EXPECT_EQ(error_words(false, 99, 3), "ICMP error 99, code 3");
}

}  // namespace
}  // namespace pulse_icmp
