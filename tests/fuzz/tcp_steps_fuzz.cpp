// Any bytes as the option `steps`, and any others as what a server says in that conversation, cut anywhere:
// nothing crashes, every conversation ends with a verdict and printable words, and where neither a question
// nor a regular expression depends on the cuts they change nothing.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "steps.h"

namespace {

using pulse_tcp::Dialogue;
using pulse_tcp::Script;
using State = Dialogue::State;

void check(bool good) {
    if (!good) std::abort();
}

void check_words(const std::string& words) {
    check(!words.empty() && words.size() < 256);
    for (const char c : words) check(c >= 0x20 && c < 0x7f);
}

void check_steps(const std::vector<pulse_tcp::Step>& steps) {
    check(!steps.empty() && steps.size() <= Script::most_steps);
    for (const auto& step : steps) {
        check(!step.send.empty() || step.expect);
        check(step.send.size() <= pulse_tcp::Step::most_sent);
        if (step.expect) check_words(step.expect->shown());
    }
}

// A whole conversation; the reply comes in pieces of `piece` bytes.
State talk(const Script& script, std::string_view reply, size_t piece, bool closed) {
    Dialogue dialogue(script);
    dialogue.begin();
    size_t asked = dialogue.take_output().size();
    for (size_t at = 0; at < reply.size(); at += piece) {
        dialogue.feed(reply.substr(at, piece));
        asked += dialogue.take_output().size();
    }
    const State before = dialogue.state();
    if (closed) {
        dialogue.ended("connection closed");
    } else {
        dialogue.timed_out();
    }
    check(dialogue.state() != State::talking);
    check(before == State::talking || dialogue.state() == before);
    check_words(dialogue.words());
    check(dialogue.share().percent <= 100);
    size_t all = 0;
    for (const auto& step : script.steps) all += step.send.size();
    asked += dialogue.take_output().size();
    check(dialogue.state() == State::passed ? asked == all : asked <= all);
    return dialogue.state();
}

}  // namespace

// The first byte says how the reply is cut, the second the limit; then the steps up to a NUL, and the reply.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::string_view json = rest.substr(0, rest.find('\0'));
    const std::string_view reply = rest.substr(std::min(rest.size(), json.size() + 1));
    Script script;
    script.limit = size_t{1} + data[1] * 4U;
    try {
        script.steps = Script::parse_steps(json);
    } catch (const gorb::sdk::Error& e) {
        check(*e.what() != '\0');
        return 0;
    }
    check_steps(script.steps);
    // Not too many pieces: each may cost a regular expression all the steps that it has.
    const size_t piece = std::max<size_t>(1 + data[0] % 64, reply.size() / 16);
    const bool closed = data[0] >= 128;
    const State whole = talk(script, reply, std::max<size_t>(1, reply.size()), closed);
    const State pieces = talk(script, reply, piece, closed);
    const bool plain = std::all_of(script.steps.begin(), script.steps.end(), [](const auto& step) {
        return step.send.empty() && step.expect && step.expect->shown().front() == '"';
    });
    if (plain) check(whole == pieces);
    return 0;
}
