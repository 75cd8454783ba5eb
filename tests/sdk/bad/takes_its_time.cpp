// Not bad, but patient: blocks its worker for longer than a check may take.
#include <unistd.h>

#include "pulse.h"

struct PatientCheck {
    explicit PatientCheck(const gorb::sdk::Target&) {}
    static gorb::sdk::Result check(uint64_t) {
        usleep(150000);
        return gorb::sdk::Result::pass();
    }
};
struct Patient : gorb::sdk::BlockingPulse<PatientCheck> {
    static constexpr const char *name = "patient", *version = "1.0.0", *summary = "takes its time";
    using BlockingPulse::BlockingPulse;
};
GORB_PULSE(Patient)
