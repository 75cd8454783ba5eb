// Needs a host that is newer than this one.
#include <gorb/abi.h>

static const gorb_plugin* const plugins[] = {nullptr};
const gorb_entry gorb_plugin_entry = {
    sizeof(gorb_entry), GORB_ABI_MAJOR, GORB_ABI_MINOR + 1, "test", plugins, nullptr, nullptr};
