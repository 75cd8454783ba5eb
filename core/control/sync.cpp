#include "control/sync.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "control/retry.h"
#include "model/scheduler.h"
#include "reconcile/records.h"
#include "reconcile/table.h"
#include "store/transitions.h"

namespace gorb::control {

using base::Errc;
using base::Result;
using ipvs::Op;
using reconcile::Entry;
using OpKind = ipvs::Op::Kind;

namespace {

// Somebody may change the table while it is read and written: then it is read again, so often.
constexpr int attempts = 3;

std::string text(const Entry& entry) {
    return entry.dest ? entry.dest->text() + " in " + entry.service.text() : entry.service.text();
}

// The table is another than it was when it was read.
bool surprised(const base::Error& error) {
    return error.code == Errc::exists || error.code == Errc::not_found;
}

bool is_there(const Entry& entry, const reconcile::Table& table) {
    const auto service = table.find(entry.service);
    return service != table.end() && (!entry.dest || service->second.dests.contains(*entry.dest));
}

bool removes(const Op& op) {
    return op.kind == OpKind::remove_service || op.kind == OpKind::remove_dest;
}

}  // namespace

Entry entry_of(const store::Leaving& leaving) {
    return {reconcile::kernel_key(leaving.service), leaving.backend};
}

void SyncCounts::add(const SyncCounts& more) {
    services += more.services;
    added += more.added;
    edited += more.edited;
    removed += more.removed;
    refused += more.refused;
    drift += more.drift;
    ns += more.ns;
}

// One pass: what is wanted, what was found, and what came of it.
struct Sync::Round {
    Why why{};
    std::map<ipvs::ServiceKey, const model::ServiceEntry*> of;
    reconcile::Table wanted, found;
    std::set<Entry> leaving;  // and what is ours, but not to be there at the moment
    std::map<Entry, std::string> refused;
    std::set<Entry> drift;       // counted, of whatever attempt
    std::set<Entry> left_alone;  // that which is only reported
    std::set<ipvs::ServiceKey> again;
    SyncCounts counts;
};

// What there is of a service now becomes what was found of it.
base::Status Sync::read(const ipvs::ServiceKey& key, reconcile::Table* table, Round& round) const {
    if (table) {
        round.found.erase(key);
        round.found.insert(table->extract(key));
        return {};
    }
    auto record = ports_.driver->service(key);
    if (!record) return base::fail(record.error());
    if (*record) {
        auto dests = ports_.driver->dests(key);
        if (dests) {
            round.found[key] = {std::move(**record), reconcile::dests_of(std::move(*dests))};
            return {};
        }
        if (dests.error().code != Errc::not_found) return base::fail(dests.error());
    }
    round.found.erase(key);
    return {};
}

// A quorum with hysteresis depends on what it was, and that is not stored. The backups tell it: they have a
// weight only while the primaries do not make it.
void Sync::remember_quorum(const model::ServiceEntry& service, const reconcile::Dests& found) {
    if (service.spec.pool.hysteresis == 0) return;
    bool asked = false, serves = false;
    service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        const health::Member& member = ports_.slots->find(backend->id)->member;
        const bool would_serve =
            member.backup && health::eligible(member) && member.state == health::State::up;
        if (!would_serve) return;
        const auto dest = found.find(backend->spec.address);
        asked = asked || dest != found.end() || model::absent_at_zero(service.spec);
        serves = serves || (dest != found.end() && dest->second.weight > 0);
    });
    if (asked) ports_.weights->remember(service.spec.name, !serves);
}

// What is wanted of a service: the weights as they are decided now.
void Sync::want(const model::ServiceEntry& service, Round& round) {
    const ipvs::ServiceKey key = reconcile::kernel_key(service.spec.key);
    const auto found = round.found.find(key);
    if (found != round.found.end() && round.why != Why::drift) {
        service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            as_found(*ports_.slots->find(backend->id), found->second.dests);
        });
    }
    if (found != round.found.end() && round.why == Why::start) remember_quorum(service, found->second.dests);
    if (round.why != Why::drift) ports_.weights->decide_all(service);
    reconcile::TableService& wanted = round.wanted[key];
    wanted.record = reconcile::service_record(service.spec);
    std::vector<ipvs::DestRecord> dests;
    dests.reserve(service.backends.size());
    service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        const Slot& slot = *ports_.slots->find(backend->id);
        if (slot.decision.present) {
            dests.push_back(reconcile::dest_record(backend->spec, slot.decision.effective));
        } else {
            round.leaving.insert({key, backend->spec.address});
        }
    });
    wanted.dests = reconcile::dests_of(std::move(dests));
    const auto first = ports_.leaving->lower_bound({service.spec.key, {}});
    for (auto at = first; at != ports_.leaving->end() && at->service == service.spec.key; ++at) {
        // One that is wanted again may be on its way out by a change that is being written: its claim stays.
        if (store::wants(service, *at)) continue;
        if (!holds(*at) || !is_there(entry_of(*at), round.found)) round.leaving.insert(entry_of(*at));
    }
}

