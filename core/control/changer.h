// Takes changes of the desired state in order: resolves what waits together, has it made durable, and only
// then makes the kernel and the state in memory so, and answers.
//
// While the database writes, the control goes on with everything else: health is not held up by a
// disk. What the kernel refuses of a single change is taken back in the store before the refusal is answered;
// of a change of many objects it is shown and tried again.
//
// Threads: one at a time (the control's turns).
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/control.h"
#include "control/parts.h"

namespace gorb::control {

class Changer {
  public:
    explicit Changer(Parts& parts) : p_(&parts) {}

    void take(std::vector<Submitted>&& changes);
    // Begins with what waits, if nothing is under way.
    void go_on();
    // When go_on() is wanted though nothing comes, monotonic ns; 0: never.
    uint64_t next() const;
    bool idle() const { return waiting_.empty() && !under_way_ && undoing_ == 0; }

    // Told, in order, once the weights are settled.
    std::vector<std::pair<Done, base::Result<Outcome>>> answers() { return std::exchange(answers_, {}); }

    // What a configuration would change, and what the kernel would be told.
    base::Result<Preview> preview(const model::Config& config);

  private:
    struct Item {
        Done done;
        Resolved resolved;
        Change change;                                // of many objects
        std::optional<base::Result<Outcome>> result;  // once it is known
    };
    // Answered together, in order.
    struct Batch {
        std::vector<Item> items;
        store::Write write;
    };

    Present present(const model::Snapshot& now);
    base::Status guard(const Change& change, const Resolved& resolved);
    std::string too_much(const Resolved& resolved) const;
    size_t resolve_some(std::span<Submitted> changes, Batch& batch);
    void durable(const std::shared_ptr<Batch>& batch, const base::Status& status);
    void apply_ones(const std::shared_ptr<Batch>& batch);
    void apply_many(Item& item);
    bool only_weighs(const Step& step) const;
    Slot put_slot(const Step& step, Slot slot) const;
    static bool is_other_health(const Step& step, const Slot* old, const Slot& slot);
    void accept(Item& item, Prepared& prepared, const reconcile::Applied& applied);
    void undo(const std::shared_ptr<Batch>& batch, const std::vector<base::Ip>& vips);
    base::Status still_free(const Step& step, const Present& present);
    bool still_free(const std::shared_ptr<Batch>& batch);
    void follow_up(const Step& step, Prepared& prepared);
    void begin_check(const Prepared& prepared);
    std::optional<Change> end_of_removal(const std::string& service) const;
    void end_removal(const std::string& service);
    void end_removals_again();
    void answer(Batch& batch);
    Outcome outcome(const Resolved& resolved) const;

    Parts* p_;
    std::deque<Submitted> waiting_;
    bool under_way_ = false;
    size_t undoing_ = 0;
    // Services whose removal is at its end, and of which that was refused.
    struct Ending {
        uint64_t at = 0;  // when it is tried again; 0: it is being tried
        uint32_t refusals = 0;
    };
    std::map<std::string, Ending> endings_;
    std::vector<std::pair<Done, base::Result<Outcome>>> answers_;
};

}  // namespace gorb::control
