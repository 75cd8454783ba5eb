#include "health/checker.h"

#include <utility>

namespace gorb::health {

namespace {

class PluginChecker final : public Checker {
  public:
    explicit PluginChecker(std::unique_ptr<plugin::PulseInstance> instance)
        : instance_(std::move(instance)) {}

    base::Result<Probe> add(const plugin::ProbeTarget& target, Tag tag) override {
        auto probe = instance_->add(target, tag);
        if (!probe) return base::fail(std::move(probe.error()));
        return static_cast<Probe>(*probe);
    }
    void remove(Probe probe) override { instance_->remove(own(probe)); }
    void start(Probe probe, uint64_t deadline) override { instance_->start(own(probe), deadline); }
    bool cancel(Probe probe) override { return instance_->cancel(own(probe)); }
    Expired expire(Probe probe) override { return instance_->expire(own(probe)); }
    base::Status push(Probe probe, const plugin::PushReport& push) override {
        return instance_->push(own(probe), push);
    }

  private:
    static plugin::PulseInstance::Probe* own(Probe probe) {
        return static_cast<plugin::PulseInstance::Probe*>(probe);
    }

    std::unique_ptr<plugin::PulseInstance> instance_;
};

}  // namespace

base::Result<std::shared_ptr<const plugin::Config>> instance_options(const plugin::Plugin& pulse,
                                                                     const PulseOptions& configured) {
    const auto found = configured.find(pulse.name);
    if (found != configured.end()) return found->second;
    auto defaults = plugin::Config::make(pulse.options, {});
    if (defaults) return defaults;
    base::Error error = std::move(defaults.error());
    std::string what = error.sentence;
    if (!error.faults.empty()) {
        const base::Fault& fault = error.faults.front();
        what = fault.pointer.substr(fault.pointer.starts_with("/") ? 1 : 0) + " " + fault.what;
    }
    error.sentence =
        "pulse-" + pulse.name + " can not be used: [plugin." + pulse.name + "] of the configuration: " + what;
    return base::fail(std::move(error));
}

MakeChecker plugin_checkers(const plugin::Registry& registry, plugin::Metrics& metrics, io::Workers& workers,
                            PulseOptions options) {
    return [&registry, &metrics, &workers, options = std::move(options)](
               const std::string& type, io::Loop& loop, Checker::OnReport on_report,
               Checker::OnRecheck on_recheck) -> base::Result<std::unique_ptr<Checker>> {
        const plugin::Plugin* pulse = registry.pulse(type);
        if (!pulse)
            return base::fail(base::Errc::unsupported, "no plugin with the pulse \"" + type + "\" is loaded");
        auto config = instance_options(*pulse, options);
        if (!config) return base::fail(std::move(config.error()));
        auto instance = plugin::PulseInstance::create(*pulse, std::move(*config), loop, workers, metrics,
                                                      std::move(on_report), std::move(on_recheck));
        if (!instance) return base::fail(std::move(instance.error()));
        return std::make_unique<PluginChecker>(std::move(*instance));
    };
}

}  // namespace gorb::health
