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

    // Of a process, in bytes.
    struct Memory {
        size_t in_use = 0;
        size_t idle = 0;      // malloc() has it and nobody uses it, whether the kernel has it back or not
        size_t resident = 0;  // that the kernel has given pages for
    };

    // One look, every now and then: true if it is worth giving back what lies idle, that is when what is
    // resident of it is more than `enough`, more than a quarter of what is in use, and was both at the last
    // look too.
    bool look(const Memory& now);
    // What there is after it has been given back: what is resident then and not in use (a program's text, its
    // threads' stacks, parts of pages) can not be given back, and counts as idle no more.
    void given_back(const Memory& then);

    // The same of this process, and gives it back. Costs some ms for each 100 MB that it gives back, and
    // whoever allocates meanwhile may wait as long; next to nothing where there is none.
    void look();

  private:
    size_t stays_ = 0;
    bool was_idle_ = false;
};

}  // namespace gorb::app
