// Never answers, so every run ends at its deadline, and every target is down.
#include "pulse.h"

struct NeverAnswers : Harmless {
    using Harmless::Harmless;
    static void start(const gorb::sdk::Run&) {}
};
GORB_PULSE(NeverAnswers)
