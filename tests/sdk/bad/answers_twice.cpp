// Answers every run twice.
#include "pulse.h"

struct Twice : Harmless {
    using Harmless::Harmless;
    static void start(const gorb::sdk::Run& run) {
        run.pass();
        run.pass();
    }
};
GORB_PULSE(Twice)
