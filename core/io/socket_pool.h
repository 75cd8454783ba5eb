// TCP sockets that serve one connection after the other.
//
// A socket is not closed but disconnected, connect(AF_UNSPEC). That resets the connection (RST), also one
// that the peer has ended already, so neither side keeps a TIME_WAIT of it; it frees the port, throws away
// what was not read or sent, and keeps descriptor, options and the registration with epoll. What a connection
// costs beyond its segments is then one connect() at its begin and one at its end. A socket that can not be
// disconnected, is not as a new one afterwards, or is bound to an IPv6 source, is reset, closed and replaced.
// What of this holds on which kernel is in core/README.md.
//
// Threads: the loop's. Cost: a descriptor for each connection that ever stood at once; those not needed for
// half a minute or so are closed, and so is one for each new one where descriptors are short. A connection
// costs the same however many kinds there are: each backend may be checked with a mark of its own.
#pragma once
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/result.h"
#include "io/loop.h"
#include "io/socket.h"

namespace gorb::io {

class SocketPool {
  public:
    // Sockets of one kind are alike.
    struct Kind {
        int af = 0;
        bool holds_ack = false;  // TCP_DEFER_ACCEPT: the last segment of the handshake waits for what is sent
        bool few_syns = false;   // the kernel need not plan for more than two
        Way way;                 // source.port is 0: a port of its own can not serve many
        bool operator==(const Kind&) const = default;
    };
    struct KindHash {
        size_t operator()(const Kind& kind) const;
    };
    struct Group;
    // One in use, until it is given back.
    struct Socket {
        int fd = -1;
        Group* group = nullptr;
    };

    explicit SocketPool(Loop& loop);
    // Closes those that rest. Those in use must have been given back.
    ~SocketPool();
    SocketPool(const SocketPool&) = delete;
    SocketPool& operator=(const SocketPool&) = delete;

    struct Begun {
        Socket socket;
        int error = 0;  // 0: connected, EINPROGRESS: on its way, else what is wrong with the peer
    };
    // Begins a connection. Its events (EPOLLIN, EPOLLOUT, EPOLLRDHUP, by edges) come to fn(arg), beginning
    // with the loop's next turn: an event of this turn is one of whoever had the socket before. Fails for
    // trouble of our own only.
    base::Result<Begun> connect(const Kind& kind, const base::Endpoint& peer, Loop::EdgeFn fn, void* arg);
    // Its connection is over.
    void give(Socket socket);

    // Closes one that rests, for who finds no descriptor free. False: none rests.
    bool make_room();
    // Somebody made a descriptor. Where that shows that most of this process's are in use, what rests gives
    // way, and the pool grows no more as long as something rests: what is left is for those who can not ask
    // for room.
    void made(int fd);

    size_t sockets() const;  // that are open, in use or not
    size_t kinds() const;    // of those

    static constexpr uint64_t rest_ns = 30'000'000'000;  // what was not needed for so long is closed

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
    const int many_;  // the kernel gives the lowest number that is free
};

}  // namespace gorb::io
