#include "judge.h"

#include "words.h"

namespace pulse_http {

Judgement judge_head(const ReplyReader& reply, const Expectation& expected, const HeaderRules& headers) {
    const int status = reply.status();
    Judgement out{expected.accepts(status), "status "};
    if (reply.location().empty()) {
        out.words += std::to_string(status);
    } else {
        out.words = "redirect to " + reply.location() + " (" + std::to_string(status) + ") not followed";
    }
    if (!out.pass) {
        out.words += " (expected " + expected.text() + ")";
        return out;
    }
    if (headers.empty()) return out;
    if (std::string broken = headers.broken(reply.seen()); !broken.empty()) return {false, std::move(broken)};
    return out;
}

BodyJudgement judge_body(const ReplyReader& reply, const BodyRules& rules, size_t body_limit) {
    if (rules.refused && rules.refused->found_in(reply.body()))
        return {"body matches " + rules.refused->shown() + " (reject-body)", {}};
    if (!rules.wanted) return {};
    if (const auto share = rules.wanted->search(reply.body()))
        return {"", share->empty() ? pulse_match::Share() : pulse_match::Share::read(*share)};
    std::string words = "body does not match " + rules.wanted->shown();
    if (reply.body().empty()) return {words + " (it is empty)", {}};
    words += " (";
    if (reply.cut())
        words += body_limit % 1024 == 0 ? "first " + std::to_string(body_limit / 1024) + " KiB; "
                                        : "first " + std::to_string(body_limit) + " bytes; ";
    words += "it begins with \"" + printable(std::string_view(reply.body()).substr(0, 40), 40) + "\")";
    return {std::move(words), {}};
}

}  // namespace pulse_http
