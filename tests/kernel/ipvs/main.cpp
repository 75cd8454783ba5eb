// ipvs_kernel_test: needs root and a kernel with IPVS. All of it happens in network namespaces of its own.
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdio>

#include "unit/ipvs/namespaces.h"

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (!GTEST_FLAG_GET(list_tests) && (unshare(CLONE_NEWNET) != 0 || !gorb::ipvs::loopback_up())) {
        std::perror("ipvs_kernel_test needs a network namespace of its own, and so root");
        return 1;
    }
    return RUN_ALL_TESTS();
}
