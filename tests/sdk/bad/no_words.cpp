// Fails without saying why.
#include "pulse.h"

struct NoWords : Harmless {
    using Harmless::Harmless;
    static void start(const gorb::sdk::Run& run) { run.fail(""); }
};
GORB_PULSE(NoWords)
