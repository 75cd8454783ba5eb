// Two plugins of one name, of which gorbd takes the first.
#include "pulse.h"

struct Second : Harmless {
    using Harmless::Harmless;
    static constexpr const char* summary = "is never seen";
};
GORB_PLUGIN(gorb::sdk::Pulse<Harmless>, gorb::sdk::Pulse<Second>)
