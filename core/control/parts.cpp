#include "control/parts.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "base/log.h"

namespace gorb::control {
namespace {

std::string run_tag() {
    constexpr char digits[] = "0123456789abcdef";
    std::random_device random;
    std::string tag;
    for (int i = 0; i < 8; ++i) tag += digits[random() % 16];
    return tag;
}

const base::Clock& system_clock() {
    static const base::SystemClock clock;
    return clock;
}

store::Health::State stored(health::State state) {
    switch (state) {
        case health::State::up:
            return store::Health::State::up;
        case health::State::down:
            return store::Health::State::down;
        case health::State::unknown:
            break;
    }
    return store::Health::State::unknown;
}

}  // namespace

Parts::Parts(Makings makings)
    : clock(makings.clock ? *makings.clock : system_clock()),
      driver(std::move(makings.driver)),
      applier(*driver, clock, [this](const ipvs::ServiceKey& key) { return is_missing(key); }),
      pulses(*makings.registry),
      identity(run_tag()),
      drains(clock, slots),
      weights(slots, {&applier, &clock,
                      [this](model::BackendId id) { return engine ? engine->read(id) : std::nullopt; },
                      // Else the next start would take it for one that has just come back, whatever the
                      // service's slow-start is by then, or for up when its fall is believed.
                      [this](const Slot& slot) { remember_health(slot); }}),
      sync({driver.get(), &slots, &weights, &records, &leaving, &events, &clock,
            [this](const store::Leaving& entry) {
                store::Write write;
                write.left.push_back(entry);
                keeper.owe(std::move(write));
                if (!entry.backend) release_held_vip(entry.service);
            },
            makings.repair}),
      keeper(
          std::move(makings.database), clock,
          [this](std::function<void()> reply) { inbox.reply(std::move(reply)); },
          [this] { return everything(); }),
      vips(
          std::move(makings.vips),
          [this](const base::Ip& address, bool added) {
              store::Write write;
              if (added) {
                  vips_added.insert(address);
                  write.vips_added.push_back(address);
              } else {
                  vips_added.erase(address);
                  write.vips_removed.push_back(address);
              }
              keeper.owe(std::move(write));
          },
          [this](const base::Ip& address, const std::string& refusal) {
              const bool made = refusal.empty();
              events.add(
                  {0, clock.wall(), made ? "made" : "refused", address.text(), "", "",
                   made ? "the VIP is on this host at last" : "the VIP could not be added: " + refusal});
          },
          [this]() -> base::Result<std::set<base::Ip>> {
              const auto services = driver->services();
              if (!services) return base::fail(services.error());
              std::set<base::Ip> served;
              for (const ipvs::ServiceRecord& service : *services) served.insert(service.key.vip.ip);
              return served;
          }),
      guard(makings.guard),
      repair(makings.repair) {}

Known Parts::known() {
    return {[this](const model::Service& service, const Slot& slot) { return decide(service, slot); },
            [this](model::BackendId id) { return slots.find(id); },
            [this](const store::Leaving& entry) { return leaving.contains(entry); }, clock.now()};
}

store::Health Parts::health_of(const Slot& slot) const {
    const auto wall = [&](uint64_t at) {
        return at == 0 ? 0 : clock.wall() - static_cast<int64_t>(clock.now()) + static_cast<int64_t>(at);
    };
    // A fall that a freeze holds back is none for the next start either: it would take every weight to 0, and
    // with nobody well it could suspect nothing.
    const health::Member member = weights.seen(slot);
    store::Health health{stored(member.state), wall(member.since), wall(member.back_since), member.share};
    // Of one that was just taken over the kernel says at the next start that it had a weight.
    health.prove(!member.unproven);
    return health;
}

void Parts::remember_health(const Slot& slot) {
    if (keeper.durable()) keeper.owe_health({*slot.service, slot.backend->spec.name}, health_of(slot));
}

void Parts::left(const std::vector<store::Leaving>& entries) {
    if (entries.empty()) return;
    for (const store::Leaving& entry : entries) {
        leaving.erase(entry);
        sync.let_go(entry);
    }
    store::Write write;
    write.left = entries;
    keeper.owe(std::move(write));
}

void Parts::service_left(const model::ServiceKey& key) {
    std::vector<store::Leaving> entries;
    for (auto at = leaving.lower_bound({key, {}}); at != leaving.end() && at->service == key; ++at)
        entries.push_back(*at);
    left(entries);
}

void Parts::leave(const store::Leaving& entry) {
    leaving.erase(entry);  // it may be one that was not granted
    leaving.insert(entry);
    sync.let_go(entry);
}

void Parts::let_held_go() {
    grant(sync.held());
    sync.let_go();
}

void Parts::grant(const LeavingSet& entries) {
    store::Write write;
    for (store::Leaving entry : entries) {
        entry.granted = true;
        leaving.erase(entry);
        leaving.insert(entry);
        write.leaving.push_back(entry);
    }
    keeper.owe(std::move(write));
}

void Parts::wanted(const model::ServiceKey& key) {
    leaving.erase({key, {}});
    sync.let_go({key, {}});
    release_held_vip(key);
}

void Parts::intend_vips(const std::vector<base::Ip>& addresses) {
    vips_added.insert(addresses.begin(), addresses.end());
    vips.intend(addresses);
}

size_t Parts::look_at_vips() {
    const std::vector<base::Ip> lost = vips.lost();
    const auto put_back = repair ? vips.put_back(lost, clock.now()) : std::vector<base::Status>(lost.size());
    for (size_t i = 0; i < lost.size(); ++i) {
        const base::Ip& address = lost[i];
        const base::Status& back = put_back[i];
        const std::string what = !repair ? "drift: somebody has removed a VIP"
                                 : back  ? "drift repaired: somebody had removed a VIP"
                                         : "drift could not be repaired: somebody has removed a VIP";
        const std::string error = back ? "" : back.error().sentence;
        base::log_warning(what, {{"vip", address.text()}, {"error", error.empty() ? "none" : error}});
        std::string text = what;
        if (!error.empty()) text.append(": ").append(error);
        events.add({0, clock.wall(), "drift", address.text(), "not there", "on this host", std::move(text)});
    }
    return lost.size();
}

void Parts::hold(LeavingSet entries) {
    std::vector<std::pair<std::string, base::Ip>> wanted;
    for (const store::Leaving& entry : entries) {
        if (entry.backend) continue;
        held_vips.insert(entry.service);
        wanted.emplace_back(entry.service.text(), entry.service.vip.ip);
    }
    acquire_vips(wanted);
    sync.hold(std::move(entries));
}

size_t Parts::acquire_vips(const std::vector<std::pair<std::string, base::Ip>>& wanted) {
    std::vector<base::Ip> addresses;
    addresses.reserve(wanted.size());
    for (const auto& [service, address] : wanted) addresses.push_back(address);
    const std::vector<base::Status> added = vips.acquire_anyway(addresses, clock.now());
    size_t refused = 0;
    for (size_t i = 0; i < added.size(); ++i) {
        if (added[i]) continue;
        ++refused;
        base::log_error("the VIP could not be added",
                        {{"service", wanted[i].first}, {"error", added[i].error().sentence}});
    }
    return refused;
}

SyncCounts Parts::bring(std::span<const model::ServicePtr> services) {
    // So many in one go; and so many are read one by one, more with one look at all services of the kernel.
    constexpr size_t at_once = 256, read_one_by_one = 8;
    SyncCounts counts;
    std::optional<reconcile::Table> table;
    if (services.size() > read_one_by_one) table = sync.read(services, counts.ns);
    while (!services.empty()) {
        const size_t some = std::min(services.size(), at_once);
        counts.add(sync.services(services.first(some), Sync::Why::change, table ? &*table : nullptr));
        services = services.subspan(some);
        // The kernel takes 10 to 25 ms for each service that gets another scheduler. What comes along is not
        // stuck.
        busy_since = clock.now();
    }
    return counts;
}

void Parts::release_held_vip(const model::ServiceKey& key) {
    if (held_vips.erase(key) > 0) vips.release(key.vip.ip);
}

store::Loaded Parts::everything() {
    store::Loaded all;
    const model::SnapshotPtr now = store.snapshot();
    all.identity = identity;
    all.revision = last_revision;
    now->services.for_each([&](const std::string&, const model::ServicePtr& service) {
        store::Loaded::ServiceRow row{service->spec, service->revision, service->origin, {}};
        service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            row.backends.push_back({backend->spec, backend->revision, health_of(*slots.find(backend->id)),
                                    backend->drain_since});
        });
        all.services.push_back(std::move(row));
    });
    all.leaving.assign(leaving.begin(), leaving.end());
    all.vips.assign(vips_added.begin(), vips_added.end());
    return all;
}

