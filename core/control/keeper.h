// The control's side of the database: what was changed goes there, in order, and comes back when it is
// durable. Without a database everything is durable at once.
//
// A debt is what has to be written although nobody waits for it: that a refused change is taken back, that
// entries have left the kernel, the last health of backends. It is written when there is time, before any
// later change, and tried again until it is.
//
// Threads: one at a time (the control's), but for what is marked [any]. `post` must run what it is given in a
// later turn of the control.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "store/database.h"

namespace gorb::control {

struct StoreStatus {
    bool durable = false;  // false: the store is memory
    store::Database::Status database;
    bool lost = false;
};

class Keeper {
  public:
    using Post = std::function<void(std::function<void()>)>;
    // Everything there is to keep, to make the file anew.
    using All = std::function<store::Loaded()>;

    Keeper(std::unique_ptr<store::Database> database, const base::Clock& clock, Post post, All all);
    ~Keeper();

    bool durable() const { return database_ != nullptr; }
    // What the database has, nothing without one. Once, before anything is written.
    base::Result<store::Loaded> load();
    // A change. `done` is called at once when there is no database, or it has to be made anew first (then
    // with an error), else later; never before an earlier one's.
    void write(store::Write write, std::function<void(base::Status)> done);
    // The same, and waits for it: at the start, when nothing else is to be done.
    base::Status write_now(store::Write write);
    void owe(store::Write write);
    // The same of a change that was written and has to be taken back. What is written after it, and before it
    // could be, might be undone by it: the file is made anew then.
    void owe_undo(store::Write write);
    // The newest of each backend counts.
    void owe_health(const store::BackendName& name, const store::Health& health);
    void forget_health(const store::BackendName& name);

    // Writes debts that are due, looks whether the file is still there, and makes a lost one anew.
    void look();
    // When look() is wanted, monotonic ns; 0: never.
    uint64_t next() const;
    // Is anything on its way to the database? For the end: what was accepted is written.
    bool busy() const { return in_flight_ > 0; }
    // Does all of look() now, even if it was not due.
    void settle();

    // Has the database do some of what it was given, on this thread: store::Database::work(). [any]
    bool work() { return database_ && database_->work(); }

    StoreStatus status() const;  // [any]

  private:
    struct NameHash {
        size_t operator()(const store::BackendName& name) const;
    };
    void send(store::Write write, std::function<void(base::Status)> done);
    void pay();
    void send_health(uint64_t now);
    bool must_rewrite(uint64_t now) const { return rewrite_at_ != 0 && rewrite_at_ <= now; }
    void rewrite();
    void failed(const base::Error& error);
    void look_at_file(uint64_t now);
    void want_rewrite();  // if the file is lost

    std::unique_ptr<store::Database> database_;
    const base::Clock* clock_;
    Post post_;
    All all_;
    struct Debt {
        uint64_t number = 0;
        store::Write write;
    };
    size_t in_flight_ = 0;
    std::vector<Debt> debts_;  // ascending: what could not be written comes back to its place
    uint64_t last_debt_ = 0;
    // What is to be known of backends; what of that is on its way, by one write at a time: the disk may hang
    // for long, and each backend may change in every second of that.
    using HealthMap = std::unordered_map<store::BackendName, store::Health, NameHash>;
    HealthMap health_, health_sent_;
    bool sending_health_ = false;
    // Backends that another address is being written for, and by how many writes. What is known of them is of
    // the old one: it does not follow those.
    std::unordered_map<store::BackendName, size_t, NameHash> moving_;
    size_t paying_ = 0;  // payments on their way
    bool rewriting_ = false;
    bool in_arrears_ = false;  // what was refused is still owed: later writes do not come after it
    uint64_t debts_at_ = 0, health_at_ = 0, rewrite_at_ = 0;  // 0: not wanted
    uint64_t file_at_;                                        // when the file is to be looked at
    bool looking_ = false;
    uint32_t failures_ = 0;  // in a row
};

}  // namespace gorb::control
