#include "reconcile/plan.h"

#include <linux/ip_vs.h>

#include "reconcile/records.h"
#include "reconcile/words.h"

namespace gorb::reconcile {
namespace {

using ipvs::DestRecord;
using ipvs::Op;
using ipvs::ServiceKey;
using ipvs::ServiceRecord;

// What was found, with a forwarding method that the kernel chose itself read as the one asked for: what it
// forwards to this host is local to it, whether masq, tunnel or dr was said.
DestRecord as_asked(DestRecord found, const DestRecord& wanted) {
    const bool forwards = wanted.forwarding == IP_VS_CONN_F_MASQ ||
                          wanted.forwarding == IP_VS_CONN_F_TUNNEL ||
                          wanted.forwarding == IP_VS_CONN_F_DROUTE;
    if (found.forwarding == IP_VS_CONN_F_LOCALNODE && forwards) found.forwarding = wanted.forwarding;
    return found;
}

class Planner {
  public:
    Planner(const Table& wanted, const Table& found, const std::set<Entry>& leaving)
        : wanted_(&wanted), found_(&found), leaving_(&leaving) {}

    Plan run() {
        auto at = found_->begin();
        for (const auto& [key, service] : *wanted_) {
            while (at != found_->end() && at->first < key) ++at;
            if (at != found_->end() && at->first == key) {
                compare(service, at->second);
            } else {
                add(service);
            }
        }
        leave();
        write_down();
        return std::move(plan_);
    }

  private:
    // A destination's operation, to be written down when those before it are.
    struct Work {
        const TableService* service;  // as wanted, or as found where it is only removed from
        const DestRecord* wanted;
        const DestRecord* found;
    };

    void add(const TableService& wanted) {
        add_services_.push_back(&wanted);
        for (const auto& dest : wanted.dests) add_dests_.push_back({&wanted, &dest.second, nullptr});
    }

    void compare(const TableService& wanted, const TableService& found) {
        ++plan_.ours;
        if (!keeping(wanted.record, found.record).same_settings(found.record))
            edit_services_.emplace_back(&wanted, &found);
        auto at = found.dests.begin();
        for (const auto& [address, dest] : wanted.dests) {
            while (at != found.dests.end() && at->first < address) ++at;
            if (at == found.dests.end() || at->first != address) {
                add_dests_.push_back({&wanted, &dest, nullptr});
                continue;
            }
            ++plan_.ours;
            const DestRecord present = as_asked(at->second, dest);
            if (!keeping(dest, present).same_settings(present))
                edit_dests_.push_back({&wanted, &dest, &at->second});
        }
    }

    void leave() {
        const ServiceKey* going = nullptr;  // a service that goes: what is in it goes with it
        for (const Entry& entry : *leaving_) {
            const auto service = found_->find(entry.service);
            if (service == found_->end()) {
                plan_.gone.push_back(entry);
                continue;
            }
            const auto wanted = wanted_->find(entry.service);
            if (!entry.dest) {
                if (wanted != wanted_->end()) continue;
                going = &service->first;
                plan_.ours += 1 + service->second.dests.size();
                plan_.removals += 1 + service->second.dests.size();
                remove_services_.push_back(&service->second);
                continue;
            }
            const auto dest = service->second.dests.find(*entry.dest);
            if (dest == service->second.dests.end()) {
                plan_.gone.push_back(entry);
                continue;
            }
            if (going && *going == entry.service) continue;
            if (wanted != wanted_->end() && wanted->second.dests.contains(*entry.dest)) continue;
            ++plan_.ours;
            ++plan_.removals;
            remove_dests_.push_back({&service->second, nullptr, &dest->second});
        }
    }

    void write_down() {
        plan_.steps.reserve(add_services_.size() + edit_services_.size() + add_dests_.size() +
                            edit_dests_.size() + remove_dests_.size() + remove_services_.size());
        for (const TableService* service : add_services_) {
            plan_.steps.push_back({Op::add(service->record),
                                   {service->record.key, std::nullopt},
                                   {},
                                   settings_text(service->record)});
        }
        for (const auto& [wanted, found] : edit_services_) {
            ServiceRecord record = keeping(wanted->record, found->record);
            auto [before, after] = words_that_differ(found->record, record);
            plan_.steps.push_back({Op::edit(std::move(record)),
                                   {wanted->record.key, std::nullopt},
                                   std::move(before),
                                   std::move(after)});
        }
        for (const Work& work : add_dests_) {
            plan_.steps.push_back({Op{Op::Kind::add_dest, work.service->record, *work.wanted},
                                   {work.service->record.key, work.wanted->address},
                                   {},
                                   settings_text(*work.wanted)});
        }
        for (const Work& work : edit_dests_) {
            const DestRecord present = as_asked(*work.found, *work.wanted);
            const DestRecord record = keeping(*work.wanted, present);
            auto [before, after] = words_that_differ(present, record);
            plan_.steps.push_back({Op{Op::Kind::edit_dest, work.service->record, record},
                                   {work.service->record.key, record.address},
                                   std::move(before),
                                   std::move(after)});
        }
        for (const Work& work : remove_dests_) {
            const ServiceKey& key = work.service->record.key;
            plan_.steps.push_back({Op::remove(key, work.found->address),
                                   {key, work.found->address},
                                   settings_text(*work.found),
                                   {}});
        }
        for (const TableService* service : remove_services_) {
            const ServiceKey& key = service->record.key;
            plan_.steps.push_back({Op::remove(key), {key, std::nullopt}, settings_text(service->record), {}});
        }
    }

    const Table* wanted_;
    const Table* found_;
    const std::set<Entry>* leaving_;
    Plan plan_;
    std::vector<const TableService*> add_services_, remove_services_;
    std::vector<std::pair<const TableService*, const TableService*>> edit_services_;  // wanted, found
    std::vector<Work> add_dests_, edit_dests_, remove_dests_;
};

}  // namespace

Plan plan(const Table& wanted, const Table& found, const std::set<Entry>& leaving) {
    return Planner(wanted, found, leaving).run();
}

std::string too_much(const Plan& plan, const Guard& guard) {
    if (plan.removals <= guard.least || plan.removals * 100 <= plan.ours * size_t{guard.share}) return {};
    return "it would remove " + std::to_string(plan.removals) + " of the " + std::to_string(plan.ours) +
           " entries of gorb in the IPVS table, and no more than " + std::to_string(guard.share) +
           " % of them may go at once unless that is forced";
}

}  // namespace gorb::reconcile
