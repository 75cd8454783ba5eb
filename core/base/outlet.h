// How to write to a descriptor that is not ours alone, such as stderr, without waiting for whoever reads it.
//
// poll() says POLLOUT of a pipe that has room for PIPE_BUF bytes (pipe(7)), but of a terminal as long as
// there is room for a single one (drivers/tty/n_tty.c), and what is longer waits in the kernel. O_NONBLOCK
// would be everybody's who shares the terminal, a shell's among them: it is opened anew instead.
//
// Threads: any.
#pragma once
#include <cstddef>

namespace gorb::base {

class Outlet {
  public:
    // The descriptor stays the caller's.
    explicit Outlet(int fd);
    ~Outlet();
    Outlet(const Outlet&) = delete;
    Outlet& operator=(const Outlet&) = delete;

    int fd() const { return fd_; }  // to write to: the same, or one of our own for the same terminal
    // So many bytes at most are written without waiting after poll() has said POLLOUT. To a terminal that can
    // not be opened, being another user's, byte by byte, so that what two processes write at once may mix;
    // the end of a line, which needs two, may still wait there.
    size_t at_once() const { return at_once_; }

  private:
    int fd_;
    size_t at_once_;
    bool own_ = false;
};

}  // namespace gorb::base
