#include "health/engine.h"

#include <sys/resource.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/check.h"
#include "health/lane.h"

namespace gorb::health {

namespace {

// Descriptors that are left to checks: three eighths of all, after what the daemon and its clients need. The
// rest may be held by connections that pulses keep between checks (plugins/kept), and a check that found no
// descriptor would be UNKNOWN where one that waits its turn says what there is.
size_t in_flight_allowed(size_t loops) {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 1'000'000;
    const uint64_t own = 128, share = limit.rlim_cur / 8 * 3;
    return std::max<size_t>(16, (share > own ? share - own : 0) / loops);
}

Scheduler::Caps caps_of(const EngineOptions& options, size_t loops) {
    Scheduler::Caps caps;
    caps.running = options.max_in_flight ? options.max_in_flight : in_flight_allowed(loops);
    if (options.max_per_host) caps.per_host = options.max_per_host;
    return caps;
}

uint64_t random_seed() {
    std::random_device random;
    return uint64_t{random()} << 32 | random();
}

}  // namespace

struct Engine::Impl {
    Impl(OnChanged on_changed, OnSuspicion on_suspicion, const SelfSuspicion& self_suspicion)
        : crew(std::move(on_changed), std::move(on_suspicion), self_suspicion) {}

    Crew crew;
    const base::Clock* clock = nullptr;
};

Engine::Engine(const plugin::Registry& registry, plugin::Metrics& metrics, std::vector<io::Loop*> loops,
               io::Workers& workers, OnChanged on_changed, PulseOptions options, OnSuspicion on_suspicion,
               const EngineOptions& engine_options)
    : Engine(plugin_checkers(registry, metrics, workers, std::move(options)), std::move(loops),
             std::move(on_changed), std::move(on_suspicion), engine_options) {}

Engine::Engine(const MakeChecker& make, std::vector<io::Loop*> loops, OnChanged on_changed,
               OnSuspicion on_suspicion, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(std::move(on_changed), std::move(on_suspicion), options.self_suspicion)) {
    GORB_CHECK(!loops.empty());
    impl_->clock = &loops.front()->clock();
    const uint64_t seed = options.seed ? options.seed : random_seed();
    std::vector<Probes*> probes;
    for (io::Loop* loop : loops) {
        auto lane = std::make_shared<Lane>(*loop, make, impl_->crew, seed, caps_of(options, loops.size()));
        probes.push_back(&lane->probes());
        impl_->crew.lanes.push_back(std::move(lane));
    }
    impl_->crew.board = std::make_unique<Board>(std::move(probes));
}

Engine::~Engine() = default;

void Engine::put(const Target& target) {
    const model::BackendId id = target.id;
    const uint64_t now = impl_->clock->now();
    std::vector<Board::GivenUp> given_up;
    const Board::Effect effect = impl_->crew.board->put(target, now, impl_->clock->wall(), given_up);
    impl_->crew.state_lines.tell_given_up(now, given_up);
    if (effect.tell) impl_->crew.home(id).note(id);
    // By a probe that others have already, or since one of its pulses is gone. What was known of it before it
    // was put is no news.
    if (!effect.state_changed() || effect.after == State::unknown || effect.after == target.known) return;
    impl_->crew.state_lines.tell(now, effect, [&]() -> StateLines::Words {
        const View view = read(id).value_or(View());
        const size_t pulse = std::min(view.decides, target.pulses.size() - 1);
        return {{target.service, target.backend},
                model::checked_address(target.address, target.pulses[pulse]),
                target.pulses[pulse].type,
                view.because};
    });
}

void Engine::remove(model::BackendId id) {
    std::vector<Board::GivenUp> given_up;
    impl_->crew.board->forget(id, given_up);
    impl_->crew.state_lines.tell_given_up(impl_->clock->now(), given_up);
}

std::optional<View> Engine::read(model::BackendId id) const {
    return impl_->crew.board->read(id, impl_->clock->now());
}

size_t Engine::size() const {
    return impl_->crew.board->size();
}

void Engine::push(model::BackendId id, Push push, std::function<void(base::Status)> done) {
    impl_->crew.home(id).push(id, {push.verdict, push.share, push.code, std::move(push.detail)},
                              std::move(done));
}

void Engine::close() {
    for (const auto& lane : impl_->crew.lanes) lane->close();
}

Suspicion Engine::suspicion() const {
    return impl_->crew.watch.now();
}

Counters Engine::counters() const {
    Counters sum;
    for (const auto& lane : impl_->crew.lanes) {
        lane->tally().add_to(sum);
        sum.probes += lane->probes().size();
    }
    sum.backends = size();
    return sum;
}

}  // namespace gorb::health
