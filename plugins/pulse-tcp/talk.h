// A conversation with a target: the options in which it is said, and one run of it on a connection.
//
// Threads: the loop's, parse() excepted.
#pragma once
#include <functional>
#include <gorb/plugin.hpp>
#include <map>
#include <memory>
#include <string>

#include "connect.h"
#include "steps.h"

namespace pulse_tcp {

// What the options of a target say, the same object for all targets of an instance that say the same.
struct Conversation {
    Script script;  // without steps: TLS alone
    bool tls = false, verify = true;
    std::string tls_name, ca, cert, key;  // "" for none

    // nullptr: these options only connect. Throws sdk::Error. [any]
    static std::shared_ptr<const Conversation> parse(const gorb::sdk::Config& config);
};

// The conversations of an instance. An entry goes with the last target that uses it.
class Conversations {
  public:
    // As Conversation::parse(), but equal options give the same object.
    std::shared_ptr<const Conversation> get(const gorb::sdk::Config& config);
    size_t size() const { return known_.size(); }  // different ones in use, at most twice as many

  private:
    std::map<std::string, std::weak_ptr<const Conversation>> known_;
    size_t sweep_at_ = 16;
};

// One run; made when it starts, gone when it ends.
class Talk final : private gorb::sdk::ConnectionEvents {
  public:
    // Told once, as the last thing: it may destroy the Talk. Not told when the Talk is destroyed before.
    using Over = std::function<void(const gorb::sdk::Result&)>;

    // `route` has the addresses and the like; what the conversation says is added. `name` is that of the
    // backend, for TLS, "" for none. Throws sdk::Error for trouble of our own.
    Talk(const gorb::sdk::Host& host, std::shared_ptr<const Conversation> conversation,
         gorb::sdk::Connection::Options route, std::string_view name, const gorb::sdk::Run& run, Over over);

  private:
    void opened() override;
    size_t received(std::string_view bytes) override;
    void closed(int32_t why) override;
    void say();
    void over(gorb::sdk::Result result);
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

  private:
    const Shared& shared_;
    const Route& route_;
    gorb_addr peer_;
    const std::string name_;
    const std::shared_ptr<const Conversation> conversation_;
    std::unique_ptr<Talk> talk_;  // of the run that is open
};

}  // namespace pulse_tcp
