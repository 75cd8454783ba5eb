// One run of a UDP check: a datagram goes out, and its answer, an ICMP error or silence decides.
//
// Threads: the loop's.
#pragma once
#include <chrono>
#include <functional>
#include <gorb/plugin.hpp>
#include <memory>
#include <string>

#include "exchange.h"

namespace pulse_udp {

class Query final : private gorb::sdk::ConnectionEvents {
  public:
    // Told once, as the last thing: it may destroy the Query. Not told when the Query is destroyed before.
    using Over = std::function<void(const gorb::sdk::Result&)>;

    // `exchange` must outlive it. `route` has the addresses and the like. Throws sdk::Error for trouble of
    // our own.
    Query(const gorb::sdk::Host& host, const Exchange& exchange, gorb::sdk::Connection::Options route,
          const gorb::sdk::Run& run, Over over);
    // At the run's deadline: the verdict of silence.
    void silence();

  private:
    void opened() override;
    size_t received(std::string_view datagram) override;
    void closed(int32_t why) override;
    void send();
    void due();
    void over(const gorb::sdk::Result& result);

    const gorb::sdk::Host& host_;
    const Exchange& exchange_;
    gorb::sdk::Connection connection_;
    gorb::sdk::Timer timer_;
    Over over_;
    uint64_t end_;        // when the verdict of silence is due
    uint64_t every_ = 0;  // between two tries
    int64_t sent_ = 0;
    std::chrono::nanoseconds given_;  // for an answer or an error to come
};

}  // namespace pulse_udp
