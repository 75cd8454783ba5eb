// How many lines of one kind are worth writing in a second, for what may happen to thousands at once.
//
// Threads: one at a time.
#pragma once
#include <cstdint>

#include "base/clock.h"

namespace gorb::base {

class LineLimit {
  public:
    enum class Line : uint8_t {
        write,
        last,  // instead of this line, say that there are more than are written
        none,
    };
    explicit LineLimit(uint32_t lines_a_second) : limit_(lines_a_second) {}

    // `now` in monotonic ns.
    Line next(uint64_t now) {
        if (now >= since_ + second) {
            since_ = now;
            lines_ = 0;
        }
        if (lines_ > limit_) return Line::none;
        return ++lines_ > limit_ ? Line::last : Line::write;
    }

    // Calls write(), or in place of the last line more(), or neither.
    template <class Write, class More>
    void tell(uint64_t now, Write&& write, More&& more) {
        const Line line = next(now);
        if (line == Line::write) write();
        if (line == Line::last) more();
    }

  private:
    uint32_t limit_;
    uint32_t lines_ = 0;
    uint64_t since_ = 0;
};

}  // namespace gorb::base
