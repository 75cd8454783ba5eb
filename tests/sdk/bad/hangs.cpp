// Never comes back from remove().
#include <unistd.h>

#include "pulse.h"

struct Hangs : Harmless {
    using Harmless::Harmless;
    ~Hangs() { sleep(3600); }
};
GORB_PULSE(Hangs)
