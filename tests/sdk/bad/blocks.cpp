// Sleeps on the loop.
#include <unistd.h>

#include "pulse.h"

struct Blocks : Harmless {
    using Harmless::Harmless;
    static void start(const gorb::sdk::Run& run) {
        usleep(150000);
        run.pass();
    }
};
GORB_PULSE(Blocks)
