#include "base/outlet.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <climits>
#include <cstdio>

namespace gorb::base {
namespace {

// -1: it can not be opened, or another one was: what the name of /dev/ptmx or /dev/tty opens is not always
// what it opened before.
int open_again(int terminal) {
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", terminal);
    const int fd = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    unsigned was = 0, is = 0;
    if (fd < 0 || (ioctl(terminal, TIOCGDEV, &was) == 0 && ioctl(fd, TIOCGDEV, &is) == 0 && was == is))
        return fd;
    close(fd);
    return -1;
}

}  // namespace

Outlet::Outlet(int fd) : fd_(fd), at_once_(PIPE_BUF) {
    if (isatty(fd) == 0) return;
    const int again = open_again(fd);
    own_ = again >= 0;
    if (own_) {
        fd_ = again;
    } else {
        at_once_ = 1;
    }
}

Outlet::~Outlet() {
    if (own_) close(fd_);
}

}  // namespace gorb::base
