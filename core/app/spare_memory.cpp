#include "app/spare_memory.h"

#include <malloc.h>

#include <utility>

namespace gorb::app {

bool SpareMemory::look(size_t in_use, size_t idle) {
    const bool much = idle > enough && idle > in_use / 4;
    return std::exchange(was_idle_, much) && much;
}

void SpareMemory::look() {
    const auto now = mallinfo2();
    if (look(now.uordblks, now.fordblks)) malloc_trim(0);
}

}  // namespace gorb::app
