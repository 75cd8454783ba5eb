#include "control/vip_users.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "control/retry.h"

namespace gorb::control {

std::vector<base::Ip> VipUsers::missing(const std::vector<base::Ip>& wanted) const {
    std::vector<base::Ip> out;
    if (!table_) return out;
    std::ranges::copy_if(wanted, std::back_inserter(out), [this](const base::Ip& address) {
        return !uses_.contains(address) && !earlier_.contains(address);
    });
    if (out.empty()) return out;
    const auto there = table_->addresses();
    if (!there) return {};
    std::erase_if(out, [&](const base::Ip& address) { return there->contains(address); });
    return out;
}

void VipUsers::intend(const std::vector<base::Ip>& addresses) {
    intended_.insert(addresses.begin(), addresses.end());
}

void VipUsers::expect(const std::vector<base::Ip>& addresses) {
    const bool stayed =
        std::ranges::any_of(expected_, [&](const base::Ip& a) { return earlier_.contains(a); });
    expected_ = {addresses.begin(), addresses.end()};
    if (stayed) unused_.at = 1;  // what did for the last change may go
}

base::Status VipUsers::add(const base::Ip& address, Use& use, Host& host) {
    // One of an earlier run, also if it was lost since (a boot), is used again: nobody is to release it as
    // unused.
    use.added = use.added || earlier_.erase(address) > 0;
    served_by_others_.erase(address);
    const auto& there = host.addresses();
    auto added = there ? table_->add(address, *there) : base::Result<bool>(base::fail(there.error()));
    use.missing = !added;
    if (!added) return base::fail(added.error());
    use.added = use.added || *added;
    base::log_info(*added      ? "VIP added"
                   : use.added ? "VIP was added by an earlier run"
                               : "VIP is on this host already, it will stay",
                   {{"vip", address.text()}});
    const bool intended = intended_.erase(address) > 0;
    if (intended && !use.added) noted_(address, false);  // the host has got it in the meantime
    if (*added && !intended) noted_(address, true);
    const bool at_last = shown_.with([&](auto& map) { return map.erase(address) > 0; });
    if (at_last && told_) told_(address, "");
    return {};
}

void VipUsers::refuse(const base::Ip& address, const std::string& words) {
    const bool first = shown_.with([&](auto& map) { return map.insert_or_assign(address, words).second; });
    if (first && told_) told_(address, words);
}

void VipUsers::try_again(uint64_t now) {
    if (missing_.at == 0) missing_.again(now);
}

std::string VipUsers::refused(const base::Ip& address) const {
    return shown_.with([&](const auto& map) {
        const auto at = map.find(address);
        return at == map.end() ? std::string() : at->second;
    });
}

base::Status VipUsers::take(const base::Ip& address, Host& host) {
    if (!table_) return {};
    Use& use = uses_[address];
    return use.services++ == 0 || use.missing ? add(address, use, host) : base::Status{};
}

std::vector<base::Status> VipUsers::acquire(const std::vector<base::Ip>& addresses) {
    Host host(table_.get());
    std::vector<base::Status> taken;
    taken.reserve(addresses.size());
    for (const base::Ip& address : addresses) {
        if (!taken.emplace_back(take(address, host))) release(address);
    }
    return taken;
}

std::vector<base::Status> VipUsers::acquire_anyway(const std::vector<base::Ip>& addresses, uint64_t now) {
    Host host(table_.get());
    std::vector<base::Status> taken;
    taken.reserve(addresses.size());
    for (const base::Ip& address : addresses) {
        if (taken.emplace_back(take(address, host))) continue;
        refuse(address, taken.back().error().sentence);
        try_again(now);
    }
    return taken;
}

std::vector<base::Ip> VipUsers::lost() {
    std::vector<base::Ip> out;
    if (!table_ || uses_.empty()) return out;
    const auto there = table_->addresses();
    if (!there) return out;
    for (auto& [address, use] : uses_) {
        const bool lost = use.added && !use.missing && !there->contains(address);
        if (lost && !use.lost) out.push_back(address);
        use.lost = lost;
    }
    return out;
}

std::vector<base::Status> VipUsers::put_back(const std::vector<base::Ip>& addresses, uint64_t now) {
    Host host(table_.get());
    std::vector<base::Status> added(addresses.size());
    for (size_t i = 0; i < addresses.size(); ++i) {
        const auto it = uses_.find(addresses[i]);
        if (it == uses_.end()) continue;
        it->second.lost = false;
        added[i] = add(addresses[i], it->second, host);
        if (added[i]) continue;
        refuse(addresses[i], added[i].error().sentence);
        try_again(now);
    }
    return added;
}

void VipUsers::Retry::again(uint64_t now) {
    at = now + retry_after(failures++);
}

uint64_t VipUsers::next() const {
    return base::earlier(missing_.at, unused_.at);
}

void VipUsers::look(uint64_t now) {
    if (missing_.due(now)) add_missing(now);
    if (!unused_.due(now)) return;
    unused_.at = 0;
    release_unused();
    if (unused_.at != 0)
        unused_.again(now);
    else
        unused_ = {};
}

void VipUsers::add_missing(uint64_t now) {
    bool left = false;
    Host host(table_.get());
    for (auto& [address, use] : uses_) {
        if (!use.missing) continue;
        const base::Status added = add(address, use, host);
        if (added) continue;
        refuse(address, added.error().sentence);
        left = true;
    }
    if (left)
        missing_.again(now);
    else
        missing_ = {};
}

void VipUsers::release(const base::Ip& address) {
    auto it = uses_.find(address);
    if (it == uses_.end() || --it->second.services > 0) return;
    const bool added = it->second.added;
    uses_.erase(it);
    shown_.with([&](auto& map) { map.erase(address); });
    if (added) {
        earlier_.insert(address);
        unused_.at = 1;
    } else if (intended_.erase(address) > 0) {
        noted_(address, false);  // it could not be added
    }
}

void VipUsers::release_all(const std::set<base::Ip>& stay) {
    for (const auto& [address, use] : uses_) {
        if (use.added) earlier_.insert(address);
    }
    std::erase_if(earlier_, [&](const base::Ip& address) { return stay.contains(address); });
    release_unused();
    uses_.clear();
    shown_.with([](auto& map) { map.clear(); });
}

void VipUsers::remember(const std::vector<base::Ip>& added) {
    earlier_.insert(added.begin(), added.end());
    if (added.empty()) return;
    if (!table_) {
        base::log_warning("VIPs that an earlier run added stay where they are, since no vip-interface is set",
                          {{"vips", std::to_string(added.size())}});
        return;
    }
    move(added);
}

// All at once, which reads the host's addresses once; each by itself where one is in the way.
void VipUsers::move(const std::vector<base::Ip>& added) {
    const auto moved = table_->move_here(added);
    if (moved) {
        for (const base::Ip& address : *moved)
            base::log_info("VIP moved here from another interface", {{"vip", address.text()}});
    } else if (added.size() == 1 || moved.error().code == base::Errc::not_found) {  // the interface
        base::log_error(
            "VIPs that an earlier run added to another interface may have stayed there",
            {{"vip", added.size() == 1 ? added.front().text() : "all"}, {"error", moved.error().sentence}});
    } else {
        for (const base::Ip& address : added) move({address});
    }
}

void VipUsers::release_unused() {
    if (!table_ || earlier_.empty()) return;
    const auto served = served_();
    if (!served) {
        base::log_error("VIPs that nobody uses any more could not be removed, trying again",
                        {{"error", served.error().sentence}});
    }
    bool again = false;
    std::erase_if(earlier_, [&](const base::Ip& address) {
        if (expected_.contains(address)) return false;
        const bool needed = served && served->contains(address);
        if (served && !needed && remove(address)) {
            served_by_others_.erase(address);
            return true;
        }
        if (needed && served_by_others_.insert(address).second) {
            base::log_warning("VIP stays for a virtual service of somebody else, and is removed after that",
                              {{"vip", address.text()}});
        }
        again = true;
        return false;
    });
    if (again && unused_.at == 0) unused_.at = 1;
}

// False: it is still one that was added here, and nobody uses it.
bool VipUsers::remove(const base::Ip& address) {
    if (auto removed = table_->remove(address); !removed) {
        base::log_error("VIP could not be removed, trying again",
                        {{"vip", address.text()}, {"error", removed.error().sentence}});
        return false;
    }
    base::log_info("VIP removed", {{"vip", address.text()}});
    noted_(address, false);
    return true;
}

}  // namespace gorb::control
