#include "health/state_lines.h"

#include "base/log.h"

namespace gorb::health {

void StateLines::tell(uint64_t now, const Board::Effect& effect, const std::function<Words()>& words) {
    const bool up = effect.after == State::up;
    const base::LogLevel level = up ? base::LogLevel::info : base::LogLevel::warning;
    if (!base::log_wants(level)) return;
    using Line = base::LineLimit::Line;
    // What is worse is not hidden by thousands that come up.
    const Line line = (up ? up_ : down_).with([now](base::LineLimit& lines) { return lines.next(now); });
    if (line == Line::none) return;
    if (line == Line::last) {
        base::log(level, up ? "more backends are up than are written out here: GET "
                              "/service/NAME?expand=backends has each"
                            : "more backends are down than are written out here: GET "
                              "/service/NAME?expand=backends has each");
        return;
    }
    const Words said = words();
    const base::LogField fields[] = {{"service", said.names.service},
                                     {"backend", said.names.backend},
                                     {"address", said.address.text()},
                                     {"pulse", said.pulse},
                                     {"from", std::string(state_text(effect.before))},
                                     {"to", std::string(state_text(effect.after))},
                                     {"reason", said.because}};
    base::log(level, up ? "backend is up" : "backend is down", fields);
}

void StateLines::tell_given_up(uint64_t now, std::span<const Board::GivenUp> given_up) {
    for (const Board::GivenUp& one : given_up) {
        using Line = base::LineLimit::Line;
        const Line line = given_up_.with([now](base::LineLimit& lines) { return lines.next(now); });
        if (line == Line::none) return;
        if (line == Line::last) {
            base::log_info(
                "more backends that could not be checked are not checked so any more than are "
                "written out here");
            return;
        }
        base::log_info("backend could not be checked, and is not checked so any more",
                       {{"service", one.names.service},
                        {"backend", one.names.backend},
                        {"address", one.address.text()},
                        {"pulse", one.pulse}});
    }
}

}  // namespace gorb::health
