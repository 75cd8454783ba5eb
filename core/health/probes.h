// The probes of one loop: what is checked (an address by a pulse), for which backends, and what came of it.
//
// A probe is there as long as a backend subscribes to it; its slot is used again when the loop has let go of
// it (release). The loop is told by commands what has begun and what has ended.
//
// Threads: any, except where it says loop. A lock is held for one record only, and never while calling out.
//
// Cost: O(1); about 160 bytes a probe. A result that says what the one before said allocates nothing.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "health/chunks.h"
#include "health/policy.h"
#include "health/slot_table.h"
#include "health/spec.h"
#include "health/text.h"

namespace gorb::health {

class Probes {
  public:
    using Slot = uint32_t;

    struct Command {
        Slot slot = 0;
        bool begun = false;  // otherwise it has ended
    };
    // Of the last result, for those who look at all targets: none where it tells nothing of this machine.
    // What a probe takes over from another one is that one's, until it has a result of its own.
    enum class Sign : uint8_t { none, good, bad };
    // `wake`: commands have come to an empty queue. `takes_over`: a new probe begins with a sign; it is told
    // of before the loop hears of the probe, and under a lock, so it must only note it. Called by any thread.
    using TakesOver = std::function<void(const base::Endpoint&, const Spec&, Sign)>;
    Probes(uint64_t seed, std::function<void()> wake, TakesOver takes_over)
        : seed_(seed), wake_(std::move(wake)), takes_over_(std::move(takes_over)) {}

    // ---- backends come and go

    // What a new probe takes over from another one.
    struct Past;
    // The backend's probe of that address and spec, shared with all who have the same. `past`: what a new one
    // begins with.
    Slot subscribe(const base::Endpoint& address, const SpecPtr& spec, model::BackendId id, const Past* past,
                   int64_t wall);
    void unsubscribe(Slot slot, model::BackendId id);

    // ---- of a probe that the caller subscribes to

    struct Brief {
        State state = State::unknown;
        uint32_t share = 100;
        double ratio = 1;
        int64_t since_wall = 0;
        bool taken_over = false;
        bool trouble = false;  // it can not be checked
    };
    Brief brief(Slot slot) const;
    CheckView view(Slot slot, uint64_t now) const;
    // What is said of its state: CheckView::because; `last`: CheckView::reason instead.
    std::string words(Slot slot, uint64_t now, bool last) const;
    Past past(Slot slot) const;
    SpecPtr spec(Slot slot) const;
    base::Endpoint address(Slot slot) const;

    // ---- loop

    // Appends the commands that have come, in their order.
    void take_commands(std::vector<Command>& commands);

    // What the loop must know to check it.
    struct Aim {
        const base::Endpoint& address;
        const Spec& spec;
    };
    Aim aim(Slot slot) const;        // valid until release()
    uint64_t hash(Slot slot) const;  // of both
    std::optional<model::BackendId> first_subscriber(Slot slot) const;

    struct Result {
        plugin::Verdict verdict = plugin::Verdict::unknown;
        uint32_t share = 100;
        int32_t code = 0;
        uint64_t latency_ns = 0;
        std::string_view reason, warning;
        bool reported = false;  // it is what somebody has reported
    };
    struct Effect {
        uint64_t due = 0;   // when it is checked next
        bool gone = false;  // nobody subscribes any more; nothing was done
        State before{}, after{};
        bool share_changed = false;
        bool trouble_before = false,
             trouble = false;  // plugin::in_trouble(), of the result before and of this
        Sign sign_before{}, sign{};
        bool state_changed() const { return before != after; }
        bool trouble_changed() const { return trouble_before != trouble; }
        bool concerns() const { return state_changed() || share_changed || trouble_changed(); }
    };
    // Counts the result of the check that was started at `started`.
    Effect record(Slot slot, const Result& result, uint64_t tick, uint64_t started, uint64_t now,
                  int64_t wall);
    Sign sign(Slot slot) const;  // as it was told last
    void subscribers(Slot slot, std::vector<model::BackendId>& ids) const;
    // After the command that it has ended: its slot is free from here on.
    void release(Slot slot);

    size_t size() const;

  private:
    // What few probes have.
    struct Rare {
        std::optional<Damped> damped;
        std::vector<model::BackendId> more;  // subscribers but the first
        Text warning;
    };
    // Kept small: there may be a hundred thousand.
    struct Record {
        Standing standing;
        int64_t since_wall = 0, last_wall = 0;
        uint64_t latency_ns = 0;
        SpecPtr spec;
        Text reason, because;
        std::unique_ptr<Rare> rare;
        model::BackendId subscriber = 0;                  // while there are any
        uint32_t passes = 0, failures = 0, unknowns = 0;  // begin again at 0 after 2^32
        base::Endpoint address;
        int32_t code = 0;
        uint32_t changes = 0;
        uint8_t share = 100;
        plugin::Verdict verdict{};
        Sign told = Sign::none;  // by an effect, or taken over
        bool checked = false, alive = false;
        bool taken_over = false;  // the state, and no check has said why yet

        uint64_t held(uint64_t now) const;
        bool trouble() const { return checked && plugin::in_trouble(verdict, code); }
        Rare& seldom() {
            if (!rare) rare = std::make_unique<Rare>();
            return *rare;
        }
        Damped* damped() { return rare && rare->damped ? &*rare->damped : nullptr; }
        const Damped* damped() const { return rare && rare->damped ? &*rare->damped : nullptr; }
        size_t others() const { return rare ? rare->more.size() : 0; }
        Text warning() const { return rare ? rare->warning : Text(); }
    };

  public:
    struct Past {
        Standing standing;
        std::optional<Damped> damped;
        uint64_t passes = 0, failures = 0, unknowns = 0;
        int64_t since_wall = 0, last_wall = 0;
        uint64_t latency_ns = 0;
        Text reason, because, warning;
        int32_t code = 0;
        uint32_t changes = 0;
        uint8_t share = 100;
        plugin::Verdict verdict{};
        bool checked = false;
        bool taken_over = false;
        Sign told = Sign::none;
    };

  private:
    static constexpr size_t stripes = 64;

    std::mutex& lock_of(Slot slot) const { return locks_[slot % stripes]; }
    static uint64_t hash_of(const base::Endpoint& address, const Spec& spec);
    static Sign sign_of(const Result& result, Sign before);

    const uint64_t seed_;
    const std::function<void()> wake_;
    const TakesOver takes_over_;
    mutable std::array<std::mutex, stripes> locks_;  // of the records
    Chunks<Record> records_;
    Texts texts_;  // loop

    mutable std::mutex mutex_;  // of what follows; taken before a record's
    SlotTable table_;
    std::vector<Slot> free_;
    Slot used_ = 0;  // slots that ever were
    std::vector<Command> commands_;
};

}  // namespace gorb::health
