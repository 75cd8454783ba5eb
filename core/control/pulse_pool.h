// Pulses with their arguments as the plugins have checked them, one copy of those that are equal: thousands
// of backends are checked alike.
//
// Threads: one at a time (the control's turns); what it gives out is immutable.
#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "model/service.h"
#include "plugin/options.h"
#include "plugin/registry.h"

namespace gorb::control {

struct Pulses {
    std::vector<model::PulseSpec> specs;
    std::vector<std::shared_ptr<const plugin::Config>> args;  // one for each pulse
};
// The specs as the list of a backend: the pulses are in use for as long as it is.
inline model::PulseList list_of(const std::shared_ptr<const Pulses>& pulses) {
    return model::PulseList(std::shared_ptr<const std::vector<model::PulseSpec>>(pulses, &pulses->specs));
}

class PulsePool {
  public:
    explicit PulsePool(const plugin::Registry& registry) : registry_(&registry) {}

    // Asks the plugins unless the same list is in use. The Error has a pointer to each wrong field of the
    // backend's document.
    base::Result<std::shared_ptr<const Pulses>> get(const model::PulseList& list);

  private:
    void drop_unused();

    const plugin::Registry* registry_;
    std::unordered_multimap<size_t, std::weak_ptr<const Pulses>> known_;  // by hash
    size_t sweep_at_ = 64;
};

}  // namespace gorb::control