bool Parts::is_missing(const ipvs::ServiceKey& key) const {
    const model::SnapshotPtr now = store.snapshot();
    const model::ServiceKey ours{static_cast<model::Protocol>(key.protocol), key.vip};
    const auto* owner = now->by_key.find(ours);
    return owner && weights.is_missing(*owner);
}

void Parts::restore_destinations(const std::string& name) {
    const model::SnapshotPtr now = store.snapshot();
    if (const auto* service = now->services.find(name)) sync.services({service, 1}, Sync::Why::change);
}

void Parts::release() {
    // What comes along is not stuck.
    const Sync::Remains remains = sync.release(*store.snapshot(), [this] { busy_since = clock.now(); });
    if (!remains.status) {
        base::log_error("not everything could be removed from the kernel",
                        {{"error", remains.status.error().sentence}});
    } else if (!remains.services.empty()) {
        base::log_warning(
            "removed from the kernel what this daemon made, but for virtual services that have somebody "
            "else's destinations, and their VIPs",
            {{"services", std::to_string(remains.services.size())},
             {"first", remains.services.begin()->text()}});
    } else {
        base::log_info("removed from the kernel what this daemon made");
    }
    std::set<base::Ip> stay;
    for (const ipvs::ServiceKey& key : remains.services) stay.insert(key.vip.ip);
    vips.release_all(stay);
}

}  // namespace gorb::control
