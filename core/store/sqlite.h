// SQLite's C API as values: a connection and its statements. Only the files of this folder include it.
//
// Functions that give an int give SQLite's extended result code, SQLITE_OK for good; words() and
// Connection::error() make sentences of it.
// Threads: one at a time.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gorb::store {

// What SQLite, or who reads its rows, can not make sense of: a damage of the file, where nothing else can be
// the reason. Not what may pass, and not a want of something: descriptors, memory, room.
inline bool is_damage(const base::Error& error) {
    return error.code == base::Errc::io || error.code == base::Errc::internal;
}

// What a result code means for who is told.
enum class Trouble : uint8_t {
    defect,   // a constraint or a statement that is wrong: ours
    full,     // no space
    passing,  // I/O error, read-only, locked by another program, no memory
    damaged,  // the file is not what SQLite wrote
};
// `os_error` is what the system said, 0 if that is not known.
Trouble trouble_of(int code, int os_error);

class Statement {
  public:
    Statement() = default;
    explicit operator bool() const { return statement_ != nullptr; }

    // Positions from 1. A text is not copied: it must live until run(), or until step() is over.
    Statement& bind(int at, int64_t value);
    Statement& bind(int at, std::string_view text);
    // SQLITE_ROW, SQLITE_DONE, or what went wrong.
    int step() { return sqlite3_step(statement_.get()); }
    // To the end, and ready for the next time.
    int run();
    void reset() { sqlite3_reset(statement_.get()); }

    // Of the row that step() came to; positions from 0. Texts are valid until the next step().
    int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
    std::string_view text(int column) const;

  private:
    friend class Connection;
    struct Finalize {
        void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
    };
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Connection {
  public:
    Connection() = default;  // closed
    // `flags` are SQLITE_OPEN_*. `vfs`: by its name, "" for the standard one.
    static base::Result<Connection> open(const std::filesystem::path& file, int flags,
                                         const std::string& vfs = {});

    explicit operator bool() const { return db_ != nullptr; }
    sqlite3* raw() const { return db_.get(); }

    int prepare(std::string_view sql, Statement& to);
    int exec(const char* sql);
    // The first value of the first row as text; what went wrong with `doing` in words ("can not read the
    // header of ...").
    base::Result<std::string> value(const char* sql, const std::string& doing);

    // The last failure of this connection: "DOING: SQLite's words", and what to do.
    base::Error error(int code, const std::string& doing) const;
    // When it is closed last, the WAL is left as it is instead of going into the file.
    void keep_wal(bool keep);

  private:
    struct Close {
        void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
    };
    std::unique_ptr<sqlite3, Close> db_;
};

// A copy of all that `from` has, as one file of its own, not there before and synced. It is a copy of one
// moment, whoever writes meanwhile.
base::Status copy_database(Connection& from, const std::filesystem::path& to);
// The same in memory, to be tried out on.
base::Result<Connection> copy_in_memory(Connection& from);

}  // namespace gorb::store
