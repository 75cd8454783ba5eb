#include "app/spare_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace gorb::app {
namespace {

size_t resident_beyond_use(const SpareMemory::Memory& memory) {
    return memory.resident - std::min(memory.resident, memory.in_use);
}

// 0 where it can not be read.
size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    size_t all = 0, pages = 0;
    statm >> all >> pages;
    return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

SpareMemory::Memory of_this_process() {
    const auto now = mallinfo2();
    return {now.uordblks + now.hblkhd, now.fordblks, resident_bytes()};
}

}  // namespace

bool SpareMemory::look(const Memory& now) {
    const size_t beyond = resident_beyond_use(now);
    const size_t idle = std::min(now.idle, beyond - std::min(beyond, stays_));
    const bool much = idle > enough && idle > now.in_use / 4;
    return std::exchange(was_idle_, much) && much;
}

void SpareMemory::given_back(const Memory& then) {
    stays_ = resident_beyond_use(then);
    was_idle_ = false;
}

void SpareMemory::look() {
    if (!look(of_this_process())) return;
    malloc_trim(0);
    given_back(of_this_process());
}

}  // namespace gorb::app
