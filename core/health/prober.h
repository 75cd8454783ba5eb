// What is done to check a target: brings targets, by the slots their owner gave them, to the checkers of
// their pulse types on one loop.
//
// A checker is made when its first target is checked, a target is added to it at its first check; what fails
// there is that check's result (UNKNOWN, with the reason) and is tried again at the next.
//
// Threads: the loop's; the destructor when the loop does not run.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "health/checker.h"
#include "health/health.h"

namespace gorb::health {

class Prober {
  public:
    using Slot = uint32_t;
    using OnResult = std::function<void(Slot, const plugin::Report&)>;

    static constexpr uint64_t retry =
        1'000'000'000;  // ns before a checker that could not be made is tried again

    Prober(io::Loop& loop, MakeChecker make, OnResult on_result);
    ~Prober();
    Prober(const Prober&) = delete;
    Prober& operator=(const Prober&) = delete;

    // Starts the check of what is in the slot. Its result comes through on_result, once and later; or it is
    // given back when there was nothing to start.
    std::optional<plugin::Report> start(Slot slot, const Target& target, uint64_t deadline);
    // Ends the check that runs, if one does: it has no result any more.
    void cancel(Slot slot);
    // Ends its check and forgets the target. Nothing of it is called again.
    void remove(Slot slot);

  private:
    struct Kind {
        base::Error error;  // why there is no checker
        uint64_t retry_at = 0;
        std::unordered_map<Checker::Run, Slot> runs;
        std::unique_ptr<Checker> checker;
    };
    struct Entry {
        Kind* kind = nullptr;
        Checker::Probe probe = nullptr;
        Checker::Run run = 0;
        bool running = false;
    };

    base::Result<Kind*> kind_of(const std::string& type);
    void report(Kind& kind, Checker::Run run, const plugin::Report& report);

    io::Loop& loop_;
    MakeChecker make_;
    OnResult on_result_;
    std::unordered_map<std::string, std::unique_ptr<Kind>> kinds_;
    std::vector<Entry> entries_;
};

}  // namespace gorb::health
