// Opens a descriptor for each target and keeps it.
#include <fcntl.h>

#include "pulse.h"

struct Leaks : Harmless {
    Leaks(const gorb::sdk::Host& host, const gorb::sdk::Target& target) : Harmless(host, target) {
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) throw gorb::sdk::Error("no descriptor");
    }
};
GORB_PULSE(Leaks)
