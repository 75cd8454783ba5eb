// Its load() fails, with words.
#include "pulse.h"

static int32_t load(gorb_error* error) {
    gorb::sdk::explain(error, "the licence server is out for lunch");
    return -1;
}
const gorb_entry gorb_plugin_entry = {sizeof(gorb_entry),
                                      GORB_ABI_MAJOR,
                                      0,
                                      "test",
                                      gorb::sdk::Library<gorb::sdk::Pulse<Harmless>>::plugins,
                                      load,
                                      nullptr};
