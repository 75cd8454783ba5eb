// Finds out whether this machine itself is ill: a pure book of who was well and is not any more.
//
// Unrelated targets are told apart by their address. A host is well while more of its probes pass than have
// newly failed (or could not be checked), and newly ill when it was well and is not any more, for one
// interval. When `threshold` per cent of the hosts that are well or newly ill are newly ill, and at least
// `least` of them, nothing that they have in common is more likely than this machine: its link, its route,
// its descriptors. As checks are spread over the interval, that is seen after `threshold` per cent of an
// interval, before a second regular check of the first that failed.
//
// An interval is the shortest time in which `threshold` per cent of the hosts are checked: an outage of all
// is seen within it, and no longer does anybody count as newly ill, since some checks may be a day apart. Of
// a host it is the longest time between two checks, since jitter may make the last failure of an outage so
// late, of its probe that is checked most often.
//
// Over it is when less than half the threshold has been ill for one interval and some host is well, or none
// is left, or when it has lasted for `thaw_after` intervals: what nobody has repaired for so long may as well
// be true, and a frozen weight sends clients to the dead. These are intervals of nearly all hosts, since the
// seldom ones would go down one after the other once the others are believed, too few for another wave; but
// what is checked less often than once a minute makes them no longer.
//
// Threads: one. Cost: O(1) a call (amortised; of a probe that begins or ends O(log n) for n different
// intervals), only for results that differ from the one before; about 55 bytes a host.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "health/engine.h"
#include "health/health.h"
#include "health/probes.h"
#include "health/quantile.h"
#include "health/slot_table.h"

namespace gorb::health {

class Detector {
  public:
    using Sign = Probes::Sign;

    explicit Detector(SelfSuspicion settings)
        : settings_(settings),
          gaps_(settings.threshold),
          most_gaps_(std::max(settings.threshold, nearly_all)) {}

    // A probe begins with the sign of the one that it takes over from, which ends after this, or with what is
    // known from before: so what is asked in another way, of many at once, is neither an end nor a beginning.
    void began(uint64_t host, Sign sign, uint64_t gap, uint64_t now);
    // A probe's result is of another sign than the one before; Sign::none as `after`: the probe is gone, or
    // its result tells nothing. `host`: a hash of its address; `gap`: the longest from one regular check to
    // the next, always the same for a probe. True: now() is another.
    bool turned(uint64_t host, Sign before, Sign after, uint64_t gap, uint64_t now);
    // Time has passed. True: now() is another. To be called some times in an interval while it is frozen.
    bool tick(uint64_t now);
    const Suspicion& now() const { return suspicion_; }

  private:
    enum class Status : uint8_t { other, well, ill };  // ill: newly
    struct Host {
        uint64_t hash = 0;
        uint32_t gap = 0;            // the shortest of its probes', in ticks
        uint32_t of_gap = 0;         // how many have that one
        uint32_t probes = 0;         // that had a result
        uint32_t good = 0, bad = 0;  // of them: pass; newly do not
        uint32_t bad_from = 0;       // when the first of `bad` turned, in ticks
        uint32_t ill_from = 0;
        Status status = Status::other;
    };
    struct Ill {
        uint32_t host = 0, from = 0;
        uint64_t at = 0;
    };
    static constexpr uint64_t tick_ns = 10'000'000;
    static constexpr size_t least_sweep = 1024;
    static constexpr uint32_t nearly_all = 95;  // per cent of the hosts
    static constexpr uint64_t seldom_ns = 60'000'000'000;

    static uint32_t in_ticks(uint64_t gap);
    uint32_t host_of(uint64_t hash);
    // A probe of the host counts from now on, or no longer.
    void enter(uint32_t index, uint64_t gap);
    void leave(uint32_t index, uint64_t gap);
    void judge(uint32_t index, uint64_t now);
    void set(uint32_t index, Status status, uint64_t now);
    bool still(const Ill& ill) const;
    void drop_outdated();
    void forget_the_old(uint64_t now);
    uint64_t interval() const;
    uint64_t interval_of_most() const;
    void count_gap(uint32_t gap);
    void discount_gap(uint32_t gap);
    bool freeze(uint64_t now);
    bool thaw(uint64_t now, std::string why);

    const SelfSuspicion settings_;
    Suspicion suspicion_;
    SlotTable table_;
    std::deque<Host> hosts_;
    std::vector<uint32_t> free_;
    std::deque<Ill> ill_;  // in the order they turned; some may be something else since
    size_t sweep_at_ = least_sweep;
    size_t well_count_ = 0, ill_count_ = 0;
    uint64_t probes_ = 0;
    Quantile gaps_, most_gaps_;  // of the hosts
    // Of hosts that have probes with longer gaps as well: how many of each, by host and gap.
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> longer_;
    uint64_t frozen_at_ = 0;  // interval() when it froze
    uint64_t calm_from_ = 0;
};

}  // namespace gorb::health
