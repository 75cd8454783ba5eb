// What all http checks of one loop share: the host's tables, settings by their arguments, readers of replies.
//
// Threads: the loop's.
#pragma once
#include <gorb/plugin.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kept/kept.h"
#include "reply.h"
#include "settings.h"

namespace pulse_http {

// What is equal for many targets: their settings and the way to them.
struct Shared {
    Settings settings;
    gorb_addr source{};
    uint32_t fwmark = 0;
    std::string interface;
    std::string_view key;  // of Instance's map
    uint32_t users = 0;
};

class Instance {
  public:
    Instance(const gorb::sdk::Host& host, const gorb::sdk::Config& config);
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    const gorb::sdk::Host& host() const { return host_; }
    const gorb_net& net() const { return net_; }
    const gorb_loop& loop() const { return loop_; }

    // Each take() wants a give(). Throws gorb::sdk::Error for arguments that make no settings.
    Shared& take(const gorb::sdk::Target& target);
    void give(Shared& shared) noexcept;

    std::unique_ptr<ReplyReader> take_reader();
    void give(std::unique_ptr<ReplyReader> reader) noexcept;

    // Is there room for one more kept connection? Each true wants a drop().
    static bool keep() noexcept;
    static void drop() noexcept;

    // Where a new target begins to count its checks for fresh-every. Another for each, so that targets that
    // came together, as all do at a start, do not all open connections in the same interval.
    uint32_t next_turn() { return turns_++; }

    pulse_kept::Shortage shortage;
    std::string scratch;  // for a request or a reason, while one is made

  private:
    const gorb::sdk::Host& host_;
    const gorb_net& net_;
    const gorb_loop& loop_;
    std::map<std::string, Shared, std::less<>> shared_;
    std::vector<std::unique_ptr<ReplyReader>> readers_;
    uint32_t turns_ = 0;
};

}  // namespace pulse_http
