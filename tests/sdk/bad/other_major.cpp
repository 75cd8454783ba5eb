// Made for an ABI that is not ours.
#include <gorb/abi.h>

static const gorb_plugin* const plugins[] = {nullptr};
const gorb_entry gorb_plugin_entry = {
    sizeof(gorb_entry), GORB_ABI_MAJOR + 1, 0, "test", plugins, nullptr, nullptr};
