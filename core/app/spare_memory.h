// Memory that malloc() keeps though nobody uses it any more.
//
// What a change of many objects, a long answer or a crowd of clients took for a moment lies in pieces of some
// KiB between what stays, and glibc gives the kernel none of it back by itself: gorbd would stay as large as
// its largest change made it.
#pragma once
#include <cstddef>

namespace gorb::app {

class SpareMemory {
  public:
    // So much may lie idle: who uses that in turns with something else would only fetch it again.
    static constexpr size_t enough = size_t{32} << 20;

    // One look, every now and then: true if it is worth giving back what lies idle, that is when it is more
    // than `enough`, more than a quarter of what is in use, and was both at the last look too. Bytes.
    bool look(size_t in_use, size_t idle);
    // The same of this process, and gives it back. Costs some ms for each 100 MB that it gives back, and
    // whoever allocates meanwhile may wait as long; next to nothing where there is none.
    void look();

  private:
    bool was_idle_ = false;
};

}  // namespace gorb::app
