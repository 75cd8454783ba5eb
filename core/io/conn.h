// A non-blocking client connection on a Loop: TCP or connected UDP, with source address, fwmark and deadline.
// It is what the SDK's gorb.net/1 gives to plugins.
//
// Threads: the loop's. Errors: open() fails only for our own trouble (no descriptor, no such source address);
// what the peer does comes through closed().
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "io/loop.h"

namespace gorb::io {

enum class Transport : uint8_t { tcp, udp };

struct ConnOptions {
    Transport transport = Transport::tcp;
    base::Endpoint peer;
    base::Endpoint source;  // ip.family none: the kernel chooses
    uint32_t scope = 0;     // interface index for link-local IPv6 addresses
    uint32_t fwmark = 0;    // SO_MARK, 0: none
    uint64_t deadline = 0;  // monotonic ns, 0: none; then closed(-ETIMEDOUT)
};

class Conn;

// What happens to a connection. closed() is the last call, once; the Conn is gone after it returns.
class ConnEvents {
  public:
    virtual void opened(Conn&) = 0;
    // Returns how many bytes were consumed; the rest comes again in front of what follows. More than 1 MiB of
    // such rest is closed(-ENOBUFS). UDP: one call is one datagram, and there is no rest.
    virtual size_t received(Conn&, const uint8_t* data, size_t size) = 0;
    // 0: the peer ended the stream; otherwise a negative errno (-ECONNREFUSED, -ETIMEDOUT, ...)
    virtual void closed(Conn&, int why) = 0;

  protected:
    ~ConnEvents() = default;
};

class Conn {
  public:
    // `events` must live until closed() or close(). No event comes before open() has returned.
    static base::Result<Conn*> open(Loop& loop, const ConnOptions& options, ConnEvents& events);

    // Copied, sent in order. 0, or -ENOTCONN before opened(), -EMSGSIZE (UDP), -ENOBUFS over 1 MiB waiting.
    // An error of the connection itself is not told here but by closed(), which follows.
    int send(const void* data, size_t size);
    // No event follows; the Conn is gone. May be called from within its events. TCP is reset (RST), not
    // finished, so a check leaves no TIME_WAIT behind.
    void close();

    Conn(const Conn&) = delete;
    Conn& operator=(const Conn&) = delete;

  private:
    struct Impl;
    explicit Conn(std::unique_ptr<Impl> impl);
    ~Conn();
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::io
