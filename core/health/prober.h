// What is done to check a target: brings targets, by the slots their owner gave them, to the checkers of
// their pulse types on one loop.
//
// A checker is made when its first target is checked, a target is added to it at its first check; what fails
// there is that check's result (UNKNOWN, with the reason) and is tried again at the next.
//
// Threads: the loop's; the destructor when the loop does not run. What pulses have to do at their end belongs
// to the loop's thread too: close() does it there.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "health/checker.h"
#include "health/chunks.h"
#include "health/health.h"
#include "health/spec.h"

namespace gorb::health {

class Prober {
  public:
    using Slot = uint32_t;
    using OnResult = std::function<void(Slot, const plugin::Report&)>;
    using OnRecheck = std::function<void(Slot)>;

    static constexpr uint64_t retry =
        1'000'000'000;  // ns before a checker that could not be made is tried again

    // `on_recheck`: something happened to that target, and no check of it runs. Neither may call the prober.
    Prober(io::Loop& loop, MakeChecker make, OnResult on_result, OnRecheck on_recheck);
    ~Prober();
    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;

    // What is in a slot.
    struct Subject {
        const base::Endpoint& address;
        const Spec& spec;
        // Service and backend, asked for when the pulse has to be told of it.
        const std::function<std::pair<std::string, std::string>()>& names;
    };
    // Starts the check of what is in the slot. Its result comes through on_result, once and later; or it is
    // given back when there was nothing to start.
    std::optional<plugin::Report> start(Slot slot, const Subject& subject, uint64_t deadline);
    // The same for a target that was checked before; false: it was not, and nothing is done.
    bool start_again(Slot slot, uint64_t deadline);
    // Ends the check that runs, which has no result any more. True when it had not begun for want of a
    // worker.
    bool cancel(Slot slot);
    // The same at its deadline, with what the pulse says of it, if it does.
    Checker::Expired expire(Slot slot);
    // Ends its check and forgets the target. Nothing of it is called again.
    void remove(Slot slot);
    // Forgets all targets and destroys the checkers. From here on nothing can be checked.
    void close();
    // Hands on what somebody reports.
    base::Status push(Slot slot, const Subject& subject, const plugin::PushReport& push);

  private:
    struct Kind {
        base::Error error;  // why there is no checker
        uint64_t retry_at = 0;
        std::unique_ptr<Checker> checker;
    };
    struct Entry {
        Checker* checker = nullptr;
        Checker::Probe probe = nullptr;
    };

    base::Result<Checker*> checker_of(const std::string& type);
    base::Result<Entry*> entry_of(Slot slot, const Subject& subject);

    io::Loop& loop_;
    MakeChecker make_;
    OnResult on_result_;
    OnRecheck on_recheck_;
    std::unordered_map<std::string, std::unique_ptr<Kind>> kinds_;
    Chunks<Entry> entries_;
    bool closed_ = false;
};

}  // namespace gorb::health
