// Takes the process with it when a run is cancelled.
#include <cstdlib>

#include "pulse.h"

struct Crashes : Harmless {
    using Harmless::Harmless;
    static void start(const gorb::sdk::Run&) {}
    static void cancel() { std::abort(); }
};
GORB_PULSE(Crashes)
