// Says in the log that backends are up or down, and that what could not be checked is not checked any more;
// of thousands only of some.
//
// Threads: any.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/address.h"
#include "base/guarded.h"
#include "base/line_limit.h"
#include "health/board.h"

namespace gorb::health {

class StateLines {
  public:
    struct Words {
        Board::Names names;
        base::Endpoint address;  // where it is checked
        std::string pulse;       // the type
        std::string because;
    };
    // What has become of the state of a backend by `effect`, at `now` (monotonic ns). `words` is asked for
    // only where the line is written.
    void tell(uint64_t now, const Board::Effect& effect, const std::function<Words()>& words);
    // The end of what the log says of a backend that can not be checked, where no check will be that: it is
    // in maintenance, gone, or checked in another way from now on.
    void tell_given_up(uint64_t now, std::span<const Board::GivenUp> given_up);

  private:
    base::Guarded<base::LineLimit> up_{uint32_t{100}}, down_{uint32_t{100}}, given_up_{uint32_t{100}};
};

}  // namespace gorb::health
