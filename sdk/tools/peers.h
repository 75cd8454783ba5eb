// The kinds of servers a plugin meets in bad times, on loopback.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace gorb::check {

// A TCP port of 127.0.0.1 (and the UDP port of the same number).
class Peer {
  public:
    enum class Manner {
        closed,   // nobody listens
        silent,   // accepts and says nothing, reads nothing
        hang_up,  // accepts and closes at once
        babble,   // accepts, sends bytes that mean nothing, closes
        drip,     // accepts, sends a byte each 5 ms that mean nothing, closes after 40
    };
    explicit Peer(Manner manner);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    uint16_t port() const { return port_; }

  private:
    void serve(Manner manner);
    uint16_t port_ = 0;
    int tcp_ = -1, udp_ = -1, stop_ = -1;
    std::thread thread_;
};

}  // namespace gorb::check
