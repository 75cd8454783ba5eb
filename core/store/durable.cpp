#include "store/durable.h"

#include <future>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "store/opening.h"
#include "store/work_alone.h"

namespace gorb::store {
namespace {

using base::Errc;
using base::fail;
using base::Result;

constexpr int checkpoint_pages = 1000;  // of the WAL, as SQLite does by itself
// Within a savepoint SQLite keeps a copy of each page that is changed, and goes through all of them after
// each statement: of 100,000 rows that took longer than all else. A write of more rows than these has a
// transaction for itself instead.
constexpr size_t most_rows_beside = 256;

int count_pages(void* pages, sqlite3*, const char*, int in_wal) {
    *static_cast<int*>(pages) = in_wal;
    return SQLITE_OK;
}

}  // namespace

Durable::Durable(Paths paths, OpenOptions options, const Schema& schema, Lock lock, Connection file,
                 RowWriter rows)
    : paths_(std::move(paths)),
      options_(std::move(options)),
      schema_(schema),
      lock_(std::move(lock)),
      file_(std::move(file)),
      rows_(std::move(rows)) {
    status_.with([&](Status& s) { s.path = paths_.database.string(); });
    remember();
}

Durable::~Durable() {
    while (work()) {
    }
    // A file that was refused, or is not the one we opened, stays as it is.
    if (!file_ || lost_ || !accepted_ || !changed().value_or("?").empty()) return;
    sqlite3_busy_timeout(file_.raw(), 200);  // of who reads meanwhile; the WAL is good without this too
    sqlite3_wal_checkpoint_v2(file_.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    // The WAL, which is empty now, and what belongs to it stay: to read a database needs them, and where they
    // would have to be made a start on a disk that is full would fail.
}

Result<Loaded> Durable::load() {
    std::lock_guard lock(io_);
    const std::string path = paths_.database.string();
    if (!file_) return fail(Errc::unavailable, path + " is not open: it was lost and could not be made anew");
    auto all = read_rows(file_, path);
    if (!all) {
        if (!is_damage(all.error())) return all;
        return fail(damaged(path, all.error().sentence));
    }
    accepted_ = true;
    revision_ = std::max(revision_, all->revision);
    return all;
}

Database::Status Durable::status() const {
    Status now = status_.with([](const Status& s) { return s; });
    for (const auto& file : {paths_.database, paths_.wal}) {
        if (const auto found = look(file); found && found->there)
            now.bytes += static_cast<uint64_t>(found->size);
    }
    return now;
}

// ---- the queue

void Durable::write(Write write, Done done) {
    submit({Job::Kind::write, std::move(write), nullptr, std::move(done)});
}

base::Status write_now(Database& database, Write write) {
    std::promise<base::Status> written;
    std::future<base::Status> answer = written.get_future();
    database.write(std::move(write),
                   [&written](base::Status status) { written.set_value(std::move(status)); });
    while (database.work()) {
    }
    return answer.get();
}

void Durable::rewrite(Loaded all, Done done) {
    submit({Job::Kind::rewrite, {}, std::make_unique<Loaded>(std::move(all)), std::move(done)});
}

void Durable::check_file(Done done) {
    submit({Job::Kind::check, {}, nullptr, std::move(done)});
}

void Durable::submit(Job job) {
    const std::lock_guard lock(queue_lock_);
    queue_.push_back(std::move(job));
}

bool Durable::queued() {
    const std::lock_guard lock(queue_lock_);
    return !queue_.empty();
}

// What was submitted is to be done next. false: there is nothing to do.
bool Durable::fetch() {
    const std::lock_guard lock(queue_lock_);
    if (work_.empty()) {
        work_.swap(queue_);
    } else {
        std::move(queue_.begin(), queue_.end(), std::back_inserter(work_));
        queue_.clear();
    }
    return !work_.empty();
}

bool Durable::work() {
    return work_alone(
        working_, [this] { return work_some(); }, [this] { return queued(); });
}

bool Durable::work_some() {
    // Apart from the transaction that made it due, so that nobody waits for it who was answered.
    if (wal_pages_ >= checkpoint_pages) {
        const std::lock_guard lock(io_);
        checkpoint();
        return true;
    }
    if (!fetch()) return false;
    write_some();
    return true;
}

// One transaction, or one rewrite, or one check.
void Durable::write_some() {
    Answers answers;
    base::Status all_of_them;
    if (work_.front().kind == Job::Kind::check) {
        const Job job = std::move(work_.front());
        work_.pop_front();
        base::Status good;
        {
            std::lock_guard lock(io_);
            good = check_files();
        }
        job.done(std::move(good));
        return;
    }
    if (work_.front().kind == Job::Kind::rewrite) {
        std::lock_guard lock(io_);
        answers.push_back(make_anew(*work_.front().all));
    } else {
        std::lock_guard lock(io_);
        all_of_them = transaction(answers);
    }
    status_.with([&](Status& s) {
        for (const auto& own : answers) {
            const base::Status& answer = all_of_them ? own : all_of_them;
            ++s.writes;
            if (!answer) ++s.refused;
            s.trouble = answer ? "" : answer.error().sentence;
        }
    });
    for (base::Status& own : answers) {
        Job job = std::move(work_.front());
        work_.pop_front();
        if (job.done) job.done(all_of_them ? std::move(own) : all_of_them);
    }
}

// ---- a transaction

base::Error Durable::refused(int code, const std::string& doing) {
    base::Error error = file_.error(code, doing);
    const Trouble trouble = trouble_of(code, error.os_error);
    if (trouble == Trouble::full) {
        error.sentence =
            "the disk of " + paths_.directory.string() +
            " is full: nothing can be changed until there is room again; no restart is needed then";
    } else if (trouble == Trouble::damaged) {
        lose("is damaged (" + error.sentence + ")");
        error.code = Errc::unavailable;
    }
    return error;
}

void Durable::roll_back() {
    if (sqlite3_get_autocommit(file_.raw()) == 0) file_.exec("ROLLBACK");
}

// One write as a whole or not at all. What it gives is everybody's trouble; its own is in `answer`. One that
// has the transaction for itself needs no savepoint: what is to be taken back of it is the transaction.
int Durable::apply_one(const Write& write, bool alone, base::Status& answer) {
    // One statement is a whole by itself.
    const bool several = write.rows() > 1 && !alone;
    int code = several ? savepoint_.run() : SQLITE_OK;
    if (code == SQLITE_OK) code = rows_.apply(write);
    if (code == SQLITE_OK) return several ? release_.run() : code;
    if (trouble_of(code, 0) != Trouble::defect || sqlite3_get_autocommit(file_.raw()) != 0) return code;
    answer = fail(file_.error(code, "a change does not fit what " + paths_.database.string() + " holds"));
    base::log_error("a write to the database was wrong", {{"error", answer.error().sentence}});
    if (!several) return SQLITE_OK;
    code = back_.run();
    return code == SQLITE_OK ? release_.run() : code;
}

base::Status Durable::transaction(Answers& answers) {
    const std::string doing = "can not write " + paths_.database.string();
    // As many as would be refused together; the loop below may leave some for the next transaction.
    const auto count = [this] {
        size_t n = 0;
        while (n < work_.size() && n < most_writes && work_[n].kind == Job::Kind::write) ++n;
        return n;
    };
    const auto refuse = [&](base::Error error) -> base::Status {
        answers.resize(std::max(answers.size(), size_t{1}));
        return fail(std::move(error));
    };
    if (base::Status good = check_files(); !good) {
        answers.resize(count());
        return good;
    }
    if (!begin_) {
        // Not in the constructor: it would have to fail.
        int code = file_.prepare("BEGIN IMMEDIATE", begin_);
        if (code == SQLITE_OK) code = file_.prepare("COMMIT", commit_);
        if (code == SQLITE_OK) code = file_.prepare("SAVEPOINT one", savepoint_);
        if (code == SQLITE_OK) code = file_.prepare("RELEASE one", release_);
        if (code == SQLITE_OK) code = file_.prepare("ROLLBACK TO one", back_);
        if (code != SQLITE_OK) return refuse(refused(code, doing));
        sqlite3_wal_hook(file_.raw(), count_pages, &wal_pages_);
    }
    if (uncertain_) overwrite_refused();
    if (const int code = begin_.run(); code != SQLITE_OK) {
        answers.resize(count());
        return fail(refused(code, doing));
    }
    rows_.taken_bytes();  // of what was refused
    size_t bytes = 0;
    bool said = true;  // by the rows: a page less to write and to sync
    for (size_t n = count(); answers.size() < n && bytes < most_bytes;) {
        const Write& write = work_[answers.size()].write;
        if (write.rows() > most_rows_beside && !answers.empty()) break;
        base::Status& answer = answers.emplace_back();
        const bool alone = write.rows() > most_rows_beside;
        const int code = apply_one(write, alone, answer);
        if (code != SQLITE_OK) {
            base::Error error = refused(code, doing);
            roll_back();
            return fail(std::move(error));
        }
        if (alone && !answer) {
            roll_back();
            return {};
        }
        if (answer) {
            const bool newest = write.revision == 0 || write.revision >= revision_;
            said = said && newest && write.rows_say_revision();
            revision_ = std::max(revision_, write.revision);
        }
        bytes += rows_.taken_bytes();
        if (alone) break;
    }
    if (const int code = said ? SQLITE_OK : rows_.raise_revision(revision_); code != SQLITE_OK) {
        base::Error error = refused(code, doing);
        roll_back();
        return fail(std::move(error));
    }
    if (const int code = commit_.run(); code != SQLITE_OK) {
        base::Error error = refused(code, doing);
        roll_back();
        uncertain_ = true;
        overwrite_refused();
        return fail(std::move(error));
    }
    committed_ = true;
    status_.with([](Status& s) { ++s.transactions; });
    // It may have gone into a file that was removed meanwhile. Where that can not be said it is on disk for
    // all that is known, and must not be called refused.
    base::Status good = check_files();
    return lost_ ? std::move(good) : base::Status();
}

// The pages of a transaction that failed at its end may stand in the WAL, whole: a start after a crash would
// take them for good. Another transaction in their place ends that.
void Durable::overwrite_refused() {
    int code = begin_.run();
    if (code == SQLITE_OK) code = rows_.count_refused();
    if (code == SQLITE_OK) code = commit_.run();
    if (code == SQLITE_OK) {
        committed_ = true;
        uncertain_ = false;
    } else {
        roll_back();
    }
}

void Durable::checkpoint() {
    wal_pages_ = 0;  // the next transaction counts them anew
    if (!file_ || lost_) return;
    const int code =
        sqlite3_wal_checkpoint_v2(file_.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (code == SQLITE_OK || code == SQLITE_BUSY) {
        remember();
        return;
    }
    const base::Error error = refused(code, "can not move the WAL into " + paths_.database.string());
    base::log_warning("the database's log can not be emptied", {{"error", error.sentence}});
}

}  // namespace gorb::store
