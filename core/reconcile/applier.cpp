#include "reconcile/applier.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/log.h"

namespace gorb::reconcile {

using base::Errc;
using ipvs::Op;
using Kind = ipvs::Op::Kind;
using Exists = Transaction::Exists;

base::Error in_the_way(const Op& op) {
    const bool service = op.kind == Kind::add_service;
    std::string what = service ? "a virtual service " + op.service.key.text()
                               : "a destination " + op.dest.address.text() + " in " + op.service.key.text();
    return {Errc::exists,
            "the kernel has " + what +
                " that gorb did not make: PUT with ?adopt=true takes it over, GET "
                "/kernel shows it",
            {},
            EEXIST};
}

struct Applier::Work {
    const Transaction* transaction = nullptr;
    Applied applied;
    std::vector<Op> undo;  // in the order done
    std::optional<base::Error> error;
};

base::Status Applier::one(const Op& op) {
    return driver_->apply({&op, 1}).front();
}

// What was done as it was asked for: what it is now, and how it is undone.
void Applier::done(const Op& op, Work& work) {
    if (op.kind == Kind::add_service) work.undo.push_back(Op::remove(op.service.key));
    if (op.kind == Kind::add_dest) work.undo.push_back(Op::remove(op.service.key, op.dest.address));
    if (op.kind == Kind::add_dest || op.kind == Kind::edit_dest) work.applied.dests.push_back(op.dest);
    if (op.kind == Kind::add_service || op.kind == Kind::edit_service) work.applied.service = op.service;
}

// What was there a moment ago is gone again.
base::Status Applier::add_after_all(const Op& op, Work& work) {
    base::Status added = one(op);
    if (added) done(op, work);
    return added;
}

// The entry to be added is there: it becomes what the addition says, and can become again what it was.
base::Status Applier::take_over(const Op& op, Work& work) {
    const Exists exists = work.transaction->exists;
    if (exists == Exists::refuse) return base::fail(in_the_way(op));
    const bool adopts = exists == Exists::adopt;
    if (op.kind == Kind::add_service) {
        auto found = driver_->service(op.service.key);
        if (!found) return base::fail(found.error());
        if (!*found) return add_after_all(op, work);
        if (auto edited = one(Op::edit(op.service)); !edited) return edited;
        if (adopts) {
            base::log_info("adopted a virtual service that was in the kernel already",
                           {{"vip", op.service.key.text()}});
        }
        work.undo.push_back(Op::edit(**found));
        work.applied.service = op.service;
        return {};
    }
    auto dests = driver_->dests(op.service.key);
    if (!dests) return base::fail(dests.error());
    auto found = std::ranges::find(*dests, op.dest.address, &ipvs::DestRecord::address);
    if (found == dests->end()) return add_after_all(op, work);
    Op edit = op;
    edit.kind = Kind::edit_dest;
    const auto& limit = work.transaction->keep_weight_up_to;
    if (adopts && limit) edit.dest.weight = std::min(found->weight, *limit);
    if (auto edited = one(edit); !edited) return edited;
    if (adopts) {
        base::log_info("adopted a destination that was in the kernel already",
                       {{"vip", op.service.key.text()}, {"destination", op.dest.address.text()}});
    }
    work.undo.push_back(Op::edit(op.service.key, *found));
    work.applied.dests.push_back(edit.dest);
    return {};
}

// Somebody may have flushed a table of thousands.
void Applier::tell_put_back(const Op& addition) {
    if (refused_ && refused_(addition.service.key)) return;
    const auto write = [&] {
        base::log_warning("put back what somebody had removed from the kernel",
                          {{"operation", addition.text()}});
    };
    lines_.tell(clock_->now(), write, [] {
        base::log_warning("more was put back that somebody had removed than is written out here");
    });
}

// The entry to be edited, or the service to be added to, is not there: it is put back.
base::Status Applier::put_back(const Op& op, Work& work) {
    Op add = op;
    add.kind = op.kind == Kind::edit_service ? Kind::add_service : Kind::add_dest;
    base::Status result = one(add);
    if (!result && result.error().code == Errc::not_found && add.kind == Kind::add_dest) {
        Op service = Op::add(op.service);
        if (auto made = one(service); made) {
            work.undo.push_back(Op::remove(op.service.key));
        } else if (made.error().code != Errc::exists) {
            return made;
        }
        work.applied.service_was_missing = true;
        result = one(add);
    } else if (result && add.kind == Kind::add_service) {
        work.applied.service_was_missing = true;
    }
    if (result) {
        tell_put_back(add);
        if (add.kind == Kind::add_dest) work.applied.dests.push_back(op.dest);
        if (op.kind == Kind::add_dest) work.undo.push_back(Op::remove(op.service.key, op.dest.address));
        if (add.kind == Kind::add_service) work.applied.service = op.service;
    }
    return result;
}

// What one operation's answer means for its transaction.
void Applier::settle(const Op& op, const base::Status& result, Work& work) {
    const bool adds = op.kind == Kind::add_service || op.kind == Kind::add_dest;
    if (result) {
        done(op, work);
        return;
    }
    if (work.error) return;  // the first one counts
    base::Status settled = result;
    if (result.error().code == Errc::exists && adds) {
        settled = take_over(op, work);
    } else if (result.error().code == Errc::not_found && op.kind != Kind::add_service) {
        settled = put_back(op, work);
    }
    if (!settled) work.error = settled.error();
}

void Applier::undo(Work& work) {
    const std::vector<Op> all = std::exchange(work.undo, {});
    for (auto op = all.rbegin(); op != all.rend(); ++op) {
        if (auto undone = one(*op); !undone && undone.error().code != Errc::not_found) {
            base::log_error("could not undo a refused change", {{"error", undone.error().sentence}});
            not_undone_.push_back(*op);
        }
    }
}

std::vector<base::Result<Applied>> Applier::apply(std::span<const Transaction> transactions) {
    std::vector<Work> works(transactions.size());
    std::vector<Op> ops;
    for (size_t i = 0; i < transactions.size(); ++i) {
        works[i].transaction = &transactions[i];
        ops.insert(ops.end(), transactions[i].make.begin(), transactions[i].make.end());
    }
    std::vector<base::Status> results = ops.empty() ? std::vector<base::Status>{} : driver_->apply(ops);

    size_t next = 0;
    for (size_t i = 0; i < transactions.size(); ++i) {
        for (size_t k = 0; k < transactions[i].make.size(); ++k, ++next)
            settle(ops[next], results[next], works[i]);
        // Before the next one is looked at: it may need a service that this one has put back.
        if (works[i].error) undo(works[i]);
    }

    ops.clear();
    for (size_t i = 0; i < transactions.size(); ++i) {
        if (works[i].error) continue;
        ops.insert(ops.end(), transactions[i].remove.begin(), transactions[i].remove.end());
    }
    results = ops.empty() ? std::vector<base::Status>{} : driver_->apply(ops);
    next = 0;
    for (size_t i = 0; i < transactions.size(); ++i) {
        if (works[i].error) continue;
        for (size_t k = 0; k < transactions[i].remove.size(); ++k, ++next) {
            const base::Status& result = results[next];
            const bool gone = result || result.error().code == Errc::not_found;
            if (!gone && !works[i].error) works[i].error = result.error();
        }
    }

    std::vector<base::Result<Applied>> answers;
    answers.reserve(works.size());
    for (Work& work : works) {
        if (work.error) {
            undo(work);
            answers.emplace_back(base::fail(*work.error));
        } else {
            answers.emplace_back(std::move(work.applied));
        }
    }
    return answers;
}

Applier::Singles Applier::apply_singles(std::span<Op> ops,
                                        const std::function<ipvs::ServiceRecord(size_t)>& service_of) {
    Singles out;
    if (!ops.empty()) out.statuses = driver_->apply(ops);
    for (size_t i = 0; i < out.statuses.size(); ++i) {
        base::Status& status = out.statuses[i];
        if (status) continue;
        if (ops[i].kind == Kind::remove_dest) {
            if (status.error().code == Errc::not_found) status = {};
            continue;
        }
        ops[i].service = service_of(i);
        const Transaction transaction{{ops[i]}, {}, Exists::ours, {}};
        Work work;
        work.transaction = &transaction;
        settle(ops[i], status, work);
        if (work.error) {
            undo(work);
            status = base::fail(*work.error);
            continue;
        }
        status = {};
        ops[i].dest = work.applied.dests.back();
        if (work.applied.service_was_missing) out.without_service.push_back(i);
    }
    return out;
}

}  // namespace gorb::reconcile
