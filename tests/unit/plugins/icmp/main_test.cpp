// Every test of this executable runs in a network namespace of its own: as root, or as nobody in particular
// in a user namespace of its own too.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "icmp/network.h"

namespace {

void enter() {
    const uid_t uid = getuid();
    const gid_t gid = getgid();
    if (unshare(uid == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0)
        throw std::runtime_error(
            "no network namespace of its own can be had: run it as root, or permit user namespaces");
    if (uid != 0) {
        std::ofstream("/proc/self/setgroups") << "deny";
        std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1";
        std::ofstream("/proc/self/gid_map") << "0 " << gid << " 1";
    }
    plugin_test::sh("ip link set lo up");
    plugin_test::set_sysctl("ipv4/icmp_ratelimit", "0");
    plugin_test::set_sysctl("ipv6/icmp/ratelimit", "0");
}

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (!GTEST_FLAG_GET(list_tests)) {
        try {
            enter();
        } catch (const std::exception& e) {
            std::fprintf(stderr, "%s\n", e.what());
            return 1;
        }
    }
    return RUN_ALL_TESTS();
}
