// The current health of every backend, and what is remembered of its past.
//
// Threads: any, at once. A lock is held for one record only, and never while calling out.
//
// Cost: O(1); about 200 bytes a backend, reasons that many backends share are stored once a shard.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "health/health.h"
#include "health/policy.h"

namespace gorb::health {

using TargetPtr = std::shared_ptr<const Target>;

class Board {
  public:
    enum class Put : uint8_t {
        added,      // it was not here
        same,       // nothing about it is different
        kept,       // it is checked in another way; state and history stay
        restarted,  // something else is checked: it begins anew, from state unknown
    };
    struct Placed {
        Put put = Put::added;
        bool lost_state = false;  // it was up or down and is unknown now
    };
    // `now` and `wall` are the two clocks of this instant.
    Placed put(TargetPtr target, uint64_t now, int64_t wall);
    // Whether it was here.
    bool forget(model::BackendId id);

    // What one result did.
    struct Effect {
        State before{}, after{};
        uint32_t share_before = 100, share = 100;
        std::string because;         // set when the state changed
        bool trouble_began = false;  // this result is UNKNOWN and the one before was not
        bool state_changed() const { return before != after; }
        bool share_changed() const { return share_before != share; }
    };
    // Counts a result. nullopt, and nothing is done, when `target` is not what was last put under its id: it
    // was removed or replaced while the check ran.
    std::optional<Effect> record(const TargetPtr& target, const plugin::Report& report, uint64_t now,
                                 int64_t wall);

    std::optional<View> read(model::BackendId id, uint64_t now) const;
    bool has(model::BackendId id) const;
    size_t size() const;

  private:
    using Text = std::shared_ptr<const std::string>;

    struct Record {
        TargetPtr target;
        Text reason, because;
        std::array<uint64_t, 2> window{};  // one bit a counted result, 1 = pass, the newest lowest
        int64_t since_wall = 0, last_wall = 0;
        uint64_t since = 0, latency_ns = 0;
        uint64_t passes = 0, failures = 0, unknowns = 0, changes = 0;
        Streak streak;
        int32_t code = 0;
        uint32_t share = 100;
        uint8_t counted = 0;  // bits of the window in use, at most 100
        plugin::Verdict verdict{};
        bool checked = false;

        void push(bool pass);
        double ratio() const;
    };
    struct Shard {
        mutable std::mutex mutex;
        std::unordered_map<model::BackendId, Record> records;
        std::array<Text, 16> recent;  // reasons of late, to be shared
        size_t oldest = 0;

        Text share(const std::string& text);
    };
    static constexpr size_t shards = 64;

    Shard& of(model::BackendId id) { return shards_[id % shards]; }
    const Shard& of(model::BackendId id) const { return shards_[id % shards]; }

    std::array<Shard, shards> shards_;
};

}  // namespace gorb::health
