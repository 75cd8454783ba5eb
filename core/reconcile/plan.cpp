#include "reconcile/plan.h"

#include <linux/ip_vs.h>

#include <utility>

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
        const DestRecord* dest;       // the same
    };

    void add(const TableService& wanted) {
        add_services_.push_back(&wanted);
        for (const auto& dest : wanted.dests) add_dests_.push_back({&wanted, &dest.second});
    }

    void compare(const TableService& wanted, const TableService& found) {
        ++plan_.ours;
        if (!wanted.record.same_settings(found.record)) edit_services_.push_back(&wanted);
        auto at = found.dests.begin();
        for (const auto& [address, dest] : wanted.dests) {
            while (at != found.dests.end() && at->first < address) ++at;
            if (at == found.dests.end() || at->first != address) {
                add_dests_.push_back({&wanted, &dest});
                continue;
            }
            ++plan_.ours;
            if (!dest.same_settings(as_asked(at->second, dest))) edit_dests_.push_back({&wanted, &dest});
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
            remove_dests_.push_back({&service->second, &dest->second});
        }
    }

    void write_down() {
        std::vector<Op>& ops = plan_.ops;
        ops.reserve(add_services_.size() + edit_services_.size() + add_dests_.size() + edit_dests_.size() +
                    remove_dests_.size() + remove_services_.size());
        for (const TableService* service : add_services_) ops.push_back(Op::add(service->record));
        for (const TableService* service : edit_services_) ops.push_back(Op::edit(service->record));
        for (const Work& work : add_dests_) ops.push_back(Op::add(work.service->record.key, *work.dest));
        for (const Work& work : edit_dests_) ops.push_back(Op::edit(work.service->record.key, *work.dest));
        for (const Work& work : remove_dests_)
            ops.push_back(Op::remove(work.service->record.key, work.dest->address));
        for (const TableService* service : remove_services_) ops.push_back(Op::remove(service->record.key));
    }

    const Table* wanted_;
    const Table* found_;
    const std::set<Entry>* leaving_;
    Plan plan_;
    std::vector<const TableService*> add_services_, edit_services_, remove_services_;
    std::vector<Work> add_dests_, edit_dests_, remove_dests_;
};

}  // namespace

Plan plan(const Table& wanted, const Table& found, const std::set<Entry>& leaving) {
    return Planner(wanted, found, leaving).run();
}

Entry entry_of(const Op& op) {
    return {op.service.key, op.of_service() ? std::nullopt : std::optional(op.dest.address)};
}

Words words_of(const Op& op, const Table& found) {
    const auto pair = [](std::pair<std::string, std::string> words) {
        return Words{std::move(words.first), std::move(words.second)};
    };
    switch (op.kind) {
        case Op::Kind::add_service:
            return {{}, settings_text(op.service)};
        case Op::Kind::add_dest:
            return {{}, settings_text(op.dest)};
        case Op::Kind::edit_service:
            return pair(words_that_differ(found.at(op.service.key).record, op.service));
        case Op::Kind::edit_dest: {
            const DestRecord& present = found.at(op.service.key).dests.at(op.dest.address);
            return pair(words_that_differ(as_asked(present, op.dest), op.dest));
        }
        case Op::Kind::remove_service:
            return {settings_text(found.at(op.service.key).record), {}};
        case Op::Kind::remove_dest:
            return {settings_text(found.at(op.service.key).dests.at(op.dest.address)), {}};
    }
    return {};
}

std::string too_much(const Plan& plan, const Guard& guard) {
    if (plan.removals <= guard.least || plan.removals * 100 <= plan.ours * size_t{guard.share}) return {};
    return "it would remove " + std::to_string(plan.removals) + " of the " + std::to_string(plan.ours) +
           " entries of gorb in the IPVS table, and no more than " + std::to_string(guard.share) +
           " % of them may go at once unless that is forced";
}

}  // namespace gorb::reconcile
