// Arms a timer that its end does not cancel.
#include "pulse.h"

struct LeavesTimer : Harmless {
    LeavesTimer(const gorb::sdk::Host& host, const gorb::sdk::Target& target) : Harmless(host, target) {
        host.loop().at(
            host.c(), host.now() + 3600000000000u, [](void*) {}, nullptr);
    }
};
GORB_PULSE(LeavesTimer)
