#include "health/weight.h"

#include <algorithm>

namespace gorb::health {

Weight weight(uint32_t configured, State state, uint32_t share, const std::string& reason, uint32_t before) {
    Weight w;
    switch (state) {
        case State::up: {
            const uint64_t asked = uint64_t{configured} * share / 100;
            const uint64_t least = configured && share ? 1 : 0;
            w.effective = static_cast<uint32_t>(std::clamp<uint64_t>(asked, least, model::max_weight));
            if (w.effective != configured)
                w.why = "its pulse asks for " + std::to_string(share) + " % of the weight";
            break;
        }
        case State::down:
            if (configured) w.why = reason.empty() ? "down" : "down: " + reason;
            break;
        case State::unknown:
            w.effective = std::min(before, configured);
            if (w.effective != configured) {
                w.why = reason.empty() ? "no check has finished yet" : "no check has counted yet: " + reason;
                if (w.effective) w.why += "; until then it keeps the weight it had in the kernel";
            }
            break;
    }
    return w;
}

}  // namespace gorb::health
