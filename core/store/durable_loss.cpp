// Whether the files still are what they were, and making them anew.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "store/durable.h"
#include "store/opening.h"

namespace gorb::store {

using base::Errc;
using base::fail;
using base::Result;

void Durable::remember() {
    if (const auto now = look(paths_.database)) database_ = *now;
    if (const auto now = look(paths_.wal)) {
        wal_ = *now;
        committed_ = false;
    }
}

Result<std::string> Durable::shortened(const std::string& what, int64_t size) {
    constexpr int64_t page = 512;  // the least
    // SQLite takes such a file for a new one, and would remove the WAL.
    if (size < page) return what;
    // Through a connection of its own: ours has pages in memory.
    auto other = Connection::open(paths_.database, SQLITE_OPEN_READWRITE, options_.vfs);
    if (other) other->keep_wal(true);
    auto words = other ? other->value("PRAGMA quick_check(1)", "can not check " + paths_.database.string())
                       : fail(std::move(other.error()));
    if (words) return *words == "ok" ? std::string() : what;
    if (is_damage(words.error())) return what;
    return words;
}

Result<std::string> Durable::changed() {
    const auto database = look(paths_.database), wal = look(paths_.wal);
    if (!database) return fail(database.error());
    if (!wal) return fail(wal.error());
    if (!database->there) return std::string("was removed");
    if (!database->same_file(database_)) return std::string("was replaced by another file");
    if (wal_.there && !wal->there) return std::string("has lost its log, gorb.db-wal");
    if (wal_.there && !wal->same_file(wal_)) return std::string("has another log, gorb.db-wal, than its own");
    // The first commit after a checkpoint cuts a long log down to what it keeps.
    const int64_t wal_least = committed_ ? std::min(wal_.size, wal_kept) : wal_.size;
    if (database->size < database_.size || wal->size < wal_least) {
        auto what = database->size < database_.size
                        ? shortened("was cut off", database->size)
                        : shortened("has a log, gorb.db-wal, that was cut off", database->size);
        if (!what || !what->empty()) return what;
    }
    database_ = *database;
    wal_ = *wal;
    committed_ = false;
    return std::string();
}

base::Status Durable::check_files() {
    if (!lost_) {
        Result<std::string> why = changed();
        if (!why) return fail(std::move(why.error()));
        if (!why->empty()) lose(std::move(*why));
    }
    if (!lost_) return {};
    return fail(Errc::unavailable,
                paths_.database.string() + " " + why_lost_ +
                    " while gorbd was running: nothing can be changed until it has been made "
                    "anew");
}

void Durable::lose(std::string why) {
    if (lost_) return;
    why_lost_ = std::move(why);
    lost_ = true;
    base::log_error("the database is lost", {{"file", paths_.database.string()}, {"reason", why_lost_}});
}

base::Status Durable::make_anew(Loaded& all) {
    if (all.identity.empty()) all.identity = new_identity();
    if (auto made = make_directory(paths_.directory); !made) return made;
    if (!lock_.holds(paths_.lock)) {
        auto lock = Lock::take(paths_.lock);
        if (!lock) return fail(std::move(lock.error()));
        lock_ = std::move(*lock);
    }
    if (auto made = make_database(paths_, all, options_, schema_); !made) return made;
    // The old one is closed as it is, then moved aside: SQLite removes a WAL by its name.
    for (Statement* one : {&begin_, &commit_, &savepoint_, &release_, &back_}) *one = Statement();
    rows_ = RowWriter();
    if (file_) file_.keep_wal(true);
    file_ = Connection();
    if (!lost_) lose("is being made anew");
    if (auto replaced = replace_database(paths_, "lost"); !replaced) return replaced;
    auto file = open_file(paths_, options_, schema_);
    if (!file) return fail(std::move(file.error()));
    RowWriter rows;
    if (const int code = rows.prepare(*file); code != SQLITE_OK)
        return fail(file->error(code, "can not open " + paths_.database.string()));
    file_ = std::move(*file);
    rows_ = std::move(rows);
    wal_pages_ = 0;
    accepted_ = true;
    uncertain_ = false;
    remember();
    lost_ = false;
    base::log_info("the database was made anew", {{"file", paths_.database.string()}});
    return {};
}

}  // namespace gorb::store
