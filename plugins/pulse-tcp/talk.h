// A conversation with a target: one run of it on a connection.
//
// Threads: the loop's.
#pragma once
#include <cerrno>
#include <functional>
#include <gorb/plugin.hpp>
#include <memory>
#include <string>

#include "connect.h"
#include "conversation.h"

namespace pulse_tcp {

// One run; made when it starts, gone when it ends.
class Talk final : private gorb::sdk::ConnectionEvents {
  public:
    // Told once, as the last thing: it may destroy the Talk. Not told when the Talk is destroyed before.
    using Over = std::function<void(const gorb::sdk::Result&)>;

    // `route` has the addresses and the like; what the conversation says is added. Throws
    // sdk::Error for trouble of our own.
    Talk(const gorb::sdk::Host& host, std::shared_ptr<const Conversation> conversation,
         gorb::sdk::Connection::Options route, Over over);
    // The deadline: it is told how far it has come.
    void expire();

  private:
    void opened() override;
    size_t received(std::string_view bytes) override;
    void closed(int32_t why) override;
    void say();
    void over(const gorb::sdk::Result& result);
    gorb::sdk::Result result(int32_t code) const;  // of a dialogue that has ended

    const std::shared_ptr<const Conversation> conversation_;
    Dialogue dialogue_;
    gorb::sdk::Connection connection_;
    Over over_;
    bool open_ = false;
};

// A target that is talked to.
class TalkCheck {
  public:
    // port: another one than the backend's; 0 for the backend's own.
    TalkCheck(Shared& shared, const gorb::sdk::Target& target, uint16_t port,
              std::shared_ptr<const Conversation> conversation);

    void start(const gorb::sdk::Run& run);  // throws sdk::Error for trouble of our own
    void cancel() noexcept { talk_.reset(); }
    void expire() {
        if (talk_) talk_->expire();
    }

  private:
    const Shared& shared_;
    const Route& route_;
    gorb_addr peer_;
    const std::shared_ptr<const Conversation> conversation_;
    std::unique_ptr<Talk> talk_;  // of the run that is open
};

}  // namespace pulse_tcp
