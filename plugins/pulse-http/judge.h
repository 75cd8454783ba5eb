// Is a reply a good one, and what is said of it. Pure.
#pragma once
#include <optional>
#include <string>

#include "expect.h"
#include "expression.h"
#include "headers.h"
#include "match/share.h"
#include "reply.h"

namespace pulse_http {

struct Judgement {
    bool pass = false;
    std::string words;  // "status 503 (expected 200)"
};

// Of a reply whose head is complete: its status, then its headers. Redirects are not followed, and the words
// say where they lead.
Judgement judge_head(const ReplyReader& reply, const Expectation& expected, const HeaderRules& headers);

struct BodyJudgement {
    std::string broken;  // why it does not pass, "" when it does
    pulse_match::Share share;
};

// Of a reply that is done, by what was kept of its body. The share is what the group of `wanted` says.
BodyJudgement judge_body(const ReplyReader& reply, const BodyRules& rules, size_t body_limit);

}  // namespace pulse_http
