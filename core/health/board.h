// The backends: which probes make up the health of each, and what it is.
//
// Threads: any, at once. A lock is held for one backend only (and within it for one probe), and never while
// calling out.
//
// Cost: O(pulses of the backend); about 100 bytes a backend and its name.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "health/health.h"
#include "health/probes.h"
#include "health/slot_table.h"
#include "health/spec.h"
#include "health/text.h"

namespace gorb::health {

class Board {
  public:
    // The probes of each loop.
    explicit Board(std::vector<Probes*> lanes) : lanes_(std::move(lanes)) {}

    // A check of a backend.
    struct Ref {
        uint32_t lane = 0;
        Probes::Slot slot = 0;
        bool operator==(const Ref&) const = default;
    };
    struct Names {
        std::string service, backend;
    };
    // What happened to the health of a backend.
    struct Effect {
        State before{}, after{};
        uint32_t share_before = 100, share = 100;
        bool tell = false;  // collect() has something new, and nobody was told to call it yet
        bool state_changed() const { return before != after; }
    };

    // A check that could not be made, and is none of its backend's any more: nothing else will end that.
    struct GivenUp {
        Names names;
        base::Endpoint address;
        std::string pulse;  // the type
    };
    // `now` and `wall` are the two clocks of this instant. Appends what is `given_up` by it.
    Effect put(const Target& target, uint64_t now, int64_t wall, std::vector<GivenUp>& given_up);
    // The same; nothing for one that is not here.
    void forget(model::BackendId id, std::vector<GivenUp>& given_up);
    // One of its checks is another: works it out anew. nullopt for one that is not here.
    std::optional<Effect> refresh(model::BackendId id, uint64_t now, int64_t wall);
    // What is to be told of it, once; nullopt when that has been done, or it is not here any more.
    std::optional<Changed> collect(model::BackendId id, uint64_t now);

    std::optional<View> read(model::BackendId id, uint64_t now) const;
    std::vector<Ref> checks(model::BackendId id) const;  // empty for one that is not here
    Names names(model::BackendId id) const;
    // In words: View::because.
    std::string because(model::BackendId id, uint64_t now) const;
    size_t size() const;

  private:
    // What few backends have.
    struct More {
        std::vector<Ref> checks;
        base::Endpoint address;  // the backend's own
    };
    struct Record {
        model::BackendId id = 0;
        uint64_t since = 0;
        int64_t since_wall = 0;
        Text service, name;
        Ref check;                   // when it is one
        std::unique_ptr<More> more;  // when there are several, or it goes elsewhere
        float ratio = 1;
        uint32_t changes = 0;
        uint8_t share = 100;
        State state = State::unknown;
        bool pending = false;        // something is to be told
        bool pending_state = false;  // and that is a change of state

        const Ref* begin() const { return more ? more->checks.data() : &check; }
        const Ref* end() const { return more ? more->checks.data() + more->checks.size() : &check + 1; }
        size_t count() const { return more ? more->checks.size() : 1; }
        void set(std::vector<Ref> refs, const base::Endpoint& address, bool goes_elsewhere);
    };
    struct Shard {
        mutable std::mutex mutex;
        SlotTable table;
        std::deque<Record> records;
        std::vector<uint32_t> free;
        Texts services;
    };
    // The health of all checks together.
    struct Sum {
        State state = State::up;
        uint32_t share = 100;
        double ratio = 1;
        size_t decides = 0;  // which check
        void add(const Probes::Brief& check);

      private:
        size_t count_ = 0;
        int64_t since_ = 0;
        bool taken_over_ = false;
    };
    static constexpr size_t shards = 64;

    static uint32_t hash_of(model::BackendId id);
    Shard& of(model::BackendId id) const { return shards_[hash_of(id) % shards]; }
    static Record* find(Shard& shard, model::BackendId id);
    Probes& lane(const Ref& ref) const { return *lanes_[ref.lane]; }
    // Of equal pulses of a backend, which are one probe, is it the first?
    static bool is_first(std::span<const Ref> refs, size_t i);
    // Each of its probes once.
    void unsubscribe(std::span<const Ref> refs, model::BackendId id);
    Ref subscribe(const Target& target, const SpecPtr& spec, const Probes::Past* past, int64_t wall);
    bool in_trouble(const Ref& ref) const { return lane(ref).brief(ref.slot).trouble; }
    void give_up(const Record& r, const Ref& ref, std::vector<GivenUp>& given_up) const;
    base::Endpoint address_of(const Record& r) const;  // the backend's own
    Sum sum_of(const Record& r) const;
    Effect work_out(Record& r, uint64_t now, int64_t wall);
    static std::string said(const Record& r, const CheckView& check, const std::string& words);
    std::string words(const Record& r, size_t check, uint64_t now, bool last) const;

    std::vector<Probes*> lanes_;
    Specs specs_;
    mutable std::array<Shard, shards> shards_;
};

}  // namespace gorb::health