bool Sync::is_drift(const Entry& of, const Round& round) const {
    const auto service = round.of.find(of.service);
    if (service == round.of.end()) return false;
    const model::ServiceEntry& entry = *service->second;
    const auto found = round.found.find(of.service);
    if (!of.dest) {
        const auto record = ports_.records->find(entry.spec.name);
        if (record == ports_.records->end()) return false;  // it was never made
        return found == round.found.end() || !found->second.record.same_settings(record->second);
    }
    const auto* backend = entry.by_address.find(*of.dest);
    if (!backend) return false;  // something that leaves
    const Slot& slot = *ports_.slots->find((*backend)->id);
    if (!slot.trouble.get().not_applied.empty()) return false;
    if (found == round.found.end()) return slot.present;
    const auto dest = found->second.dests.find(*of.dest);
    if (dest == found->second.dests.end()) return slot.present;
    return !slot.present || !dest->second.same_settings(slot.record());
}

// Says what somebody else did, and what was made of it. What stays as it is found is told of once.
void Sync::tell(const Op& op, const Round& round, const std::string& refused) {
    const Entry entry = reconcile::entry_of(op);
    const bool repaired = ports_.repair && refused.empty();
    if (!repaired && drift_.with([&](const auto& map) { return map.contains(entry); })) return;
    const std::string what = repaired        ? "drift repaired: somebody had changed what is ours"
                             : ports_.repair ? "drift could not be repaired"
                                             : "drift: somebody has changed what is ours";
    const reconcile::Words words = reconcile::words_of(op, round.found);
    const std::string found = words.before.empty() ? "not there" : words.before;
    const std::string wanted = words.after.empty() ? "not there" : words.after;
    // Somebody may have flushed a table of thousands.
    const auto write = [&] {
        std::vector<base::LogField> fields{{"entry", text(entry)}, {"found", found}, {"wanted", wanted}};
        if (!refused.empty()) fields.push_back({"error", refused});
        base::log(base::LogLevel::warning, what, fields);
    };
    lines_.tell(ports_.clock->now(), write, [] {
        base::log_warning("more drift than is written out here: GET /events and /metrics have more");
    });
    ports_.events->add({0, ports_.clock->wall(), "drift", text(entry), found, wanted,
                        refused.empty() ? what : what + ": " + refused});
    drift_.with([&](auto& map) {
        if (repaired) {
            map.erase(entry);
        } else {
            map.emplace(entry, Drift{entry, wanted, found, ports_.clock->wall()});
        }
    });
}

// Which of the operations set right what somebody else changed; those that are only to be reported are taken
// out of the plan.
std::vector<bool> Sync::drifted(reconcile::Plan& plan, Round& round) {
    std::vector<bool> drifted;
    std::erase_if(plan.ops, [&](const Op& op) {
        const Entry entry = reconcile::entry_of(op);
        const bool drift = is_drift(entry, round);
        if (drift && round.drift.insert(entry).second) ++round.counts.drift;
        if (!drift || ports_.repair) {
            drifted.push_back(drift);
            return false;
        }
        round.left_alone.insert(entry);
        tell(op, round, "");
        return true;
    });
    return drifted;
}

void Sync::carry_out(Round& round) {
    reconcile::Plan plan = reconcile::plan(round.wanted, round.found, round.leaving);
    std::vector<bool> drifted(plan.ops.size());
    if (round.why == Why::drift) drifted = this->drifted(plan, round);
    const auto results = plan.ops.empty() ? std::vector<base::Status>{} : ports_.driver->apply(plan.ops);
    for (size_t i = 0; i < results.size(); ++i) {
        const Op& op = plan.ops[i];
        const base::Status& result = results[i];
        const bool went = removes(op) && (result || result.error().code == Errc::not_found);
        if (went) plan.gone.push_back(reconcile::entry_of(op));
        if (result || went) {
            const bool adds = op.kind == OpKind::add_service || op.kind == OpKind::add_dest;
            ++(went ? round.counts.removed : adds ? round.counts.added : round.counts.edited);
            if (!round.refused.empty()) round.refused.erase(reconcile::entry_of(op));
        } else {
            round.refused[reconcile::entry_of(op)] = result.error().sentence;
            if (surprised(result.error())) round.again.insert(op.service.key);
        }
        if (drifted[i]) tell(op, round, result || went ? "" : result.error().sentence);
    }
    // What is not seen any more need not be reported.
    if (round.why == Why::drift) {
        drift_.with([&](auto& map) {
            for (const auto& [key, service] : round.of) {
                auto at = map.lower_bound(Entry{key, {}});
                while (at != map.end() && at->first.service == key)
                    at = round.left_alone.contains(at->first) || round.refused.contains(at->first)
                             ? std::next(at)
                             : map.erase(at);
            }
        });
    }
    confirm(plan.gone);
}

