#include "store/sqlite.h"

#include <cerrno>
#include <cstring>

#include "store/files.h"

namespace gorb::store {

Trouble trouble_of(int code, int os_error) {
    switch (code & 0xff) {
        case SQLITE_FULL:
            return Trouble::full;
        case SQLITE_IOERR:
            // A log that ends before what it holds.
            if (code == SQLITE_IOERR_SHORT_READ) return Trouble::damaged;
            // A limit on file sizes or a quota is an end of space too.
            return os_error == ENOSPC || os_error == EDQUOT || os_error == EFBIG ? Trouble::full
                                                                                 : Trouble::passing;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return Trouble::damaged;
        case SQLITE_READONLY:
            return code == SQLITE_READONLY_DBMOVED ? Trouble::damaged : Trouble::passing;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_CANTOPEN:
        case SQLITE_NOMEM:
        case SQLITE_PERM:
        case SQLITE_AUTH:
        case SQLITE_PROTOCOL:
        case SQLITE_NOLFS:
        case SQLITE_INTERRUPT:
        case SQLITE_SCHEMA:
            return Trouble::passing;
        default:
            return Trouble::defect;
    }
}

// ---- Statement

Statement& Statement::bind(int at, int64_t value) {
    sqlite3_bind_int64(statement_.get(), at, value);
    return *this;
}

Statement& Statement::bind(int at, std::string_view text) {
    // A null pointer would be NULL, not "".
    sqlite3_bind_text64(statement_.get(), at, text.data() ? text.data() : "", text.size(), SQLITE_STATIC,
                        SQLITE_UTF8);
    return *this;
}

int Statement::run() {
    int code = SQLITE_ROW;
    while (code == SQLITE_ROW) code = step();
    reset();
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

std::string_view Statement::text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
    return text ? std::string_view(text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)))
                : std::string_view();
}

// ---- Connection

namespace {

// What the system said. SQLite hands on that of an opening, but not that of a writing into the WAL.
int system_error(sqlite3* db, int code) {
    if (const int error = sqlite3_system_errno(db); error != 0) return error;
    if ((code & 0xff) != SQLITE_IOERR) return 0;
    for (const int which : {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER}) {
        sqlite3_file* file = nullptr;
        int error = 0;
        if (sqlite3_file_control(db, "main", which, static_cast<void*>(&file)) != SQLITE_OK) continue;
        if (!file || !file->pMethods) continue;
        if (file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) == SQLITE_OK && error != 0)
            return error;
    }
    return 0;
}

}  // namespace

base::Result<Connection> Connection::open(const std::filesystem::path& file, int flags,
                                          const std::string& vfs) {
    Connection made;
    sqlite3* db = nullptr;
    const int code = sqlite3_open_v2(file.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                                     vfs.empty() ? nullptr : vfs.c_str());
    made.db_.reset(db);
    if (code != SQLITE_OK) return base::fail(made.error(code, "can not open " + file.string()));
    // A file may come from anywhere: nothing in its schema is trusted to call functions.
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_busy_timeout(db, 2000);
    return made;
}

int Connection::prepare(std::string_view sql, Statement& to) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v3(raw(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &made, nullptr);
    to.statement_.reset(made);
    return code;
}

int Connection::exec(const char* sql) {
    return sqlite3_exec(raw(), sql, nullptr, nullptr, nullptr);
}

base::Result<std::string> Connection::value(const char* sql, const std::string& doing) {
    Statement statement;
    int code = prepare(sql, statement);
    if (code == SQLITE_OK) code = statement.step();
    if (code == SQLITE_ROW) return std::string(statement.text(0));
    if (code == SQLITE_DONE) return std::string();
    return base::fail(error(code, doing));
}

base::Error Connection::error(int code, const std::string& doing) const {
    const int os_error = raw() ? system_error(raw(), code) : 0;
    base::Error error{base::Errc::unavailable, doing + ": ", {}, os_error};
    const Trouble trouble = trouble_of(code, os_error);
    if (trouble == Trouble::full) {
        error.code = base::Errc::no_space;
        error.sentence += "the disk is full; make room, and try again";
        return error;
    }
    error.sentence += raw() ? sqlite3_errmsg(raw()) : sqlite3_errstr(code);
    if (trouble == Trouble::damaged) {
        error.code = base::Errc::io;
        return error;
    }
    if (trouble == Trouble::defect) {
        error.code = base::Errc::internal;
        return error;
    }
    const int kind = code & 0xff;
    const bool said = os_error != 0 && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN);
    if (said) error.sentence += std::string(" (") + std::strerror(os_error) + ")";  // NOLINT: our text
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED)
        error.sentence += "; another program, such as sqlite3, holds a transaction open: end it";
    if (kind == SQLITE_READONLY) error.sentence += "; make the file and its folder writable";
    return error;
}

void Connection::keep_wal(bool keep) {
    sqlite3_db_config(raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep ? 1 : 0, nullptr);
}

namespace {

// In one step, which is one reading transaction.
base::Status copy_pages(Connection& from, Connection& to, const std::string& doing) {
    sqlite3_backup* backup = sqlite3_backup_init(to.raw(), "main", from.raw(), "main");
    if (!backup) return base::fail(to.error(sqlite3_errcode(to.raw()), doing));
    const int stepped = sqlite3_backup_step(backup, -1);
    const int code = sqlite3_backup_finish(backup);
    if (stepped != SQLITE_DONE) return base::fail(to.error(code == SQLITE_OK ? stepped : code, doing));
    return {};
}

}  // namespace

base::Result<Connection> copy_in_memory(Connection& from) {
    auto copy = Connection::open(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!copy) return copy;
    if (auto copied = copy_pages(from, *copy, "can not copy the database into memory"); !copied)
        return base::fail(std::move(copied.error()));
    return copy;
}

base::Status copy_database(Connection& from, const std::filesystem::path& to) {
    const std::string doing = "can not write the copy " + to.string();
    if (auto made = make_file(to); !made) return made;
    {
        auto copy = Connection::open(to, SQLITE_OPEN_READWRITE);
        if (!copy) return base::fail(std::move(copy.error()));
        if (const int code = copy->exec("PRAGMA synchronous=OFF"); code != SQLITE_OK)
            return base::fail(copy->error(code, doing));
        if (auto copied = copy_pages(from, *copy, doing); !copied) return copied;
        // Without a WAL it is one file. Set at the next opening anyway.
        auto mode = copy->value("PRAGMA journal_mode=DELETE", doing);
        if (!mode) return base::fail(std::move(mode.error()));
    }
    return sync_file(to);
}

}  // namespace gorb::store
