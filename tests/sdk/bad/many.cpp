// One plugin more than gorbd takes of a library.
#include <cstddef>

#include "pulse.h"

namespace {

constexpr size_t count = 65;
struct List {
    const gorb_plugin* all[count + 1] = {};
    constexpr List() {
        for (size_t i = 0; i < count; ++i) all[i] = &gorb::sdk::Pulse<Harmless>::table;
    }
};
constexpr List list;

}  // namespace

const gorb_entry gorb_plugin_entry = {sizeof(gorb_entry), GORB_ABI_MAJOR, 0,      "test",
                                      list.all,           nullptr,        nullptr};
