#include "unit/ipvs/failing_receive.h"

#include <dlfcn.h>
#include <sys/socket.h>

#include <cerrno>

namespace gorb::ipvs {
namespace {

thread_local int passing = 0, failing = 0;

bool fails_now() {
    if (failing == 0 || passing-- > 0) return false;
    passing = 0;
    --failing;
    return true;
}

}  // namespace

void fail_receiving(int after, int times) {
    passing = after;
    failing = times;
}

int failures_left() {
    return failing;
}

}  // namespace gorb::ipvs

// In place of libc's.
extern "C" __attribute__((visibility("default"))) ssize_t recvmsg(int fd, msghdr* message, int flags) {
    static const auto real = reinterpret_cast<decltype(&recvmsg)>(dlsym(RTLD_NEXT, "recvmsg"));
    if (gorb::ipvs::fails_now()) {
        errno = ENOBUFS;
        return -1;
    }
    return real(fd, message, flags);
}
