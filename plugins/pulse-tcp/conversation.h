// What the options of a target say about talking to it, read once and shared.
//
// Threads: any for Conversation::parse(), the loop's for Conversations.
#pragma once
#include <gorb/sdk/values.hpp>
#include <map>
#include <memory>
#include <string>

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
    std::string none_;  // options of a target that is only connected to, as most are
};

}  // namespace pulse_tcp
