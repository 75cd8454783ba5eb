#include "base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>

namespace gorb::base::address_test {
namespace {

Ip ip(std::string_view text) {
    auto parsed = Ip::parse(text);
    EXPECT_TRUE(parsed) << text;
    return parsed.value_or(Ip{});
}

TEST(Ip, NumericFormsAreRead) {
    EXPECT_TRUE(ip("10.0.0.1").v4());
    EXPECT_TRUE(ip("2001:db8::1").v6());
    EXPECT_EQ(ip("10.0.0.1").bits(), 32U);
    EXPECT_EQ(ip("::").bits(), 128U);
    EXPECT_EQ(Ip{}.bits(), 0U);
    EXPECT_EQ(ip("10.0.0.1").af(), AF_INET);
    EXPECT_EQ(ip("::1").af(), AF_INET6);
    EXPECT_EQ(Ip{}.af(), AF_UNSPEC);
}

TEST(Ip, OtherFormsAreRefusedWithTheRightOne) {
    for (const std::string_view text :
         {"", "10.0.0", "10.0.0.256", "10.0.0.01", "0x0a000001", "10.0.0.1 ", " 10.0.0.1", "10.0.0.1/24",
          "fe80::1%eth0", "localhost", ":::", "2001:db8::1::2", "[::1]", "12345::", "::ffff:10.0.0.256",
          "1:2:3:4:5:6:7:8:9"}) {
        const auto parsed = Ip::parse(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, Errc::invalid);
        EXPECT_NE(parsed.error().sentence.find("such as 10.0.0.1"), std::string::npos);
    }
    EXPECT_FALSE(Ip::parse(std::string_view("10.0.0.1\0", 9)));
    EXPECT_FALSE(Ip::parse(std::string(100'000, '1')));
}

TEST(Ip, MappedTextIsTheIpv4AddressAndKernelBytesStayAsTheyAre) {
    EXPECT_EQ(ip("::ffff:10.0.0.1"), ip("10.0.0.1"));
    EXPECT_EQ(ip("::ffff:a00:1"), ip("10.0.0.1"));
    in6_addr raw{};
    ASSERT_EQ(inet_pton(AF_INET6, "::ffff:10.0.0.1", &raw), 1);
    const Ip kernel = Ip::from_bytes(AF_INET6, &raw);
    EXPECT_TRUE(kernel.v6());
    EXPECT_EQ(kernel.text(), "::ffff:10.0.0.1");
    EXPECT_FALSE(Ip::from_bytes(AF_UNIX, &raw));
}

TEST(Ip, TextIsTheOneOfRfc5952) {
    const std::pair<const char*, const char*> forms[] = {
        {"2001:0db8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:DB8::A", "2001:db8::a"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // one zero group is not shortened
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // the longest run
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // the first of equals
        {"::1:2", "::1:2"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
        {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
        {"::", "::"},
        {"::1", "::1"},
        {"192.168.0.255", "192.168.0.255"}};
    for (const auto& [from, to] : forms) EXPECT_EQ(ip(from).text(), to);
    EXPECT_EQ(Ip{}.text(), "");
}

TEST(Ip, EveryAddressReadsBackFromItsText) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20'000; ++i) {
        uint8_t raw[16];
        for (uint8_t& b : raw)
            b = random() % 3 == 0 ? static_cast<uint8_t>(random()) : 0;  // many runs of zeros
        const Ip v6 = Ip::from_bytes(AF_INET6, raw);
        uint8_t again[16];
        ASSERT_EQ(inet_pton(AF_INET6, v6.text().c_str(), again), 1) << v6.text();
        ASSERT_EQ(std::memcmp(raw, again, 16), 0) << v6.text();
        const Ip v4 = Ip::from_bytes(AF_INET, raw);
        ASSERT_EQ(ip(v4.text()), v4);
    }
}

TEST(Ip, KindsOfAddresses) {
    EXPECT_TRUE(ip("0.0.0.0").unspecified());
    EXPECT_TRUE(ip("::").unspecified());
    EXPECT_FALSE(ip("0.0.0.1").unspecified());
    EXPECT_TRUE(ip("127.1.2.3").loopback());
    EXPECT_TRUE(ip("::1").loopback());
    EXPECT_FALSE(ip("::2").loopback());
    EXPECT_FALSE(ip("128.0.0.1").loopback());
    EXPECT_FALSE(Ip{}.loopback());
    for (const char* text : {"224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"}) {
        EXPECT_TRUE(ip(text).multicast_or_broadcast()) << text;
    }
    for (const char* text : {"223.255.255.255", "240.0.0.1", "255.255.255.254", "fe80::1", "::1"}) {
        EXPECT_FALSE(ip(text).multicast_or_broadcast()) << text;
    }
}

TEST(Endpoint, IsReadAndWritten) {
    for (const char* text : {"10.0.0.1:80", "[2001:db8::1]:65535", "[::1]:0"}) {
        const auto endpoint = Endpoint::parse(text);
        ASSERT_TRUE(endpoint) << text;
        EXPECT_EQ(endpoint->text(), text);
    }
}

TEST(Endpoint, WithoutPortOrBracketsItIsRefused) {
    for (const char* text :
         {"", ":", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:+1",
          "10.0.0.1:8x", "::1:80", "[::1]", "[::1]80", "[10.0.0.1]:80", "[]:80", "[:80", "host:80"}) {
        EXPECT_FALSE(Endpoint::parse(text)) << text;
    }
}

TEST(Endpoint, NeighboursHaveDifferentHashes) {
    std::set<size_t> hashes, low;
    for (unsigned i = 0; i < 100; ++i) {
        for (uint16_t port = 1; port <= 100; ++port) {
            const uint8_t raw[4] = {10, 0, 0, static_cast<uint8_t>(i)};
            const size_t h = hash_value({Ip::from_bytes(AF_INET, raw), port});
            hashes.insert(h);
            low.insert(h & 0xffff);
        }
    }
    EXPECT_EQ(hashes.size(), 10'000U);
    EXPECT_GT(low.size(), 8'500U);  // 9,269 expected of chance
}

}  // namespace
}  // namespace gorb::base::address_test
