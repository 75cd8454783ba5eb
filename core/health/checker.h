// What checks the targets of one pulse type on one loop: the border between health and the plugins.
//
// Threads: the loop's. A MakeChecker is called by several loops' threads at once.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/loop.h"
#include "io/workers.h"
#include "plugin/metrics.h"
#include "plugin/pulse.h"
#include "plugin/registry.h"

namespace gorb::health {

// The contract is that of plugin::PulseInstance (the callbacks must not call the checker either): a check is
// reported at most once, never before start() has returned, and not after cancel().
class Checker {
  public:
    using Tag = plugin::PulseInstance::Tag;  // the caller's own name for a target
    using OnReport = plugin::PulseInstance::OnReport;
    using OnRecheck = plugin::PulseInstance::OnRecheck;
    using Probe = void*;  // the checker's

    virtual ~Checker() = default;
    virtual base::Result<Probe> add(const plugin::ProbeTarget& target, Tag tag) = 0;
    virtual void remove(Probe probe) = 0;
    virtual void start(Probe probe, uint64_t deadline) = 0;
    // Ends the check that runs, if one does. True: it had not begun, for want of a worker.
    virtual bool cancel(Probe probe) = 0;
    // The same at its deadline, with an answer where the pulse has one.
    using Expired = plugin::PulseInstance::Expired;
    virtual Expired expire(Probe probe) { return {cancel(probe), std::nullopt}; }
    virtual base::Status push(Probe probe, const plugin::PushReport& push) = 0;
};

// Makes the checker of a pulse type on a loop.
using MakeChecker = std::function<base::Result<std::unique_ptr<Checker>>(
    const std::string& type, io::Loop& loop, Checker::OnReport on_report, Checker::OnRecheck on_recheck)>;

// Options of instances by the name of their pulse, already validated; a pulse without an entry has its
// defaults.
using PulseOptions = std::map<std::string, std::shared_ptr<const plugin::Config>>;

// What an instance of `pulse` is made with: what is configured, else its defaults. The error says where to
// set what it needs and nobody has set.
base::Result<std::shared_ptr<const plugin::Config>> instance_options(const plugin::Plugin& pulse,
                                                                     const PulseOptions& configured);

// Instances of the pulse plugins of `registry`. The references must outlive what it makes.
MakeChecker plugin_checkers(const plugin::Registry& registry, plugin::Metrics& metrics, io::Workers& workers,
                            PulseOptions options);

}  // namespace gorb::health
