#include "steps.h"

#include <array>
#include <boost/json/parse.hpp>
#include <utility>

#include "match/text.h"

namespace pulse_tcp {

using gorb::sdk::Config;
using gorb::sdk::Error;
using pulse_match::Pattern;
using pulse_match::RawStep;
using Json = boost::json::value;

namespace {

RawStep read_members(const Json& json, const std::string& where) {
    const auto* object = json.if_object();
    if (!object) throw Error(where + R"(is no object such as {"send": "PING\r\n", "expect": "+PONG"})");
    RawStep raw;
    const std::array<std::pair<std::string_view, RawStep::Words*>, 5> members{
        {{"send", &raw.send},
         {"send-hex", &raw.send_hex},
         {"expect", &raw.expect},
         {"expect-hex", &raw.expect_hex},
         {"expect-regex", &raw.expect_regex}}};
    for (const auto& member : *object) {
        const std::string_view name(member.key().data(), member.key().size());
        RawStep::Words* into = nullptr;
        for (const auto& [known, value] : members)
            if (known == name) into = value;
        if (!into) {
            throw Error(where + "there is no " + pulse_match::in_quotes(name, 40) +
                        "; a step has send or send-hex, and expect, expect-hex or expect-regex");
        }
        const auto* text = member.value().if_string();
        if (!text) throw Error(where + "\"" + std::string(name) + "\" is no text");
        *into = std::string_view(text->data(), text->size());
    }
    return raw;
}

}  // namespace

std::vector<Step> Script::parse_steps(std::string_view text) {
    boost::system::error_code error;
    const Json json = boost::json::parse({text.data(), text.size()}, error);  // 32 levels deep at most
    if (error) throw Error("\"steps\" is no JSON: " + error.message());
    const auto* array = json.if_array();
    if (!array || array->empty())
        throw Error(R"("steps" is no array such as [{"send": "PING\r\n", "expect": "+PONG"}])");
    if (array->size() > most_steps)
        throw Error("\"steps\" has more than " + std::to_string(most_steps) + " steps");
    std::vector<Step> steps;
    for (const Json& item : *array) {
        const std::string where = "step " + std::to_string(steps.size() + 1) + ": ";
        const RawStep raw = read_members(item, where);
        if (!raw.any()) throw Error(where + "neither sends nor expects anything");
        steps.push_back(raw.read(where));
    }
    return steps;
}

std::optional<Script> Script::parse(const Config& config) {
    const RawStep raw = RawStep::of(config);
    const auto steps = config.json("steps");
    if (!steps && !raw.any()) return std::nullopt;
    if (steps && raw.any())
        throw Error("\"steps\" and the options of a single step (send, expect ...) exclude each other");
    Script script;
    script.limit = static_cast<size_t>(config.integer("limit").value_or(default_limit));
    if (steps) {
        script.steps = parse_steps(*steps);
    } else {
        script.steps.push_back(raw.read());
    }
    for (const Step& step : script.steps) {
        if (step.expect && step.expect->shortest() > script.limit)
            throw Error("\"limit\" must be at least " + std::to_string(step.expect->shortest()) +
                        ", or no reply can hold " + step.expect->shown());
    }
    return script;
}

// ---- a run ----

// Goes on behind the step that was done, with what had come behind its match.
void Dialogue::proceed(std::string rest) {
    in_ = std::move(rest);
    search_.reset();
    asked_ = false;
    for (; at_ < script_.steps.size(); ++at_) {
        const Step& step = script_.steps[at_];
        if (!step.send.empty()) {
            output_ += step.send;
            in_.clear();  // what came before a question is no answer to it
            asked_ = true;
        }
        if (!step.expect) continue;
        search_.emplace(*step.expect);
        return;
    }
    state_ = State::passed;
    words_ = script_.steps.empty() ? "connected"
             : answer_.empty()     ? "connected and sent"
                                   : "answered " + answer_;
}

void Dialogue::feed(std::string_view bytes) {
    while (state_ == State::talking) {
        // What follows a match is the next step's, so no more is taken than this one may look at.
        const size_t taken = std::min(bytes.size(), script_.limit - in_.size());
        in_.append(bytes.substr(0, taken));
        bytes.remove_prefix(taken);
        if (in_.empty() || !settle(false) || asked_) return;
    }
}

// Looks at what has come. True: the step is done and the next one begun.
bool Dialogue::settle(bool last) {
    using Outcome = pulse_match::Search::Outcome;
    const bool full = in_.size() >= script_.limit;
    switch (search_->look(in_, last || full)) {
        case Outcome::found:
            break;
        case Outcome::not_yet:
            return false;
        case Outcome::too_hard:
            fail("the reply takes more than " + std::to_string(Pattern::most_steps) +
                 " steps to match against " + expected() + ", got " + got());
            return false;
        case Outcome::never:
            if (!last)
                fail("expected " + expected() +
                     (full ? " within " + std::to_string(script_.limit) + " bytes" : "") + ", got " + got());
            return false;
    }
    const size_t end = search_->end();
    if (!search_->share().empty()) share_ = pulse_match::Share::read(search_->share());
    answer_ = pulse_match::in_quotes(pulse_match::without_line_end(std::string_view(in_).substr(0, end)));
    ++at_;
    proceed(in_.substr(end));
    return true;
}

void Dialogue::ended(std::string_view how) {
    while (state_ == State::talking && search_ && !in_.empty() && settle(true)) continue;
    if (state_ != State::talking) return;
    fail(std::string(how) + " before " + expected() + " came" + (in_.empty() ? "" : ", got " + got()));
}

void Dialogue::timed_out() {
    while (state_ == State::talking && search_ && !in_.empty() && settle(true)) continue;
    if (state_ != State::talking) return;
    if (in_.empty()) return fail("nothing came within the timeout, expected " + expected());
    fail("expected " + expected() + " within the timeout, got " + got());
}

void Dialogue::fail(std::string words) {
    if (script_.steps.size() > 1) words = "step " + std::to_string(at_ + 1) + ": " + words;
    state_ = State::failed;
    words_ = std::move(words);
}

std::string Dialogue::expected() const {
    return at_ < script_.steps.size() && script_.steps[at_].expect ? script_.steps[at_].expect->shown()
                                                                   : "an answer";
}

std::string Dialogue::got() const {
    return pulse_match::in_quotes(pulse_match::without_line_end(in_));
}

}  // namespace pulse_tcp
