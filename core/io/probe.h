// Asks whether a TCP connection opens, with as little work for the kernel as it takes: SYN, SYN-ACK, RST.
//
// The socket asks for TCP_DEFER_ACCEPT, which on a connecting socket holds back the last ACK. What follows is
// the reset, so the peer drops the half-open connection: its accept() never sees it. Sockets are used again
// (io/socket_pool.h), so a check is two system calls and its share of an epoll_wait. What of this holds on
// which kernel is in core/README.md; tests/unit/io/probe_test.cpp shows it.
//
// Threads: the loop's. Cost: about 50 bytes, and a socket, for each probe that was ever in flight at once.
#pragma once
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/result.h"
#include "io/loop.h"
#include "io/socket_pool.h"

namespace gorb::io {

class Probe;  // one that is in flight

// How a probe ended, once; it is gone then, and its socket may be the next one's. why: 0 for a connection
// that opened, otherwise a negative errno (-ECONNREFUSED, -ETIMEDOUT, ...).
class ProbeEvents {
  public:
    virtual void probed(int why) = 0;

  protected:
    ~ProbeEvents() = default;
};

class ProbePool {
  public:
    // `sockets` must outlive it.
    ProbePool(Loop& loop, SocketPool& sockets);
    // Ends what is in flight without a word.
    ~ProbePool();
    ProbePool(const ProbePool&) = delete;
    ProbePool& operator=(const ProbePool&) = delete;

    // Begins one. `deadline` (monotonic ns, 0: none) ends it with -ETIMEDOUT; without `timer` it is only
    // said, and the caller ends it by then with cancel(). No event comes before this has returned. Fails for
    // trouble of our own only.
    base::Result<Probe*> start(const base::Endpoint& peer, const Way& way, uint64_t deadline,
                               ProbeEvents& events, bool timer = true);
    // Ends it without an event.
    void cancel(Probe* probe);

  private:
    friend class Probe;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::io
