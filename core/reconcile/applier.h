// Brings transactions into the IPVS table, each as a whole or not at all, many at a time.
//
// An entry that is there already is in the way, is ours, or is taken over, as the transaction says. An entry
// of ours that is not there is put back: somebody removed it, or the kernel has refused it so far.
//
// Threads: one at a time (the control's turns).
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/line_limit.h"
#include "ipvs/driver.h"

namespace gorb::reconcile {

// Destination operations carry the whole ServiceRecord, so that a service that vanished can be put back.
struct Transaction {
    // What to do when something to be added is there already.
    enum class Exists : uint8_t {
        refuse,  // it is foreign
        ours,    // it becomes what is wanted
        adopt,   // the same, but a destination keeps its weight (keep_weight_up_to)
    };
    std::vector<ipvs::Op> make;  // additions and edits, in order
    std::vector<ipvs::Op>
        remove;  // tried only when all of `make` is done; what is gone already counts as removed
    Exists exists = Exists::ours;
    // A destination that is adopted may be serving, so it keeps its weight until it has been checked, but no
    // more than this.
    std::optional<uint32_t> keep_weight_up_to;
};

struct Applied {
    std::vector<ipvs::DestRecord> dests;         // every destination added or edited, as it is now
    std::optional<ipvs::ServiceRecord> service;  // the service added or edited, as it is now
    bool service_was_missing = false;  // somebody removed the service: its other destinations are missing too
};

// Why an addition can not be: its place is taken by an entry that gorb did not make. Errc::exists.
base::Error in_the_way(const ipvs::Op& addition);

class Applier {
  public:
    // `refused`: has the kernel refused to make this service of ours so far? Then nobody has removed it, nor
    // what is to be in it. Null: none has been.
    using Refused = std::function<bool(const ipvs::ServiceKey&)>;
    Applier(ipvs::Driver& driver, const base::Clock& clock, Refused refused = {})
        : driver_(&driver), clock_(&clock), refused_(std::move(refused)) {}

    // One answer for each transaction. A refused one has been undone, and its error says what the kernel
    // said. Transactions must not depend on each other.
    std::vector<base::Result<Applied>> apply(std::span<const Transaction> transactions);

    // Single operations on destinations of ours, each for itself: what is there already becomes what is
    // wanted, what somebody removed is put back (with its service, whose record is asked for only then), what
    // is gone already counts as removed. The destination in each operation is afterwards as it is now.
    struct Singles {
        std::vector<base::Status> statuses;   // one for each operation
        std::vector<size_t> without_service;  // those that put their service back, too
    };
    Singles apply_singles(std::span<ipvs::Op> ops,
                          const std::function<ipvs::ServiceRecord(size_t op)>& service_of);

    // Of what was refused since the last call: operations that would undo a part of it, and which the kernel
    // refused as well. What they are about is in the table although nobody wants it so.
    std::vector<ipvs::Op> not_undone() { return std::exchange(not_undone_, {}); }

  private:
    struct Work;
    void settle(const ipvs::Op& op, const base::Status& result, Work& work);
    base::Status take_over(const ipvs::Op& op, Work& work);
    base::Status put_back(const ipvs::Op& op, Work& work);
    void tell_put_back(const ipvs::Op& addition);
    base::Status one(const ipvs::Op& op);
    static void done(const ipvs::Op& op, Work& work);
    base::Status add_after_all(const ipvs::Op& op, Work& work);
    void undo(Work& work);

    ipvs::Driver* driver_;
    const base::Clock* clock_;
    Refused refused_;
    std::vector<ipvs::Op> not_undone_;
    base::LineLimit lines_{100};
};

}  // namespace gorb::reconcile
