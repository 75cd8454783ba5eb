// The desired state on disk: one SQLite database, WAL, synchronous=FULL, so that what write() called done is
// there after a power cut.
//
// It is given what to write and does it when somebody has time: what waits together becomes one transaction
// with one fsync (what is very large, one for itself), on the thread that calls work(). Rows are an object
// each, its settings as the JSON that the API shows, so that an operator can read them with sqlite3. A row is
// a claim: the kernel entries of what stands here are gorb's own, and so are those listed as leaving until
// they are known to be gone. Rows are therefore written before the kernel is told.
//
// Threads: any; `done` is called by work() and must only hand on. One process at a time (a lock file beside
// the database). Errors: no_space (the disk is full), unavailable (anything else that may pass: read-only,
// I/O error, another process holds it), io or unsupported from open_database(), with what to do.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "model/config.h"
#include "model/snapshot.h"

namespace gorb::store {

// A kernel entry that was ours and is to go: a service, or with `backend` one destination of it.
struct Leaving {
    model::ServiceKey service;
    std::optional<base::Endpoint> backend;
    // The change that removes it has passed the guard against mass deletion, which does not ask again. No
    // part of which entry it is.
    bool granted = false;

    auto operator<=>(const Leaving& other) const {
        return std::tie(service, backend) <=> std::tie(other.service, other.backend);
    }
    bool operator==(const Leaving& other) const {
        return service == other.service && backend == other.backend;
    }
};

// What was last known of a backend's health. Times are wall ns, 0 for unknown.
struct Health {
    enum class State : uint8_t { unknown, up, down };  // numbers are those of the file
    State state = State::unknown;
    int64_t since = 0;    // of the state
    int64_t back = 0;     // when it came back, while its weight still grows; else see unproven()
    uint8_t share = 100;  // per cent of its weight that its pulse asked for

    // It has neither passed a check nor had a weight. What tells it is `back`: of one that is down it is
    // `since` then, and of one of which nothing is known 0, where it is 1 of one that has, so that neither
    // maintenance nor another pulse makes it a new one. An import or a restore that asks it in another way
    // forgets that.
    bool unproven() const {
        if (state == State::down) return since != 0 && back == since;
        return state == State::unknown && back == 0;
    }
    void prove(bool proven) {
        if (state == State::down && !proven) back = since;
        if (state == State::unknown && proven && back == 0) back = once;
    }
    // Is `back` the time since when its weight grows?
    bool grows() const { return back != 0 && back != once && (state != State::down || back != since); }
    bool operator==(const Health&) const = default;

  private:
    static constexpr int64_t once = 1;
};

struct BackendName {
    std::string service, backend;
    auto operator<=>(const BackendName&) const = default;
};

// One change, written whole or not at all. In this order: dropped, put, the rest.
struct Write {
    // Of the newest state in it, 0 if it changes none. What the file has never goes down.
    uint64_t revision = 0;
    std::vector<BackendName> drop_backends;
    std::vector<std::string> drop_services;       // with their backends
    std::vector<model::ServicePtr> put_services;  // own fields, revision and origin; not their backends
    std::vector<std::pair<std::string, model::BackendPtr>> put_backends;  // of which service
    std::vector<std::pair<BackendName, Health>> health;                   // of backends that are there
    std::vector<Leaving> leaving, left;
    std::vector<base::Ip> vips_added, vips_removed;
    size_t rows() const;  // how many it puts and drops
    // No row says a higher revision before it than one does after it (where this is the newest one).
    bool rows_say_revision() const;
    bool empty() const;
};

// Everything that a database has.
struct Loaded {
    struct BackendRow {
        model::Backend spec;
        uint64_t revision = 0;
        Health health;
        int64_t drain_since = 0;  // BackendEntry::drain_since; 0 for a drain of which it is not known
    };
    struct ServiceRow {
        model::Service spec;
        uint64_t revision = 0;
        model::Origin origin{};
        std::vector<BackendRow> backends;  // by name, ascending
    };
    std::string identity;  // of this database, made with it: 8 hexadecimal digits
    uint64_t revision = 0;
    std::vector<ServiceRow> services;  // by name, ascending
    std::vector<Leaving> leaving;
    std::vector<base::Ip> vips;  // that gorb added to an interface
};

class Database {
  public:
    using Done = std::function<void(base::Status)>;

    virtual ~Database() = default;  // what waits is written first
    // Everything. Before the first write().
    virtual base::Result<Loaded> load() = 0;
    // Does some of what waits: one transaction or the like, which a disk that hangs holds up, and the
    // answers. false: nothing waits, or another thread is at it, which then has to look again when it is
    // done. What is given is therefore done as long as each thread that gives something, or works, goes on
    // until false.
    virtual bool work() = 0;
    // In order. A refused write has left nothing behind; the next one may succeed.
    virtual void write(Write write, Done done) = 0;
    // In its turn among the writes: whether the file is still what it was. Writes nothing.
    virtual void check_file(Done done) = 0;
    // The file is not what it was (removed, replaced, truncated, damaged), so every write() is refused until
    // it has been made anew. Once set it stays until rewrite() succeeded.
    virtual bool lost() const = 0;
    // Makes the file anew with all of this; what is left of the old one is kept beside it under another name.
    virtual void rewrite(Loaded all, Done done) = 0;

    struct Status {
        std::string path;
        std::string trouble;  // why the last write was refused, "" when it was not
        uint64_t writes = 0, transactions = 0, refused = 0;
        uint64_t bytes = 0;  // file and WAL
    };
    virtual Status status() const = 0;
};

// Gives it and works until it is answered.
base::Status write_now(Database& database, Write write);

struct OpenOptions {
    std::string vfs;  // how SQLite reaches the disk: one of its VFS by name, "" for the standard one
};

// Opens `directory`/gorb.db, or makes it (directory 0700, file 0600). Refused, and left as it is: a file that
// is damaged, no database of gorb, or of a newer version. An older version is brought up to date, in one
// transaction, after a copy was put beside it.
base::Result<std::unique_ptr<Database>> open_database(const std::filesystem::path& directory,
                                                      const OpenOptions& options = {});

// ---- for the command line; none needs the daemon to be stopped but restore()

// Writes a consistent copy to `to`, which must not exist, also while a daemon runs.
base::Status backup(const std::filesystem::path& directory, const std::filesystem::path& to);
// Every page, every row: "" or what is wrong, in words, with what to do.
base::Result<std::string> check(const std::filesystem::path& directory);
// Checks the copy and puts it in place of the database, which is kept beside it. Refused while a daemon runs.
base::Status restore(const std::filesystem::path& directory, const std::filesystem::path& from);

}  // namespace gorb::store
