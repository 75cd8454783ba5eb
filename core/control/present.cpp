// What changes are checked against, as far as the kernel says it: Changer::present().
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "control/adopt.h"
#include "control/changer.h"
#include "reconcile/records.h"

namespace gorb::control {

using base::Errc;
using base::Result;

namespace {

// A change that asks after so many services is better served by one look at all that the kernel has.
constexpr size_t look_at_all = 64;
// So many destinations come in one part of a reading.
constexpr size_t few = 64;

// Those of the kernel; nullopt when they can not be read now.
std::optional<std::set<ipvs::ServiceKey>> service_keys(ipvs::Driver& driver) {
    const auto services = driver.services();
    if (!services) return std::nullopt;
    std::set<ipvs::ServiceKey> keys;
    for (const ipvs::ServiceRecord& service : *services) keys.insert(service.key);
    return keys;
}

// Of a service that the kernel has; none of one that it has not.
Result<std::unordered_set<base::Endpoint>> dest_addresses(ipvs::Driver& driver, const ipvs::ServiceKey& key) {
    std::unordered_set<base::Endpoint> addresses;
    const auto dests = driver.dests(key);
    if (!dests && dests.error().code != Errc::not_found) return base::fail(dests.error());
    if (dests) {
        for (const ipvs::DestRecord& dest : *dests) addresses.insert(dest.address);
    }
    return addresses;
}

// Present::unspoken of a service.
Result<std::string> unspoken_of(ipvs::Driver& driver, const ipvs::ServiceKey& key) {
    const auto service = driver.service(key);
    if (!service) return base::fail(service.error());
    return *service ? unspoken(**service) : std::string();
}

// Present::unspoken of the destinations of a service: of those that have something of that kind, what it is.
using UnspokenDests = std::unordered_map<base::Endpoint, std::string>;
Result<UnspokenDests> unspoken_dests(ipvs::Driver& driver, const ipvs::ServiceKey& key) {
    UnspokenDests found;
    const auto dests = driver.dests(key);
    if (!dests && dests.error().code != Errc::not_found) return base::fail(dests.error());
    if (!dests) return found;
    for (const ipvs::DestRecord& dest : *dests) {
        if (std::string what = unspoken(dest); !what.empty()) found.emplace(dest.address, std::move(what));
    }
    return found;
}

}  // namespace

Present Changer::present(const model::Snapshot& now) {
    return {
        now,
        [this](const model::PulseList& list) { return p_->pulses.get(list); },
        [this](uint64_t revision) { return p_->etag(revision); },
        [this] { return ++p_->last_id; },
        [this] { return ++p_->last_revision; },
        p_->clock.wall(),
        [this, asked = size_t{0}, all = std::optional<std::set<ipvs::ServiceKey>>()](
            const model::ServiceKey& key) mutable -> Result<bool> {
            if (p_->leaving.contains({key, {}})) return false;
            const ipvs::ServiceKey wanted = reconcile::kernel_key(key);
            if (++asked == look_at_all) all = service_keys(*p_->driver);
            if (all) return all->contains(wanted);
            const auto found = p_->driver->service(wanted);
            if (!found) return base::fail(found.error());
            return found->has_value();
        },
        [this, read = std::map<model::ServiceKey, Result<std::unordered_set<base::Endpoint>>>()](
            const model::ServiceKey& key, const base::Endpoint& address) mutable -> Result<bool> {
            if (p_->leaving.contains({key, address})) return false;
            auto at = read.find(key);
            if (at == read.end())
                at = read.emplace(key, dest_addresses(*p_->driver, reconcile::kernel_key(key))).first;
            if (!at->second) return base::fail(at->second.error());
            return at->second->contains(address);
        },
        // A service that moves asks after each of its backends.
        [this, read = std::map<model::ServiceKey, Result<UnspokenDests>>()](
            const model::ServiceKey& key,
            const std::optional<base::Endpoint>& backend) mutable -> Result<std::string> {
            if (!backend) return unspoken_of(*p_->driver, reconcile::kernel_key(key));
            auto at = read.find(key);
            if (at == read.end())
                at = read.emplace(key, unspoken_dests(*p_->driver, reconcile::kernel_key(key))).first;
            if (!at->second) return base::fail(at->second.error());
            const auto found = at->second->find(*backend);
            return found == at->second->end() ? std::string() : found->second;
        },
        p_->keeper.durable() ? few : 0,
        [this](const Adopt& adopt) -> Result<model::ConfigService> {
            auto service = p_->driver->service(adopt.key);
            if (!service) return base::fail(service.error());
            if (!*service) {
                return base::fail(Errc::not_found, "the kernel has no virtual service " + adopt.key.text() +
                                                       "; GET /kernel lists those it has");
            }
            auto dests = p_->driver->dests(adopt.key);
            if (!dests) return base::fail(dests.error());
            return adopted(**service, *dests, adopt.name, adopt.pulses);
        },
    };
}

}  // namespace gorb::control
