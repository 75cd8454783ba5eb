// One instance of a pulse plugin on one loop, and all that it holds.
//
// The instance turns whatever foreign code does into values: an exception can not cross (C border), a late or
// double report is dropped by its run number, what the plugin left open (descriptors, timers, connections) is
// released when it is destroyed.
//
// Threads: create, destroy and every call on the loop's thread. report() of the plugin may come from any
// thread; `on_report` is always called on the loop's thread. The plugin's own code may be on the stack then,
// so it must not call the instance.
//
// Cost: a run allocates nothing, unless its report comes from another thread or from within start().
#pragma once
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "io/loop.h"
#include "io/workers.h"
#include "plugin/metrics.h"
#include "plugin/registry.h"

namespace gorb::plugin {

enum class Verdict : uint8_t { unknown = 0, pass = 1, fail = 2 };  // GORB_UNKNOWN ...

// Could a check with this result not be made? UNKNOWN, unless the pulse says by EINPROGRESS (gorb/abi.h) that
// it only waits: nothing is wrong then, on neither side.
inline bool in_trouble(Verdict verdict, int32_t code) {
    return verdict == Verdict::unknown && code != EINPROGRESS;
}

struct Report {
    Verdict verdict = Verdict::unknown;
    uint32_t share = 100;     // per cent of the configured weight that the target asks for
    int32_t code = 0;         // the protocol's own, 0 for none
    uint64_t latency_ns = 0;  // 0: not measured by the plugin
    std::string detail;       // at most 256 bytes, valid UTF-8
    std::string warning;      // the same; "" for none
};

struct ProbeTarget {
    std::string service, backend;
    base::Endpoint address;
    uint32_t fwmark = 0;
    std::shared_ptr<const Config> args;  // nullptr: the defaults
    base::Ip source;                     // of the check's sockets; none: the kernel chooses
    std::string interface;               // "" for any
};

// What somebody reports of a target from outside.
struct PushReport {
    Verdict verdict = Verdict::pass;  // or fail
    uint32_t share = 100;
    int32_t code = 0;
    std::string detail;  // of any length; the plugin gets it as a Report would show it
};

class PulseInstance {
  public:
    using Run = uint64_t;
    using Tag = uint32_t;  // the caller's own name for a probe
    using OnReport = std::function<void(Tag, const Report&)>;
    using OnRecheck = std::function<void(Tag)>;

    // `on_recheck`: the plugin asks for a check of that probe now; told only while none runs (after the
    // report, where one was on its way). Like `on_report` it must not call the instance.
    static base::Result<std::unique_ptr<PulseInstance>> create(const Plugin& plugin,
                                                               std::shared_ptr<const Config> options,
                                                               io::Loop& loop, io::Workers& workers,
                                                               Metrics& metrics, OnReport on_report,
                                                               OnRecheck on_recheck = {});
    // Removes the probes that are left, then destroys the plugin's instance.
    ~PulseInstance();

    // A probe is the plugin's own handle of one target.
    class Probe;
    base::Result<Probe*> add(const ProbeTarget& target, Tag tag);
    void remove(Probe* probe);
    // Starts a check that must be answered before `deadline` (monotonic ns). `on_report` is called at most
    // once for each run, and never before start() has returned: what a plugin answers at once comes in
    // the loop's next turn, which follows without waiting. Nobody here enforces the deadline: the caller
    // does, with expire().
    Run start(Probe* probe, uint64_t deadline);
    // The run is over; a report that comes later is dropped and counted. True when it had not even begun: its
    // job still waits for a worker, which is no fault of the target.
    bool cancel(Probe* probe, Run run);
    bool cancel(Probe* probe);  // whatever run is open
    // The same at the deadline, for which some plugins have an answer: how far the check had come. `report`
    // is that, or nullopt where the plugin says nothing.
    struct Expired {
        bool not_begun = false;  // as cancel() tells it
        std::optional<Report> report;
    };
    Expired expire(Probe* probe);
    // Errc::unsupported when this pulse takes no reports, else what the plugin says.
    base::Status push(Probe* probe, const PushReport& push);

    const Plugin& plugin() const;

  private:
    struct Impl;
    explicit PulseInstance(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::plugin
