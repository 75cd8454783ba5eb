// A non-blocking client connection on a Loop: TCP, TLS or connected UDP, with source address, device, fwmark
// and deadline. It is what the SDK's gorb.net/1 gives to plugins (which also probes ports: io/probe.h).
//
// Threads: the loop's. Errors: open() fails only for our own trouble (no descriptor, no route, no such source
// address, an unreadable CA file); what the peer does comes through closed(). io/trouble.h tells the two
// apart.
//
// Cost: about 200 bytes a connection (and some 20 KB in OpenSSL for TLS), one epoll_ctl for its whole life,
// none with a socket that was used before.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "io/loop.h"
#include "io/socket.h"
#include "io/socket_pool.h"
#include "io/tls.h"

namespace gorb::io {

enum class Transport : uint8_t { tcp, udp };

struct ConnOptions {
    Transport transport = Transport::tcp;
    base::Endpoint peer;
    Way way;
    uint64_t deadline = 0;  // monotonic ns, 0: none; then closed(-ETIMEDOUT)
    bool finish = false;    // close() ends TCP with FIN instead of RST
    // The owner sends as soon as it is opened, before the peer says anything: the last segment of the TCP
    // handshake waits for those bytes and goes with them. Of no use where the peer speaks first. TLS has it.
    bool speaks_first = false;
    const TlsOptions* tls = nullptr;  // for TLS over TCP; lent for the call of open()
    // Where sockets of plain TCP come from and go to, unless they are to be finished or bound to a port, and
    // which gives room to others when no descriptor is free; must outlive the connection. nullptr: each has
    // its own.
    SocketPool* sockets = nullptr;
};

class Conn;

// What happens to a connection. closed() is the last call, once; the Conn is gone after it returns.
class ConnEvents {
  public:
    // TCP: connected. TLS: the handshake is through. UDP: at once.
    virtual void opened(Conn&) = 0;
    // Returns how many bytes were consumed; the rest comes again in front of what follows. More than 1 MiB of
    // such rest is closed(-EMSGSIZE): the peer says what nobody asked for. UDP: one call is one datagram, and
    // there is no rest.
    virtual size_t received(Conn&, const uint8_t* data, size_t size) = 0;
    // 0: the peer ended the stream; otherwise a negative errno (-ECONNREFUSED, -ETIMEDOUT, ...), -EPROTO for
    // what is wrong with TLS. It comes within the loop's turn in which the kernel tells.
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
    // finished, so a check leaves no TIME_WAIT; unless `finish` was asked for. (A socket of a pool is reset
    // after closed(), too, which the peer may take for the answer to its own end.)
    void close();

    bool tls() const;
    // Of TLS, from opened() on; else nullptr.
    const TlsPeer* tls_peer();
    // Before opened(): how far it has come, "connecting" or "in the TLS handshake"; else "".
    std::string_view stage() const;
    // Within closed() only: why, in words, where an errno says too little; else empty.
    std::string_view reason() const;

    Conn(const Conn&) = delete;
    Conn& operator=(const Conn&) = delete;

  protected:
    Conn() = default;
    ~Conn() = default;

  private:
    struct Impl;
    Impl& impl();
    const Impl& impl() const;
};

}  // namespace gorb::io
