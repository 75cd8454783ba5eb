#include "control/vip_users.h"

#include <utility>

#include "base/log.h"

namespace gorb::control {

base::Status VipUsers::acquire(const base::Ip& address) {
    if (!table_) return {};
    auto it = uses_.find(address);
    if (it == uses_.end()) {
        auto added = table_->add(address);
        if (!added) return base::fail(added.error());
        // One of an earlier run that was lost since (a boot) is used again: nobody is to release it as
        // unused.
        const bool remembered = earlier_.erase(address) > 0;
        const bool ours = *added || remembered;
        base::log_info(*added ? "VIP added"
                       : ours ? "VIP was added by an earlier run"
                              : "VIP is on this host already, it will stay",
                       {{"vip", address.text()}});
        if (*added) noted_(address, true);
        it = uses_.emplace(address, Use{0, ours}).first;
    }
    ++it->second.services;
    return {};
}

void VipUsers::release(const base::Ip& address) {
    auto it = uses_.find(address);
    if (it == uses_.end() || --it->second.services > 0) return;
    const bool added = it->second.added;
    uses_.erase(it);
    if (added) remove(address);
}

void VipUsers::release_all() {
    for (const auto& [address, use] : uses_) {
        if (use.added) remove(address);
    }
    uses_.clear();
}

void VipUsers::remember(const std::vector<base::Ip>& added) {
    earlier_.insert(added.begin(), added.end());
}

void VipUsers::release_unused() {
    if (!table_) return;
    for (const base::Ip& address : std::exchange(earlier_, {})) remove(address);
}

void VipUsers::remove(const base::Ip& address) {
    if (auto removed = table_->remove(address)) {
        base::log_info("VIP removed", {{"vip", address.text()}});
        noted_(address, false);
    } else {
        base::log_error("VIP could not be removed",
                        {{"vip", address.text()}, {"error", removed.error().sentence}});
    }
}

}  // namespace gorb::control
