// Asks for more than all of its weight.
#include "pulse.h"

struct MoreThanAll : Harmless {
    using Harmless::Harmless;
    static void start(const gorb::sdk::Run& run) { run.report({gorb::sdk::Verdict::pass, "well", 0, 101}); }
};
GORB_PULSE(MoreThanAll)
