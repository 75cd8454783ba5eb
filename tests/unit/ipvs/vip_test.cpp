#include "ipvs/vip.h"

#include <dlfcn.h>

#include <cerrno>

#include "unit/ipvs/namespaces.h"
#include "unit/ipvs/vip_bodies.h"

namespace gorb::ipvs::vip_test {
namespace {

// Of what libnl receives: so many are taken as they come, so many fail then and leave in the socket what
// there was.
thread_local int taken = 0, failing = 0;

bool fails_now() {
    if (failing == 0 || taken-- > 0) return false;
    taken = 0;
    --failing;
    return true;
}

void run(const std::function<void()>& body) {
    switch (in_new_network_namespace(body)) {
        case InNamespace::passed:
            break;
        case InNamespace::failed:
            ADD_FAILURE() << "see above";
            break;
        case InNamespace::forbidden:
            GTEST_SKIP() << "network namespaces are forbidden here; ipvs_kernel_test runs this test too";
    }
}

TEST(VipTable, AddsHostAddressesAndRemovesThem) {
    run(vip_is_added_as_host_address_and_removed);
}
TEST(VipTable, AnAddressThatIsThereIsNotAddedAgain) {
    run(vip_that_is_there_is_not_added_again);
}
TEST(VipTable, NoConnectionComesFromAVip) {
    run(vip_is_no_source_of_connections);
}
TEST(VipTable, AMissingInterfaceIsNamed) {
    run(vip_needs_its_interface);
}

void fail_receiving(int after, int times) {
    taken = after;
    failing = times;
}

TEST(VipTable, AnExchangeThatBreaksOffIsTriedOnceMore) {
    run([] {
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
        } while (failing == 0);
        EXPECT_GT(after, 6) << "each of them receives";
    });
}

TEST(VipTable, WhatAFailureLeftInTheSocketIsNotTakenForTheNextAnswer) {
    run([] {
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
    });
}

}  // namespace
}  // namespace gorb::ipvs::vip_test

// In place of libc's, for libnl too.
extern "C" __attribute__((visibility("default"))) ssize_t recvmsg(int fd, msghdr* message, int flags) {
    static const auto real = reinterpret_cast<decltype(&recvmsg)>(dlsym(RTLD_NEXT, "recvmsg"));
    if (gorb::ipvs::vip_test::fails_now()) {
        errno = ENOBUFS;
        return -1;
    }
    return real(fd, message, flags);
}
