// What the tests of faults share: a table that outlives the daemon, a daemon that ends at any instant,
// changes by chance, and a model of what their answers promise.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "store/database.h"

namespace gorb::faults {

// Rounds of the short version, which is in every run of the tests, and of the long one.
size_t rounds(size_t few, size_t many);
const plugin::Registry& registry();  // with the pulse "none"

// A folder that goes with it. In memory where there is room: what a real disk does makes no difference here.
class Folder {
  public:
    Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder();
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

// When the daemon ends: at the step after so many. Steps are operations of the kernel, writes handed to the
// database, and answers of it.
struct Crash {
    std::atomic<int64_t> left{INT64_MAX};
    std::atomic<bool> dead{false};
    bool alive() {
        if (left.fetch_sub(1) <= 0) dead = true;
        return !dead;
    }
};

// The kernel as one daemon sees it: the table is shared with those before and after. After the crash nothing
// comes through.
class SharedTable final : public ipvs::Driver {
  public:
    SharedTable(std::shared_ptr<ipvs::MemoryDriver> table, std::shared_ptr<Crash> crash)
        : table_(std::move(table)), crash_(std::move(crash)) {}

    base::Result<ipvs::Info> info() override { return table_->info(); }
    base::Result<std::vector<ipvs::ServiceRecord>> services() override;
    base::Result<std::optional<ipvs::ServiceRecord>> service(const ipvs::ServiceKey& key) override;
    base::Result<std::vector<ipvs::DestRecord>> dests(const ipvs::ServiceKey& key) override;
    std::vector<base::Status> apply(std::span<const ipvs::Op> ops) override;
    base::Status flush() override { return table_->flush(); }
    base::Result<std::vector<std::string>> probe_schedulers(
        std::span<const std::string_view> names) override {
        return table_->probe_schedulers(names);
    }

    std::atomic<uint64_t> calls{0};          // of apply()
    std::atomic<uint64_t> operations{0};     // in them
    std::atomic<unsigned> failing_reads{0};  // of a hundred
    bool keep_removals = true;               // false: for a day's work, which would fill the memory with them
    std::vector<ipvs::Op> removals;          // that were asked for; of the control thread

  private:
    base::Status readable();

    std::shared_ptr<ipvs::MemoryDriver> table_;
    std::shared_ptr<Crash> crash_;
    std::mt19937_64 random_{7};
};

// The database until the crash; after it nothing is written.
class CrashingDatabase final : public store::Database {
  public:
    CrashingDatabase(std::unique_ptr<store::Database> real, std::shared_ptr<Crash> crash)
        : real_(std::move(real)), crash_(std::move(crash)) {}
    base::Result<store::Loaded> load() override { return real_->load(); }
    bool work() override { return real_->work(); }
    void write(store::Write write, Done done) override;
    void check_file(Done done) override { real_->check_file(std::move(done)); }
    bool lost() const override { return real_->lost(); }
    void rewrite(store::Loaded all, Done done) override { real_->rewrite(std::move(all), std::move(done)); }
    Status status() const override { return real_->status(); }

  private:
    std::unique_ptr<store::Database> real_;
    std::shared_ptr<Crash> crash_;
};

// An interface for VIPs, which outlives the daemon. Of one thread at a time.
struct Addresses {
    std::set<base::Ip> hosts;          // had them before
    std::set<base::Ip> added;          // by the daemon
    std::atomic<unsigned> failing{0};  // of a hundred additions
};

// Few names and few addresses, so that changes meet each other.
struct Dice {
    std::mt19937_64 random;
    bool wide;  // adoption, declarative files, removal that waits, admin states and backups, too
    explicit Dice(uint64_t seed, bool all = false) : random(seed), wide(all) {}
    uint64_t roll(uint64_t n) { return random() % n; }

    control::Change change();
    control::Change wide_change();
    model::Config declared();
    model::Service service(const std::string& name);
    model::Backend backend(const std::string& name);
    model::Config config();
};

// What every object may be, by the answers: of the changes that were answered one value, of those that were
// not yet also what they would make of it. "" is: not there.
class Promised {
  public:
    enum class Answer : uint8_t { done, refused, none };
    void took(const control::Change& change, Answer answer);
    // "" if the state is one of those that may be, else what is wrong. What it is becomes what is promised.
    std::string compare(const model::Snapshot& now);
    // What is being removed when its connections have ended; of these what is gone is so rightly.
    const std::set<std::string>& going() const { return going_; }
    bool foreign = true;  // what add_foreign() made is nobody's yet

  private:
    std::map<std::string, std::set<std::string>> may_;
    std::set<std::string> going_;
    std::set<std::string> taken_;  // services that were adopted as they happened to be
};

// One control over a table and, where there is a folder, a database.
class World {
  public:
    struct Makings {
        std::shared_ptr<ipvs::MemoryDriver> table;
        std::filesystem::path store;  // "" for memory
        store::OpenOptions open;
        control::Options options;
        std::shared_ptr<Crash> crash = std::make_shared<Crash>();
        std::shared_ptr<Addresses> vips = nullptr;  // null: VIPs are somebody else's business
    };
    explicit World(const Makings& makings);

    bool start() { return static_cast<bool>(control->start()); }
    // Submits these together and waits for all answers; what was answered after the crash was not answered.
    void submit(std::vector<control::Change> changes, Promised& promised);
    // Runs `ask(done)` and waits for what done is given.
    template <class T, class Ask>
    static T answer(Ask&& ask);
    control::SyncCounts reconcile();  // a whole round, with what is due besides
    control::Ownership ownership();

    SharedTable* driver = nullptr;  // of the control
    std::shared_ptr<Crash> crash;
    std::unique_ptr<control::Control> control;
};

// ---- tables

// Made by somebody else: a service with two destinations. Its key is one that Dice uses.
ipvs::ServiceKey foreign_key();
void add_foreign(ipvs::MemoryDriver& table);
// "" if the table is what is wanted and what is foreign, and nothing else, else what is wrong.
// `foreign`: whether what add_foreign() made still is.
std::string table_differs(ipvs::MemoryDriver& table, const control::Control& control,
                          const std::set<ipvs::ServiceKey>& strangers_in = {}, bool foreign = true);
// The same of the interface.
std::string vips_differ(const Addresses& addresses, const control::Control& control);
// What is leaving and not wanted again: an address that left and came back is claimed by both.
std::string leaving(World& world);
base::Endpoint stranger();  // a destination that somebody else puts into services of ours

}  // namespace gorb::faults