void Sync::confirm(std::span<const Entry> gone) {
    for (const Entry& entry : gone) {
        const store::Leaving leaving{
            {static_cast<model::Protocol>(entry.service.protocol), entry.service.vip}, entry.dest};
        if (entry.dest) {
            let_go(leaving);
            if (ports_.leaving->erase(leaving) > 0) ports_.left(leaving);
            continue;
        }
        // With a service go its destinations.
        auto at = ports_.leaving->lower_bound({leaving.service, {}});
        while (at != ports_.leaving->end() && at->service == leaving.service) {
            let_go(*at);
            ports_.left(*at);
            at = ports_.leaving->erase(at);
        }
    }
}

// What came of it, for the slots: they are what the kernel has now.
void Sync::settle(Round& round) {
    std::vector<Slot*> settled;
    for (const auto& [key, service] : round.of) {
        const auto found = round.found.find(key);
        const bool had = found != round.found.end();
        const auto no = round.refused.empty() ? round.refused.end() : round.refused.find({key, std::nullopt});
        if (no == round.refused.end()) {
            (*ports_.records)[service->spec.name] = reconcile::service_record(service->spec);
            ports_.weights->missing(*service, "");
            made_at_last(service->spec.name);
        } else {
            // What was to be changed goes on serving as it was.
            ports_.weights->missing(*service, had ? "" : no->second);
            refuse(service->spec.name, no->second);
            ++round.counts.refused;
        }
        const reconcile::Dests* was = had ? &found->second.dests : nullptr;
        settled.clear();
        settled.reserve(service->backends.size());
        service->backends.for_each(
            [&, of = &key, in = service](const std::string&, const model::BackendPtr& backend) {
                if (Slot* slot = settle(round, *of, *in, was, *backend)) settled.push_back(slot);
            });
        ports_.slots->publish(settled);
    }
}

// The slot that was settled, which is to be published; null for one that is left alone.
Slot* Sync::settle(Round& round, const ipvs::ServiceKey& key, const model::ServiceEntry& service,
                   const reconcile::Dests* had, const model::BackendEntry& backend) {
    const base::Endpoint& address = backend.spec.address;
    if (!round.left_alone.empty() && round.left_alone.contains({key, address})) return nullptr;
    Slot& slot = *ports_.slots->find(backend.id);
    const ipvs::DestRecord* was = nullptr;
    if (had) {
        const auto dest = had->find(address);
        if (dest != had->end()) was = &dest->second;
    }
    const auto refused = round.refused.empty() ? round.refused.end() : round.refused.find({key, address});
    if (refused == round.refused.end()) {
        slot.present = slot.decision.present;
        slot.weight = slot.present ? slot.decision.effective : 0;
        slot.trouble.clear();
    } else {
        ++round.counts.refused;
        slot.present = was != nullptr;
        slot.weight = was ? was->weight : 0;
        Trouble& trouble = slot.trouble.change();
        trouble.not_applied = refused->second;
        trouble.retry_at = ports_.clock->now() + retry_after(trouble.attempts);
        if (trouble.attempts++ == 0) {
            not_made("destination could not be made, trying again", {{"service", service.spec.name},
                                                                     {"backend", backend.spec.name},
                                                                     {"error", trouble.not_applied}});
        }
    }
    return &slot;
}

std::optional<reconcile::Table> Sync::read(std::span<const model::ServicePtr> services, uint64_t& ns) const {
    const uint64_t begin = ports_.clock->now();
    auto all = ports_.driver->services();
    if (!all) return std::nullopt;
    std::set<ipvs::ServiceKey> asked;
    for (const model::ServicePtr& service : services) asked.insert(reconcile::kernel_key(service->spec.key));
    std::erase_if(*all, [&](const ipvs::ServiceRecord& record) { return !asked.contains(record.key); });
    auto table = reconcile::read_table(*ports_.driver, std::move(*all));
    ns += ports_.clock->now() - begin;
    if (!table) return std::nullopt;
    return std::move(*table);
}

