#include "exchange.h"

#include <string>

#include "match/share.h"
#include "match/text.h"

namespace pulse_udp {

using gorb::sdk::Result;
using pulse_match::Pattern;

Exchange Exchange::parse(const gorb::sdk::Config& config) {
    Exchange out;
    out.step = pulse_match::RawStep::of(config).read();
    out.wait = config.duration("wait").value_or(out.wait);
    out.tries = config.integer("tries").value_or(out.tries);
    return out;
}

Result Exchange::judge(std::string_view datagram) const {
    const std::string got = pulse_match::in_quotes(pulse_match::without_line_end(datagram));
    if (!step.expect) return Result::pass("answered " + got);
    const Pattern& expect = *step.expect;
    const Pattern::Searched searched = expect.search(datagram, 0, true);
    switch (searched.outcome) {
        case Pattern::Outcome::found: {
            Result result = Result::pass("answered " + got);
            if (!searched.share.empty()) {
                const auto share = pulse_match::Share::read(searched.share);
                result.share = share.percent;
                result.warning = share.warning;
            }
            return result;
        }
        case Pattern::Outcome::too_hard:
            return Result::fail("the answer takes more than " + std::to_string(Pattern::most_steps) +
                                " steps to match against " + expect.shown() + ", got " + got);
        default:
            return Result::fail("expected " + expect.shown() + ", got " + got);
    }
}

}  // namespace pulse_udp
