// Checks every target on its loops and keeps what came of it.
//
// Backends with the same address and an equal pulse share one probe, in whatever services they are: it is
// checked once, and the result is all of theirs.
//
// Threads: put, remove, read, size, push, close, suspicion, counters: any. Callbacks are called on a loop's
// thread (`on_changed` with all changes of one turn) and must only hand on; of one backend they come from one
// loop, in order.
//
// Cost: a check is two moves in a wheel of due times and one record written, all O(1), without memory being
// allocated; see tests/bench/health for time and bytes.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "health/checker.h"
#include "health/health.h"
#include "io/loop.h"
#include "io/workers.h"
#include "plugin/metrics.h"
#include "plugin/registry.h"

namespace gorb::health {

// When the engine suspects the machine it runs on. Unrelated are targets with different addresses (ports do
// not count).
struct SelfSuspicion {
    bool on = true;
    uint32_t threshold = 70;  // per cent of the unrelated targets that were well and are not any more
    uint32_t least = 10;      // of them, at fewer nothing is suspected
    // Intervals after which failures that persist are believed: what has looked like this for that long may
    // as well be true, and a frozen weight sends clients to the dead. 0: never.
    uint32_t thaw_after = 10;
};

struct EngineOptions {
    SelfSuspicion self_suspicion;
    size_t max_in_flight = 0;  // checks of one loop at once; 0: what RLIMIT_NOFILE allows
    size_t max_per_host = 64;  // of one loop to one address; 0: no limit of its own
    uint64_t seed = 0;         // of the jitter; 0: another one in every process
};

// Since the engine began; all loops together.
struct Counters {
    // Upper ends of the buckets of `late`, in ms; what is later than the last is in one more.
    static constexpr std::array<uint32_t, 8> late_ms = {1, 2, 5, 10, 20, 50, 100, 500};

    uint64_t started = 0, passed = 0, failed = 0, unknown = 0;
    uint64_t timed_out = 0;               // of the failed (or, not even begun, of the unknown)
    uint64_t rechecks = 0;                // asked for by pulses
    std::array<uint64_t, 9> late{};       // started checks by how late they were
    uint64_t late_ns = 0;                 // sum over all started checks
    uint64_t latest_ns = 0;               // the worst there was
    size_t in_flight = 0, held_back = 0;  // held_back: due, but a cap is in the way
    size_t probes = 0, backends = 0;      // distinct probes, and the backends they serve
};

class Engine {
  public:
    using OnChanged = std::function<void(std::span<const Changed>)>;
    using OnSuspicion = std::function<void(const Suspicion&)>;

    // Instances of the pulses are made on first use, one on each of `loops`; a probe stays on the loop that
    // its address and pulse hash to. The loops must outlive the engine and be stopped before it is destroyed
    // (or not yet be running). `on_suspicion` is told of every change of suspicion(); it may be empty.
    Engine(const plugin::Registry& registry, plugin::Metrics& metrics, std::vector<io::Loop*> loops,
           io::Workers& workers, OnChanged on_changed, PulseOptions options = {},
           OnSuspicion on_suspicion = {}, const EngineOptions& engine_options = {});
    // The same with checkers of another make than plugins.
    Engine(const MakeChecker& make, std::vector<io::Loop*> loops, OnChanged on_changed,
           OnSuspicion on_suspicion = {}, const EngineOptions& engine_options = {});
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Begins to check a target; the same id again replaces what is checked and how. A pulse whose type the
    // backend had before keeps state and history when service and address are the same, otherwise it starts
    // anew. read() knows at once, the loop soon after. A probe that is known already gives its state at once;
    // `on_changed` is told of every state that is another than before (of a new target: than unknown).
    // The first check of a new probe comes at once, those of many added together paced over 2 s for each
    // 100,000 (at most their interval); later ones at hash(probe) within the interval.
    void put(const Target& target);
    // Ends its checks. What a loop is just about to tell may still come, nothing after that.
    void remove(model::BackendId id);

    // nullopt for an id that is not here.
    std::optional<View> read(model::BackendId id) const;
    size_t size() const;

    // Hands a report to all of the backend's pulses that take reports (whoever shares a probe gets it too).
    // `done` is called once, on a loop's thread: well if one took it, else with the words of one that did
    // not, Errc::unsupported if none takes any, not_found if the backend is not here.
    void push(model::BackendId id, Push push, std::function<void(base::Status)> done);

    // The end: has each loop destroy its instances of the pulses, which belong to its thread, and check
    // nothing from then on. To be called before the loops are stopped; what has not been done when they are
    // (one that does not run) is left to the destructor.
    void close();

    Suspicion suspicion() const;
    Counters counters() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::health
