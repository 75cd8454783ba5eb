// Brings transactions into the IPVS table, each as a whole or not at all, many at a time.
//
// An entry that is there already is taken over: it is edited, not refused. An entry of ours that somebody
// removed is put back. The applier remembers what it made itself, so that release() removes that and nothing
// else.
//
// Threads: one (the control thread).
#pragma once
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/dense_set.h"
#include "ipvs/driver.h"

namespace gorb::reconcile {

// Destination operations carry the whole ServiceRecord, so that a service that vanished can be put back.
struct Transaction {
    std::vector<ipvs::Op> make;  // additions and edits, in order
    std::vector<ipvs::Op>
        remove;  // tried only when all of `make` is done; what is gone already counts as removed
    // Set for a new backend: a destination that is there already may be serving, so it keeps its weight until
    // it has been checked, but no more than this.
    std::optional<uint32_t> keep_weight_up_to;
};

struct Applied {
    std::vector<ipvs::DestRecord> dests;         // every destination added or edited, as it is now
    std::optional<ipvs::ServiceRecord> service;  // the service added or edited, as it is now
    bool service_was_missing = false;  // somebody removed the service: its other destinations are missing too
};

class Applier {
  public:
    explicit Applier(ipvs::Driver& driver) : driver_(&driver) {}

    // One answer for each transaction. A refused one has been undone, and its error says what the kernel
    // said. Transactions must not depend on each other.
    std::vector<base::Result<Applied>> apply(std::span<const Transaction> transactions);

    // Removes the entries that this applier added and nobody has removed; a service of ours keeps standing
    // while somebody else's destinations are in it. The first error, after all was tried.
    base::Status release();

  private:
    struct Work;
    void settle(const ipvs::Op& op, const base::Status& result, Work& work);
    base::Status take_over(const ipvs::Op& op, Work& work);
    base::Status put_back(const ipvs::Op& op, Work& work);
    base::Status one(const ipvs::Op& op);
    void undo(Work& work);
    void note(const ipvs::Op& op);

    ipvs::Driver* driver_;
    struct Itself {
        const base::Endpoint& operator()(const base::Endpoint& address) const { return address; }
    };
    using Addresses = base::DenseSet<base::Endpoint, Itself, std::hash<base::Endpoint>>;

    std::set<ipvs::ServiceKey> services_;          // added by us
    std::map<ipvs::ServiceKey, Addresses> dests_;  // added by us
};

}  // namespace gorb::reconcile
