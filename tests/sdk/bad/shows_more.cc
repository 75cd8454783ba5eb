// Linked without the version script: shows a function of its own to the world.
#include "pulse.h"

extern "C" GORB_EXPORT int helper() {
    return 1;
}
GORB_PULSE(Harmless)
