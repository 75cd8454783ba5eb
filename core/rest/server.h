// The HTTP/1.1 server: a connection loop of our own around library parsers.
//
// Connections wait in epoll, not in threads: a handler sees only whole requests, so idle or dripping clients
// hold nothing but a descriptor and a buffer. Every whole request has a deadline, and no client is dropped
// without an answer while there is one to give.
//
// Why a mix: Poco's HTTPServer gives each connection a thread, so idle clients starve fresh ones, and it
// makes an epoll set for every keep-alive request. Its HTTP classes read from a blocking stream: they cannot
// be fed bytes. So Poco::Net listens and names the statuses, Boost.Beast's incremental parser (without
// Beast's sockets) reads, and the loop between them is io::Loop.
//
// Threads: one io::Loop of its own. Responders may be called from any thread.
// Cost: a request that is answered inline takes one recv, one sendmsg and its share of an epoll_wait.
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>

#include "base/address.h"
#include "base/result.h"
#include "io/loop.h"
#include "rest/http.h"
#include "rest/limits.h"

namespace gorb::rest {

class Server {
  public:
    // Listens on `address` (port 0: the kernel's choice; "::" takes IPv4 as well, alone where there is no
    // IPv6) with its loop's thread not yet running. Errc::unavailable names the address when it is in use or
    // not of this host.
    static base::Result<std::unique_ptr<Server>> listen(const base::Endpoint& address, Limits limits,
                                                        Handler handler);
    ~Server();  // stop()

    // What handlers leave to be done by the loop's thread between two turns (io::Relief).
    // `begin` is called by that thread first. Before start().
    void between_requests(std::function<void()> begin, io::Loop::Between between);

    base::Endpoint address() const;  // the real one
    void start();                    // runs the loop in a thread of its own
    // Stops accepting, lets requests under way be answered for up to `grace`, then closes everything. Not
    // from the loop's thread, which the destructor joins: what is done between requests may still be under
    // way. Once stopped it stays stopped.
    void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(2000));
    io::Loop& loop();
    size_t connections() const;  // [any] open now, those being closed included

  private:
    struct Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::rest
