#include "control/pulse_pool.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/json.h"
#include "health/spec.h"
#include "model/pulse_codec.h"

namespace gorb::control {
namespace {

using base::Result;

size_t hash_of(const model::PulseList& list) {
    size_t h = list.size();
    for (const model::PulseSpec& pulse : list) h = h * 1'000'003 ^ health::hash_of(pulse);
    return h;
}

// One pulse as its plugin sees it; faults point into the document of the backend.
Result<std::shared_ptr<const plugin::Config>> check_pulse(const plugin::Registry& registry,
                                                          const model::PulseSpec& pulse,
                                                          const std::string& place) {
    const plugin::Plugin* type = registry.pulse(pulse.type);
    if (!type) {
        std::string known;
        for (const plugin::Plugin* p : registry.plugins()) {
            if (p->kind == GORB_KIND_PULSE) known += (known.empty() ? "" : ", ") + p->name;
        }
        return base::fail(base::faults_error(
            {{place + "/type", "there is no pulse plugin \"" + pulse.type +
                                   "\"; loaded are: " + (known.empty() ? "none" : known)}}));
    }
    auto config = plugin::pulse_args(*type, pulse.args);
    if (config) return config;
    base::Error error = config.error();
    if (error.faults.empty()) error.faults.push_back({"", error.sentence});
    for (base::Fault& fault : error.faults) {
        const bool known = std::ranges::any_of(type->args, [&](const plugin::OptionSpec& option) {
            return fault.pointer.empty() || fault.pointer == "/" + base::pointer_token(option.name);
        });
        // It may be meant for gorb: what it does not know itself is taken for the plugin's.
        if (!known) fault.what += "; every pulse has " + std::string(model::pulse_members()) + " as well";
        fault.pointer = place + "/args" + fault.pointer;
    }
    return base::fail(base::faults_error(std::move(error.faults)));
}

}  // namespace

Result<std::shared_ptr<const Pulses>> PulsePool::get(const model::PulseList& list) {
    const size_t hash = hash_of(list);
    const auto [first, last] = known_.equal_range(hash);
    for (auto it = first; it != last; ++it) {
        if (auto pulses = it->second.lock(); pulses && std::ranges::equal(pulses->specs, list)) return pulses;
    }
    auto made = std::make_shared<Pulses>();
    made->specs.assign(list.begin(), list.end());
    for (size_t i = 0; i < list.size(); ++i) {
        auto args =
            check_pulse(*registry_, list[i], list.size() == 1 ? "/pulse" : "/pulses/" + std::to_string(i));
        if (!args) return base::fail(std::move(args.error()));
        made->args.push_back(std::move(*args));
    }
    drop_unused();
    std::shared_ptr<const Pulses> pulses = std::move(made);
    known_.emplace(hash, pulses);
    return pulses;
}

void PulsePool::drop_unused() {
    if (known_.size() < sweep_at_) return;
    std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<size_t>(64, known_.size() * 2);
}

}  // namespace gorb::control
