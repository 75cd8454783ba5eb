// Linked without -z defs: needs a function that nobody has.
#include "pulse.h"

extern "C" int nobody_has_this();
static int32_t load(gorb_error*) {
    return nobody_has_this();
}
const gorb_entry gorb_plugin_entry = {sizeof(gorb_entry),
                                      GORB_ABI_MAJOR,
                                      0,
                                      "test",
                                      gorb::sdk::Library<gorb::sdk::Pulse<Harmless>>::plugins,
                                      load,
                                      nullptr};
