#include "health/engine.h"

#include <utility>

#include "base/check.h"
#include "health/hash.h"
#include "health/lane.h"

namespace gorb::health {

struct Engine::Impl {
    OnChanged on_changed;
    const base::Clock* clock = nullptr;
    Board board;
    std::vector<std::shared_ptr<Lane>> lanes;

    // Not the bits that give a target its place in the interval: those of one loop would be neighbours there.
    Lane& lane_of(model::BackendId id) { return *lanes[(spread(id) >> 32) % lanes.size()]; }
};

Engine::Engine(const plugin::Registry& registry, plugin::Metrics& metrics, std::vector<io::Loop*> loops,
               io::Workers& workers, OnChanged on_changed, PulseOptions options, OnSuspicion on_suspicion,
               const EngineOptions& engine_options)
    : Engine(plugin_checkers(registry, metrics, workers, std::move(options)), std::move(loops),
             std::move(on_changed), std::move(on_suspicion), engine_options) {}

Engine::Engine(const MakeChecker& make, std::vector<io::Loop*> loops, OnChanged on_changed, OnSuspicion,
               const EngineOptions&)
    : impl_(std::make_unique<Impl>()) {
    GORB_CHECK(!loops.empty());
    impl_->on_changed = std::move(on_changed);
    impl_->clock = &loops.front()->clock();
    for (io::Loop* loop : loops) {
        impl_->lanes.push_back(std::make_shared<Lane>(*loop, make, impl_->board, impl_->on_changed));
    }
}

Engine::~Engine() = default;

void Engine::put(Target target) {
    Lane& lane = impl_->lane_of(target.id);
    lane.put(std::move(target));
}

void Engine::remove(model::BackendId id) {
    impl_->lane_of(id).remove(id);
}

std::optional<View> Engine::read(model::BackendId id) const {
    return impl_->board.read(id, impl_->clock->now());
}

size_t Engine::size() const {
    return impl_->board.size();
}

void Engine::push(model::BackendId, Push, std::function<void(base::Status)> done) {
    done(base::fail(base::Errc::unsupported, "not yet"));
}

Suspicion Engine::suspicion() const {
    return {};
}

Counters Engine::counters() const {
    return {};
}

}  // namespace gorb::health
