// The check that only connects: PASS as soon as the connection opens, and nothing is sent or read.
//
// It is kept small, since there may be a hundred thousand of them: no strings, no timers, no buffers. What
// many targets have in common (source address, device, fwmark) is stored once in Shared.
//
// Threads: the loop's.
#pragma once
#include <deque>
#include <gorb/plugin.hpp>
#include <string>

namespace pulse_tcp {

class Shared;

// What the connections of many targets have in common.
struct Route {
    const Shared* shared = nullptr;
    gorb_addr source{};
    uint32_t fwmark = 0;
    std::string interface;
    bool full = false;  // see the option full-handshake
};

// What the targets of one instance share.
class Shared {
  public:
    Shared(const gorb::sdk::Host& host, const gorb::sdk::Config& config);

    const gorb::sdk::Host& host() const { return host_; }
    const gorb_net& net() const { return net_; }
    // An answer can be given with the run's number alone.
    void report(gorb_run run, uint32_t verdict, std::string_view detail, int32_t code) const;
    // The route of a target, one object for all that are equal. Lives as long as the instance.
    const Route& route(const gorb::sdk::Target& target, bool full = false);

  private:
    const gorb::sdk::Host& host_;
    const gorb_net& net_;
    const gorb_pulse_host& pulse_;
    std::deque<Route> routes_;
};

class ConnectCheck {
  public:
    // port: another one than the backend's; 0 for the backend's own. full: see Route.
    ConnectCheck(Shared& shared, const gorb::sdk::Target& target, uint16_t port, bool full);
    ~ConnectCheck() { cancel(); }
    ConnectCheck(const ConnectCheck&) = delete;
    ConnectCheck& operator=(const ConnectCheck&) = delete;

    void start(const gorb::sdk::Run& run);
    void cancel() noexcept;
    void expire() noexcept;

  private:
    static void on_opened(void* arg, gorb_conn* conn) noexcept;
    static void on_closed(void* arg, gorb_conn* conn, int32_t why) noexcept;

    const Shared& shared() const { return *route_.shared; }

    const Route& route_;
    gorb_conn* conn_ = nullptr;
    gorb_run run_ = 0;
    gorb_addr peer_;
};

}  // namespace pulse_tcp
