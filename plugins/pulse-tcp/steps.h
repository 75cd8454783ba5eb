// The conversation of a check: what is sent and what must come back, step by step. No sockets here.
//
// Threads: any for the parsing; a Dialogue is one run's.
#pragma once
#include <cstdint>
#include <gorb/sdk/values.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "match/pattern.h"
#include "match/share.h"
#include "match/step.h"

namespace pulse_tcp {

using pulse_match::Step;

// Parsed once, shared by all targets that say the same.
struct Script {
    static constexpr size_t most_steps = 32;
    static constexpr size_t default_limit = 4096;

    std::vector<Step> steps;
    size_t limit = default_limit;  // bytes of a reply that a step looks at

    // The options `steps`, `send`, `send-hex`, `expect`, `expect-hex`, `expect-regex` and `limit`; nullopt
    // when none of them but `limit` is set. Throws sdk::Error with a sentence that names the option and the
    // step.
    static std::optional<Script> parse(const gorb::sdk::Config& config);
    // The JSON array of the option `steps`. Throws as above.
    static std::vector<Step> parse_steps(std::string_view json);

    // The last thing is sent without waiting for an answer: the connection must not be reset before it has
    // gone.
    bool ends_with_send() const {
        return !steps.empty() && !steps.back().expect && !steps.back().send.empty();
    }
};

// One run of a Script: fed with what comes, it says what to send and how it went.
// Memory: at most `limit` bytes of the reply are kept. Cost of a feed: see Pattern; a reply in many small
// pieces is looked at less often than it grows.
class Dialogue {
  public:
    enum class State { talking, passed, failed };

    // The script must outlive it.
    explicit Dialogue(const Script& script) : script_(script) {}

    // The connection is open: goes on to the first step that expects something.
    void begin() { proceed({}); }
    void feed(std::string_view bytes);
    // Nothing more will come: `how` says why, as in "connection closed" (what fits before `before "220"
    // came`).
    void ended(std::string_view how);
    // Nothing more will come in time.
    void timed_out();

    State state() const { return state_; }
    // Bytes to send now, once; they come from all steps that were begun since the last call.
    std::string take_output() { return std::exchange(output_, {}); }
    // Of passed and failed: why, in words, printable ASCII.
    const std::string& words() const { return words_; }
    // Of passed: what the reply to the last step whose expression has such a group said.
    const pulse_match::Share& share() const { return share_; }

  private:
    void proceed(std::string rest);
    bool settle(bool last);
    void fail(std::string words);
    std::string expected() const;
    std::string got() const;

    const Script& script_;
    size_t at_ = 0;  // the step
    std::optional<pulse_match::Search> search_;
    std::string in_;  // of the reply to this step
    std::string output_, words_, answer_;
    pulse_match::Share share_;
    State state_ = State::talking;
    bool asked_ = false;  // this step began with sending
};

}  // namespace pulse_tcp
