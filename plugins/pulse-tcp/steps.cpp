#include "steps.h"

#include <rapidjson/document.h>
#include <rapidjson/error/en.h>

#include <array>
#include <utility>

#include "match/text.h"

namespace pulse_tcp {

using gorb::sdk::Config;
using gorb::sdk::Error;
using pulse_match::Pattern;
using Json = rapidjson::Value;

namespace {

using Words = std::optional<std::string_view>;

// The five ways to say a step; whoever reads them, from JSON or from options, does it here.
struct Raw {
    Words send, send_hex, expect, expect_hex, expect_regex;
    bool any() const { return send || send_hex || expect || expect_hex || expect_regex; }
};

// `where` stands before the option's name in what is thrown: "" or "step 2: ".
Step read_step(const Raw& raw, const std::string& where) {
    const auto name = [&where](const char* option) { return where + "\"" + option + "\""; };
    if (!raw.any()) throw Error(where + "neither sends nor expects anything");
    if (raw.send && raw.send_hex) throw Error(name("send") + " and \"send-hex\" exclude each other");
    if (int(raw.expect.has_value()) + int(raw.expect_hex.has_value()) + int(raw.expect_regex.has_value()) > 1)
        throw Error(name("expect") + ", \"expect-hex\" and \"expect-regex\" exclude each other");
    Step step;
    if (raw.send) step.send = pulse_match::unescaped(*raw.send, name("send"));
    if (raw.send_hex) step.send = pulse_match::from_hex(*raw.send_hex, name("send-hex"));
    if ((raw.send || raw.send_hex) && step.send.empty())
        throw Error(name(raw.send ? "send" : "send-hex") + " is empty; leave it out to send nothing");
    if (step.send.size() > Script::most_sent)
        throw Error(where + "more than " + std::to_string(Script::most_sent) + " bytes are to be sent");
    if (raw.expect)
        step.expect = Pattern::bytes(pulse_match::unescaped(*raw.expect, name("expect")), name("expect"));
    if (raw.expect_hex)
        step.expect = Pattern::bytes(pulse_match::from_hex(*raw.expect_hex, name("expect-hex")), name("expect-hex"));
    if (raw.expect_regex) step.expect = Pattern::regex(*raw.expect_regex, name("expect-regex"));
    return step;
}

Raw read_members(const Json& json, const std::string& where) {
    if (!json.IsObject())
        throw Error(where + R"(is no object such as {"send": "PING\r\n", "expect": "+PONG"})");
    Raw raw;
    const std::array<std::pair<std::string_view, Words*>, 5> members{{{"send", &raw.send},
                                                                      {"send-hex", &raw.send_hex},
                                                                      {"expect", &raw.expect},
                                                                      {"expect-hex", &raw.expect_hex},
                                                                      {"expect-regex", &raw.expect_regex}}};
    for (const auto& member : json.GetObject()) {
        const std::string_view name(member.name.GetString(), member.name.GetStringLength());
        Words* into = nullptr;
        for (const auto& [known, value] : members)
            if (known == name) into = value;
        if (!into) {
            throw Error(where + "there is no " + pulse_match::quoted(name, 40) +
                        "; a step has send or send-hex, and expect, expect-hex or expect-regex");
        }
        if (*into) throw Error(where + "\"" + std::string(name) + "\" is said twice");
        if (!member.value.IsString()) throw Error(where + "\"" + std::string(name) + "\" is no text");
        *into = std::string_view(member.value.GetString(), member.value.GetStringLength());
    }
    return raw;
}

}  // namespace

std::vector<Step> Script::parse_steps(std::string_view json) {
    rapidjson::Document document;
    // Iterative: the depth of what comes must not be the depth of our stack.
    document.Parse<rapidjson::kParseIterativeFlag>(json.data(), json.size());
    if (document.HasParseError())
        throw Error(std::string("\"steps\" is no JSON: ") + rapidjson::GetParseError_En(document.GetParseError()));
    if (!document.IsArray() || document.Empty())
        throw Error(R"("steps" is no array such as [{"send": "PING\r\n", "expect": "+PONG"}])");
    if (document.Size() > most_steps)
        throw Error("\"steps\" has more than " + std::to_string(most_steps) + " steps");
    std::vector<Step> steps;
    for (const Json& item : document.GetArray()) {
        const std::string where = "step " + std::to_string(steps.size() + 1) + ": ";
        steps.push_back(read_step(read_members(item, where), where));
    }
    return steps;
}

std::optional<Script> Script::parse(const Config& config) {
    const Raw raw{config.text("send"), config.text("send-hex"), config.text("expect"), config.text("expect-hex"),
                  config.text("expect-regex")};
    const auto steps = config.json("steps");
    if (!steps && !raw.any()) return std::nullopt;
    if (steps && raw.any())
        throw Error("\"steps\" and the options of a single step (send, expect ...) exclude each other");
    Script script;
    script.limit = static_cast<size_t>(config.integer("limit").value_or(default_limit));
    if (steps) {
        script.steps = parse_steps(*steps);
    } else {
        script.steps.push_back(read_step(raw, ""));
    }
    return script;
}

// ---- a run ----

// Goes on from the step that was done, with what had come behind its match.
void Dialogue::proceed(std::string_view rest) {
    in_.assign(rest);
    search_.reset();
    while (at_ < script_.steps.size()) {
        const Step& step = script_.steps[at_];
        if (!step.send.empty()) {
            output_ += step.send;
            in_.clear();  // what came before a question is no answer to it
        }
        if (step.expect) {
            search_.emplace(*step.expect);
            return;
        }
        ++at_;
    }
    state_ = State::passed;
    words_ = answer_.empty() ? "connected and sent" : "answered " + answer_;
}

void Dialogue::feed(std::string_view bytes) {
    while (state_ == State::talking) {
        // What follows the match may belong to the next step, so no more is taken than this one may look at.
        const size_t taken = std::min(bytes.size(), script_.limit - in_.size());
        in_.append(bytes.substr(0, taken));
        bytes.remove_prefix(taken);
        if (in_.empty() || !settle(false)) return;
        // `settle` has gone on to the next step, and what is left in `in_` is still to be looked at.
        if (!in_.empty() || bytes.empty()) continue;
        if (!output_.empty()) return;  // the rest came before the question
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
            fail("the reply takes more than " + std::to_string(Pattern::most_steps) + " steps to match against " +
                 expected() + ", got " + got());
            return false;
        case Outcome::never:
            if (!last)
                fail("expected " + expected() +
                     (full ? " within " + std::to_string(script_.limit) + " bytes" : "") + ", got " + got());
            return false;
    }
    const size_t end = search_->end();
    answer_ = pulse_match::quoted(std::string_view(in_).substr(0, end), 80);
    const std::string rest = in_.substr(end);
    ++at_;
    proceed(rest);
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
    return at_ < script_.steps.size() && script_.steps[at_].expect ? script_.steps[at_].expect->shown() : "an answer";
}

std::string Dialogue::got() const {
    return pulse_match::quoted(in_);
}

}  // namespace pulse_tcp
