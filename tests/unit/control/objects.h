// Desired state by few words, and changes that are waited for.
#pragma once
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "control/control.h"

namespace gorb::control {

inline model::Service service(const std::string& name, const std::string& vip) {
    model::Service s;
    s.name = name;
    s.key.vip = *base::Endpoint::parse(vip);
    return s;
}

// Checked by the plugin `none`.
inline model::Backend backend(const std::string& name, const std::string& address, uint32_t weight = 100) {
    model::Backend b;
    b.name = name;
    b.address = *base::Endpoint::parse(address);
    b.weight = weight;
    model::PulseSpec none;
    none.type = "none";
    b.pulses = model::PulseList({none});
    return b;
}

inline ipvs::ServiceKey key(const std::string& vip) {
    return ipvs::ServiceKey::of(6, *base::Endpoint::parse(vip));
}

using Answer = std::future<base::Result<Outcome>>;

inline Answer submit(Control& control, Change change) {
    auto promise = std::make_shared<std::promise<base::Result<Outcome>>>();
    auto answer = promise->get_future();
    control.submit(std::move(change),
                   [promise](base::Result<Outcome> r) { promise->set_value(std::move(r)); });
    return answer;
}

// The kernel operations of POST /plan; one line with the error where it is refused.
inline std::vector<std::string> plan(Control& control, const model::Config& config) {
    std::promise<base::Result<Preview>> done;
    control.preview(config, [&](base::Result<Preview> p) { done.set_value(std::move(p)); });
    const base::Result<Preview> preview = done.get_future().get();
    return preview ? preview->operations : std::vector<std::string>{"refused: " + preview.error().sentence};
}

// A look for drift, over when this returns.
inline base::Result<SyncCounts> look(Control& control) {
    std::promise<base::Result<SyncCounts>> done;
    control.reconcile([&](base::Result<SyncCounts> counts) { done.set_value(std::move(counts)); });
    return done.get_future().get();
}

}  // namespace gorb::control
