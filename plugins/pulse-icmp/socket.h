// One socket for the echo requests of many targets. It is a ping socket (SOCK_DGRAM, no privilege needed
// where net.ipv4.ping_group_range allows the group) or a raw one (CAP_NET_RAW).
//
// Threads: [loop]. Errors: gorb::sdk::Error with words, our own trouble always.
// Cost: a sendto() for each request and a recvmsg() for each answer; at most 65536 requests are unanswered at
// a time.
#pragma once
#include <cstdint>
#include <gorb/plugin.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "echo.h"

namespace pulse_icmp {

enum class Kind : uint8_t { any, ping, raw };  // any: ping, or raw where that is not permitted

// What a socket can not have different for each packet.
struct SocketKey {
    bool v6 = false;
    gorb_addr source{};
    std::string interface;
    uint32_t fwmark = 0;
    int ttl = 0;  // 0: the system's

    bool operator<(const SocketKey& other) const;
};

class EchoSocket {
  public:
    // What comes for a request; `sequence` as send() gave it. Neither may destroy the socket.
    class Events {
      public:
        // A reply with this payload. false: it is none to this request (another's token), which stays open.
        virtual bool answered(uint16_t sequence, std::string_view payload) = 0;
        // An ICMP error in words, with the router that sent it; the kernel itself, by an own address, where
        // nobody answers to ARP. err: the kernel's errno for it. The request is over.
        virtual void unreachable(uint16_t sequence, const std::string& words, int err) = 0;

      protected:
        ~Events() = default;
    };

    EchoSocket(const gorb::sdk::Host& host, SocketKey key, Kind kind);
    ~EchoSocket();
    EchoSocket(const EchoSocket&) = delete;
    EchoSocket& operator=(const EchoSocket&) = delete;

    // Sends an echo request; opens the socket first if it is not. `events` must live until it was told, or
    // forget().
    uint16_t send(const gorb_addr& to, std::string_view payload, Events& events);
    void forget(uint16_t sequence) { flights_.erase(sequence); }

  private:
    struct Flight {
        Events* events;
        gorb_addr to;
    };
    void open();
    void shut();
    bool outlived() const;
    int open_kind(Kind kind);
    void set_up();
    int transmit(const gorb_addr& to, const std::string& message);
    void ready();
    bool read_one();
    bool read_error();
    void arrived(const Echo& echo, const gorb_addr& from);
    void failed(const Echo& echo, const gorb_addr& to, const std::string& words, int err);

    const SocketKey key_;
    const Kind kind_;
    int fd_ = -1;
    bool raw_ = false;
    uint16_t id_ = 0;  // of a raw socket's requests; the kernel chooses a ping socket's
    uint16_t next_sequence_ = 0;
    std::unordered_map<uint16_t, Flight> flights_;
    gorb::sdk::Watch watch_;
};

// The sockets of an instance: one for each key that a target has.
class Sockets {
  public:
    Sockets(const gorb::sdk::Host& host, const gorb::sdk::Config& config);

    const gorb::sdk::Host& host() const { return host_; }
    std::shared_ptr<EchoSocket> get(const SocketKey& key);
    uint64_t token();  // random

  private:
    const gorb::sdk::Host& host_;
    Kind kind_ = Kind::any;
    std::map<SocketKey, std::weak_ptr<EchoSocket>> sockets_;
    uint64_t state_[2];  // of the tokens, seeded by the kernel
};

}  // namespace pulse_icmp
