// Says in the log that backends are up or down, of thousands only of some.
//
// Threads: any.
#pragma once
#include <cstdint>
#include <functional>
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

  private:
    base::Guarded<base::LineLimit> up_{uint32_t{100}}, down_{uint32_t{100}};
};

}  // namespace gorb::health
