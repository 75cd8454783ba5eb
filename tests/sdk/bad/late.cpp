// Not bad, but slow: answers on a worker, mostly after the run is over.
#include <unistd.h>

#include "pulse.h"

struct SlowCheck {
    explicit SlowCheck(const gorb::sdk::Target&) {}
    static gorb::sdk::Result check(uint64_t) {
        usleep(20000);
        return gorb::sdk::Result::pass();
    }
};
struct Late : gorb::sdk::BlockingPulse<SlowCheck> {
    static constexpr const char *name = "late", *version = "1.0.0", *summary = "answers late";
    using BlockingPulse::BlockingPulse;
};
GORB_PULSE(Late)
