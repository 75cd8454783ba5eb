// The tests of ipvs::VipTable as bodies that run in a network namespace of their own. ipvs_test runs them
// where namespaces are allowed, ipvs_kernel_test runs them always.
#pragma once
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "ipvs/vip.h"
#include "unit/ipvs/failing_receive.h"
#include "unit/ipvs/records.h"

namespace gorb::ipvs {

// "lo 192.0.2.1/32" for each address of this namespace, asked of the C library, not of the code under test.
inline std::vector<std::string> addresses() {
    std::vector<std::string> out;
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return {"getifaddrs failed"};
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
    for (const ifaddrs* a = list; a; a = a->ifa_next) {
        if (!a->ifa_addr || !a->ifa_netmask) continue;
        const int family = a->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        const auto bytes = [family](const sockaddr* sa) {
            return family == AF_INET
                       ? reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in*>(sa)->sin_addr)
                       : reinterpret_cast<const uint8_t*>(
                             &reinterpret_cast<const sockaddr_in6*>(sa)->sin6_addr);
        };
        char text[INET6_ADDRSTRLEN] = {};
        inet_ntop(family, bytes(a->ifa_addr), text, sizeof text);
        int prefix = 0;
        for (int i = 0; i < (family == AF_INET ? 4 : 16); ++i)
            prefix += std::popcount(bytes(a->ifa_netmask)[i]);
        out.push_back(std::string(a->ifa_name) + " " + text + "/" + std::to_string(prefix));
    }
    std::sort(out.begin(), out.end());
    return out;
}

inline bool make_dummy(const std::string& name, bool up) {
    const std::unique_ptr<nl_sock, decltype(&nl_socket_free)> socket(nl_socket_alloc(), nl_socket_free);
    if (nl_connect(socket.get(), NETLINK_ROUTE) < 0) return false;
    const std::unique_ptr<rtnl_link, decltype(&rtnl_link_put)> link(rtnl_link_alloc(), rtnl_link_put);
    rtnl_link_set_name(link.get(), name.c_str());
    if (rtnl_link_set_type(link.get(), "dummy") < 0) return false;
    if (up) rtnl_link_set_flags(link.get(), IFF_UP);
    return rtnl_link_add(socket.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL) == 0;
}

inline base::Result<bool> add(VipTable& vips, const base::Ip& address) {
    const auto there = vips.addresses();
    if (!there) return base::fail(there.error());
    return vips.add(address, *there);
}

inline void vip_is_added_as_host_address_and_removed() {
    const auto vips = open_vip_table("lo");
    ASSERT_TRUE(ok(vips));
    const auto before = addresses();
    for (const std::string_view text : {"192.0.2.1", "2001:db8::80"}) {
        const auto added = add(**vips, ip(text));
        ASSERT_TRUE(ok(added));
        EXPECT_TRUE(*added);
    }
    auto wanted = before;
    wanted.emplace_back("lo 192.0.2.1/32");
    wanted.emplace_back("lo 2001:db8::80/128");
    std::sort(wanted.begin(), wanted.end());
    EXPECT_EQ(addresses(), wanted);
    for (const std::string_view text : {"192.0.2.1", "2001:db8::80"}) {
        EXPECT_TRUE(ok((*vips)->remove(ip(text))));
        EXPECT_TRUE(ok((*vips)->remove(ip(text)))) << "not having it is success";
    }
    EXPECT_EQ(addresses(), before);
}

inline void vip_that_is_there_is_not_added_again() {
    const auto vips = open_vip_table("lo");
    ASSERT_TRUE(ok(vips));
    EXPECT_TRUE(*add(**vips, ip("192.0.2.1")));
    const auto again = add(**vips, ip("192.0.2.1"));
    ASSERT_TRUE(ok(again));
    EXPECT_FALSE(*again);
    EXPECT_FALSE(*(*vips)->add(ip("192.0.2.1"), {})) << "this interface has got it since";
    EXPECT_TRUE(*add(**vips, ip("192.0.2.2"))) << "an address of the same beginning is another one";
}

// "2001:db8::1": whom a connection to there would come from; "" where nothing leads there.
inline std::string source_towards(const std::string& to) {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 there{}, here{};
    socklen_t size = sizeof here;
    there.sin6_family = AF_INET6;
    there.sin6_port = htons(9);
    inet_pton(AF_INET6, to.c_str(), &there.sin6_addr);
    const bool known = connect(fd, reinterpret_cast<sockaddr*>(&there), sizeof there) == 0 &&
                       getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size) == 0;
    close(fd);
    char text[INET6_ADDRSTRLEN] = {};
    if (known) inet_ntop(AF_INET6, &here.sin6_addr, text, sizeof text);
    return text;
}

// The kernel likes the address best that is nearest to the peer's, and a /128 beside the peers always is. A
// server with the VIP of its own (dr, tunnel) would answer itself, and so would another director.
inline void vip_is_no_source_of_connections() {
    const std::unique_ptr<nl_sock, decltype(&nl_socket_free)> socket(nl_socket_alloc(), nl_socket_free);
    ASSERT_EQ(nl_connect(socket.get(), NETLINK_ROUTE), 0);
    const std::unique_ptr<rtnl_addr, decltype(&rtnl_addr_put)> own(rtnl_addr_alloc(), rtnl_addr_put);
    nl_addr* address = nullptr;
    ASSERT_EQ(nl_addr_parse("2001:db8::1/64", AF_INET6, &address), 0);
    rtnl_addr_set_ifindex(own.get(), static_cast<int>(if_nametoindex("lo")));
    rtnl_addr_set_local(own.get(), address);
    nl_addr_put(address);
    rtnl_addr_set_flags(own.get(), IFA_F_NODAD);
    ASSERT_EQ(rtnl_addr_add(socket.get(), own.get(), 0), 0);
    ASSERT_EQ(source_towards("2001:db8::2"), "2001:db8::1");
    const auto vips = open_vip_table("lo");
    ASSERT_TRUE(ok(vips));
    EXPECT_TRUE(*add(**vips, ip("2001:db8::80")));
    EXPECT_EQ(source_towards("2001:db8::2"), "2001:db8::1");
    EXPECT_TRUE(ok((*vips)->remove(ip("2001:db8::80"))));
}

