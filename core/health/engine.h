// Checks every target on its loops and keeps what came of it.
//
// Threads: put, remove, read, size: any. `on_changed` is called on a loop's thread with all changes of one
// turn; it must only hand them on.
//
// Cost: a check is two moves in a wheel of due times and one board write, all O(1); about 600 bytes a target.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "health/checker.h"
#include "health/health.h"
#include "io/loop.h"
#include "io/workers.h"
#include "plugin/metrics.h"
#include "plugin/registry.h"

namespace gorb::health {

class Engine {
  public:
    using OnChanged = std::function<void(std::span<const Changed>)>;

    // Instances of the pulses are made on first use, one on each of `loops`; a target stays on the loop its
    // id hashes to. The loops must outlive the engine and be stopped before it is destroyed (or not yet be
    // running).
    Engine(const plugin::Registry& registry, plugin::Metrics& metrics, std::vector<io::Loop*> loops,
           io::Workers& workers, OnChanged on_changed, PulseOptions options = {});
    // The same with checkers of another make than plugins.
    Engine(const MakeChecker& make, std::vector<io::Loop*> loops, OnChanged on_changed);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Begins to check a target; the same id again replaces what is checked and how, and keeps state and
    // history when service, address and the pulse's type are the same, otherwise starts anew (and
    // `on_changed` is told when an up or a down becomes unknown by that). read() knows at once, the loop soon
    // after. The first check of a new target comes at once, those of many added together paced over their
    // interval; later ones at hash(id) within the interval.
    void put(Target target);
    // Ends its check. What a loop is just about to tell may still come, nothing after that.
    void remove(model::BackendId id);

    // nullopt for an id that is not here.
    std::optional<View> read(model::BackendId id) const;
    size_t size() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::health
