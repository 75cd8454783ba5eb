// Which changes may be applied together: those that make no difference to each other, so that together they
// come to the same as one after another.
#pragma once
#include <set>
#include <string>
#include <utility>

#include "control/change.h"
#include "model/snapshot.h"

namespace gorb::control {

class Touched {
  public:
    // `now`: the state that all of them are checked against. It must outlive this.
    explicit Touched(const model::Snapshot& now) : now_(&now) {}

    // Whether it may come with those that were added before; if so it is one of them from now on.
    bool add(const Change& change);

  private:
    bool add_whole(const Change& change, const std::string& service);

    const model::Snapshot* now_;
    std::set<std::string> whole_, parts_;  // services that change themselves, or of which backends change
    std::set<model::ServiceKey> keys_;
    std::set<std::pair<std::string, std::string>> names_;  // of service and backend
    std::set<std::pair<std::string, base::Endpoint>> addresses_;
};

}  // namespace gorb::control