inline void vip_needs_its_interface() {
    const auto none = open_vip_table("no-such-if");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, base::Errc::not_found);
    EXPECT_NE(none.error().sentence.find("no-such-if"), std::string::npos);
    for (const char* name : {"lo:1", "lo:", ":", "", "a-name-longer-than-any-interface-has"}) {
        const auto other = open_vip_table(name);
        ASSERT_FALSE(other) << name;
        EXPECT_EQ(other.error().code, base::Errc::not_found) << name;
    }
    const auto vips = open_vip_table("lo");
    ASSERT_TRUE(ok(vips));
    EXPECT_EQ(add(**vips, base::Ip{}).error().code, base::Errc::invalid);
}

inline void vip_exchange_that_breaks_off_is_tried_again() {
    const auto vips = open_vip_table("lo");
    ASSERT_TRUE(ok(vips));
    const auto before = addresses();
    int after = 0;
    do {
        fail_receiving(after, 1);
        const auto added = (*vips)->add(ip("192.0.2.1"), {});
        ASSERT_TRUE(ok(added)) << after;
        EXPECT_TRUE(*added) << after;
        EXPECT_THAT(addresses(), testing::Contains("lo 192.0.2.1/32")) << after;
        const auto there = (*vips)->addresses();
        ASSERT_TRUE(ok(there)) << after;
        EXPECT_TRUE(there->contains(ip("192.0.2.1"))) << after;
        EXPECT_TRUE(ok((*vips)->remove(ip("192.0.2.1")))) << after;
        EXPECT_EQ(addresses(), before) << after;
        ++after;
    } while (failures_left() == 0);
    EXPECT_GT(after, 6) << "each of them receives";
}

inline void vip_failure_spoils_nothing_after_it() {
    const auto vips = open_vip_table("lo");
    ASSERT_TRUE(ok(vips));
    constexpr int always = 1000;
    fail_receiving(0, always);
    EXPECT_FALSE((*vips)->add(ip("192.0.2.1"), {}));
    EXPECT_FALSE((*vips)->addresses());
    EXPECT_FALSE((*vips)->remove(ip("192.0.2.1")));
    fail_receiving(0, 0);
    const auto added = add(**vips, ip("192.0.2.1"));
    ASSERT_TRUE(ok(added));
    EXPECT_TRUE(*added);
    EXPECT_TRUE(ok((*vips)->remove(ip("192.0.2.1"))));
}

// Needs the kernel's dummy interfaces.
inline void vip_of_another_interface_is_left_there() {
    ASSERT_TRUE(make_dummy("gorb0", true));
    ASSERT_TRUE(make_dummy("gorb1", true));
    const auto first = open_vip_table("gorb0");
    const auto second = open_vip_table("gorb1");
    ASSERT_TRUE(ok(first));
    ASSERT_TRUE(ok(second));
    EXPECT_TRUE(*add(**first, ip("192.0.2.1")));
    EXPECT_FALSE(*add(**second, ip("192.0.2.1")));
    EXPECT_TRUE(ok((*second)->remove(ip("192.0.2.1"))));
    const auto now = addresses();
    EXPECT_NE(std::find(now.begin(), now.end(), "gorb0 192.0.2.1/32"), now.end());
    EXPECT_EQ(std::find(now.begin(), now.end(), "gorb1 192.0.2.1/32"), now.end());

    // Only what is said to be gorb's and is the address of a host alone.
    EXPECT_TRUE(*add(**first, ip("192.0.2.2")));
    EXPECT_TRUE(*add(**first, ip("2001:db8::81")));
    ASSERT_EQ(std::system("ip address add 198.51.100.1/24 dev gorb0"), 0);
    const auto moved =
        (*second)->move_here({ip("192.0.2.1"), ip("2001:db8::81"), ip("192.0.2.9"), ip("198.51.100.1")});
    ASSERT_TRUE(ok(moved));
    EXPECT_EQ(moved->size(), 2U);
    EXPECT_THAT(addresses(), testing::IsSupersetOf({"gorb1 192.0.2.1/32", "gorb1 2001:db8::81/128",
                                                    "gorb0 192.0.2.2/32", "gorb0 198.51.100.1/24"}));
    EXPECT_THAT(addresses(), testing::Not(testing::Contains("gorb0 192.0.2.1/32")));
    EXPECT_THAT(addresses(), testing::Not(testing::Contains("gorb0 2001:db8::81/128")));
    EXPECT_TRUE((*second)->move_here({ip("192.0.2.1")})->empty()) << "it is there";

    // IPv6 can be used at once: never tentative (0x40), as IFA_F_NODAD (0x02) wants it.
    EXPECT_TRUE(*add(**first, ip("2001:db8::80")));
    std::ifstream list("/proc/self/net/if_inet6");
    unsigned flags = 0;
    for (std::string line; std::getline(list, line);) {
        if (!line.starts_with("20010db8000000000000000000000080 ")) continue;
        std::istringstream fields(line);
        std::string address, index, prefix, scope;
        fields >> address >> index >> prefix >> scope >> std::hex >> flags;
        EXPECT_EQ(prefix, "80");  // 128 in hexadecimal
    }
    EXPECT_EQ(flags & 0x42, 0x02U);
}

}  // namespace gorb::ipvs
