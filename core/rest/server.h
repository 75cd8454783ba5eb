// The HTTP/1.1 server: a connection loop of our own around library parsers.
//
// Connections wait in epoll, not in threads: a handler sees only whole requests, so idle or dripping clients hold nothing but a
// descriptor and a buffer. Every whole request has a deadline.
//
// Threads: one io::Loop of its own. Responders may be called from any thread.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "io/loop.h"
#include "rest/http.h"

namespace gorb::rest {

struct Limits {
    size_t body_bytes = 1 << 20;                   // 413 above it
    size_t header_bytes = 16 << 10;                // 431 above it
    size_t connections = 4096;                     // above it the connection idle for longest is closed, else 503 and close
    std::chrono::milliseconds idle{60'000};        // keep-alive without a request
    std::chrono::milliseconds request{10'000};     // from a request's first byte to its last: 408
    std::chrono::milliseconds write{30'000};       // for a client to take an answer
};

class Server {
  public:
    // Listens on `address` (port 0: the kernel's choice) with its loop's thread not yet running. Errc::unavailable names the address when it
    // is in use or not of this host.
    static base::Result<std::unique_ptr<Server>> listen(const base::Endpoint& address, Limits limits, Handler handler);
    ~Server();  // stop()

    base::Endpoint address() const;  // the real one
    void start();                    // runs the loop in a thread of its own
    // Stops accepting, lets requests under way be answered for up to `grace`, then closes everything and joins.
    void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(2000));
    io::Loop& loop();
    size_t connections() const;

  private:
    struct Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::rest