SyncCounts Sync::services(std::span<const model::ServicePtr> services, Why why, reconcile::Table* table) {
    const uint64_t begin = ports_.clock->now();
    Round round;
    round.why = why;
    round.counts.services = services.size();
    std::vector<const model::ServiceEntry*> open;
    for (const model::ServicePtr& service : services) open.push_back(service.get());
    for (int attempt = 0; attempt < attempts && !open.empty(); ++attempt) {
        round.wanted.clear();
        round.leaving.clear();
        round.again.clear();
        for (const model::ServiceEntry* service : open) {
            const ipvs::ServiceKey key = reconcile::kernel_key(service->spec.key);
            if (const auto found = read(key, attempt == 0 ? table : nullptr, round); !found) {
                // What would only be told of is left to the next round.
                if (why != Why::drift || ports_.repair) refuse(service->spec.name, found.error().sentence);
                if (why != Why::drift) unknown(*service, found.error().sentence);
                ++round.counts.refused;
                continue;
            }
            round.of[key] = service;
            std::erase_if(round.refused, [&](const auto& r) { return r.first.service == key; });
            want(*service, round);
        }
        carry_out(round);
        open.clear();
        for (const ipvs::ServiceKey& key : round.again) {
            const auto service = round.of.find(key);
            if (service != round.of.end()) open.push_back(service->second);
        }
    }
    settle(round);
    round.counts.ns = ports_.clock->now() - begin;
    return round.counts;
}

SyncCounts Sync::leave(const model::Snapshot& now, Why why) {
    // Of a service that is gone no difference is left.
    drift_.with([&](auto& map) {
        std::erase_if(map, [&](const auto& drift) {
            const ipvs::ServiceKey& key = drift.first.service;
            return !now.by_key.find(model::ServiceKey{static_cast<model::Protocol>(key.protocol), key.vip});
        });
    });
    Round round;
    round.why = Why::change;
    for (const store::Leaving& leaving : *ports_.leaving) {
        if (store::wants(now, leaving)) continue;
        const Entry entry = entry_of(leaving);
        // Whether what is held has gone by itself is asked for in rounds only: it may be thousands.
        const bool held = holds(leaving);
        if (held && why != Why::drift) continue;
        if (!round.found.contains(entry.service)) {
            if (const auto found = read(entry.service, nullptr, round); !found) {
                if (!held) round.refused[entry] = found.error().sentence;
                continue;
            }
        }
        if (!held || !is_there(entry, round.found)) round.leaving.insert(entry);
    }
    if (!round.leaving.empty()) carry_out(round);
    round.counts.refused = round.refused.size();
    if (round.refused.empty()) {
        leave_at_ = 0;
        leave_attempts_ = 0;
    } else {
        const auto& [entry, words] = *round.refused.begin();
        leave_at_ = ports_.clock->now() + retry_after(leave_attempts_);
        if (leave_attempts_++ == 0) {
            base::log_error("could not be removed from the kernel, trying again",
                            {{"entry", text(entry)}, {"error", words}});
        }
    }
    return round.counts;
}

Sync::Remains Sync::release(const model::Snapshot& now, const std::function<void()>& moves) {
    constexpr size_t at_once = 512;  // one send of the driver
    Remains remains;
    std::vector<Op> ops;
    const auto failed = [&](const ipvs::ServiceKey& key, const base::Error& error) {
        if (error.code == Errc::not_found) return;
        remains.services.insert(key);
        if (remains.status) remains.status = base::fail(error);
    };
    const auto apply = [&] {
        if (ops.empty()) return;
        const std::vector<base::Status> done = ports_.driver->apply(ops);
        for (size_t i = 0; i < done.size(); ++i) {
            if (!done[i]) failed(ops[i].service.key, done[i].error());
        }
        ops.clear();
        moves();
    };
    const auto remove = [&](Op op) {
        ops.push_back(std::move(op));
        if (ops.size() == at_once) apply();
    };
    std::set<ipvs::ServiceKey> keys;
    now.services.for_each([&](const std::string&, const model::ServicePtr& service) {
        const ipvs::ServiceKey key = reconcile::kernel_key(service->spec.key);
        keys.insert(key);
        // Those that are out as well: somebody may have put them back since the last look.
        service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            remove(Op::remove(key, backend->spec.address));
        });
    });
    for (const store::Leaving& leaving : *ports_.leaving) {
        const Entry entry = entry_of(leaving);
        if (entry.dest) {
            remove(Op::remove(entry.service, *entry.dest));
        } else {
            keys.insert(entry.service);
        }
    }
    apply();
    for (const ipvs::ServiceKey& key : keys) {
        const auto left = ports_.driver->dests(key);
        moves();
        if (!left) {
            failed(key, left.error());
        } else if (left->empty()) {
            remove(Op::remove(key));
        } else {
            remains.services.insert(key);
        }
    }
    apply();
    return remains;
}

std::vector<Drift> Sync::drift() const {
    return drift_.with([](const auto& map) {
        std::vector<Drift> out;
        out.reserve(map.size());
        for (const auto& [entry, drift] : map) out.push_back(drift);
        return out;
    });
}

}  // namespace gorb::control
