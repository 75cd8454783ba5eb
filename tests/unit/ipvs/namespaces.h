// Runs a test's body in a network namespace of its own: a child process, so that nothing of the test runner's
// own network is touched.
#pragma once
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace gorb::ipvs {

enum class InNamespace { passed, failed, forbidden };

// Failures print themselves; this says whether there were any. `forbidden`: no new namespace can be made
// here.
inline InNamespace in_new_network_namespace(const std::function<void()>& body) {
    constexpr int forbidden = 77;
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) _exit(forbidden);
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
