// Not wrong, but hardly meant: asks for none of its weight, as a result does that was zeroed and not filled
// in.
#include "pulse.h"

struct NoShare : Harmless {
    using Harmless::Harmless;
    static void start(const gorb::sdk::Run& run) { run.report({gorb::sdk::Verdict::pass, "well", 0, 0}); }
};
GORB_PULSE(NoShare)
