// Runs a test's body in a network namespace of its own: a child process, so that nothing of the test runner's
// own network is touched.
#pragma once
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>

namespace gorb::ipvs {

// In a namespace that never had an address, the kernel takes every IPv4 address for a broadcast one and
// refuses it as a destination (inet_addr_type() without a local table).
inline bool loopback_up() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    const bool done = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0) close(fd);
    return done;
}

enum class InNamespace { passed, failed, forbidden };

// Failures print themselves; this says whether there were any. `forbidden`: no new namespace can be made
// here.
inline InNamespace in_new_network_namespace(const std::function<void()>& body) {
    constexpr int forbidden = 77;
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) _exit(forbidden);
        EXPECT_TRUE(loopback_up());
        body();
        fflush(nullptr);
        _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return InNamespace::failed;
    if (WEXITSTATUS(status) == forbidden) return InNamespace::forbidden;
    return WEXITSTATUS(status) == 0 ? InNamespace::passed : InNamespace::failed;
}

}  // namespace gorb::ipvs
