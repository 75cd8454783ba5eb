#include "match/step.h"

#include "match/text.h"

namespace pulse_match {

using gorb::sdk::Error;

RawStep RawStep::of(const gorb::sdk::Config& config) {
    return {config.text("send"), config.text("send-hex"), config.text("expect"), config.text("expect-hex"),
            config.text("expect-regex")};
}

Step RawStep::read(const std::string& where) const {
    const auto name = [&where](const char* option) { return where + "\"" + option + "\""; };
    if (send && send_hex) throw Error(name("send") + " and \"send-hex\" exclude each other");
    if (int(expect.has_value()) + int(expect_hex.has_value()) + int(expect_regex.has_value()) > 1)
        throw Error(name("expect") + ", \"expect-hex\" and \"expect-regex\" exclude each other");
    Step step;
    if (send) step.send = unescaped(*send, name("send"));
    if (send_hex) step.send = from_hex(*send_hex, name("send-hex"));
    if ((send || send_hex) && step.send.empty())
        throw Error(name(send ? "send" : "send-hex") + " is empty; leave it out to send nothing");
    if (step.send.size() > Step::most_sent)
        throw Error(name(send ? "send" : "send-hex") + " is longer than " + std::to_string(Step::most_sent) +
                    " bytes");
    if (expect) step.expect = Pattern::bytes(unescaped(*expect, name("expect")), name("expect"));
    if (expect_hex)
        step.expect = Pattern::bytes(from_hex(*expect_hex, name("expect-hex")), name("expect-hex"));
    if (expect_regex) step.expect = Pattern::regex(*expect_regex, name("expect-regex"));
    return step;
}

}  // namespace pulse_match
