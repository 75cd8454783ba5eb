#include "store/opening.h"

#include <sys/statvfs.h>

#include "base/log.h"
#include "store/durable.h"
#include "store/rows.h"

namespace gorb::store {
namespace {

using base::Errc;
using base::Result;
using base::Status;

// Beyond this the pages are not checked at the start, which has to be quick: reading every row, which
// follows, comes by nearly all of them.
constexpr int64_t quick_check_most = 8 << 20;

base::Error judged(base::Error error, const std::string& path) {
    if (!is_damage(error)) return error;
    return damaged(path, error.sentence);
}

Status refuse_remains(const Paths& paths) {
    const auto database = look(paths.database);
    if (!database) return base::fail(database.error());
    if (database->there && database->size > 0) return {};
    const std::string path = paths.database.string();
    if (database->there) {
        return base::fail(Errc::io,
                          path +
                              " is empty, which no database of gorb ever is: `gorbd --restore COPY` puts "
                              "a backup in its place; delete it if you want to begin anew");
    }
    const auto wal = look(paths.wal);
    if (!wal) return base::fail(wal.error());
    if (!wal->there || wal->size == 0) return {};
    return base::fail(Errc::io, path + " is missing, but " + paths.wal.string() +
                                    ", which belongs to it, is there: put the file back, or `gorbd --restore "
                                    "COPY`; delete that one too if you want to begin anew");
}

// A file that was closed well, on a disk that can only be read (a snapshot, or one that has failed): SQLite
// would make files beside it there, unless it is told that nobody writes.
bool is_at_rest(const std::filesystem::path& path) {
    struct statvfs disk {};
    if (::statvfs(path.c_str(), &disk) != 0 || (disk.f_flag & ST_RDONLY) == 0) return false;
    const auto wal = look(with_suffix(path, "-wal"));
    return wal && (!wal->there || wal->size == 0);
}

// As SQLite has it: https://sqlite.org/uri.html
std::string uri_at_rest(const std::filesystem::path& path) {
    std::string uri = path.is_absolute() ? "file://" : "file:";
    for (const char c : path.native()) {
        switch (c) {
            case '%':
                uri += "%25";
                break;
            case '?':
                uri += "%3f";
                break;
            case '#':
                uri += "%23";
                break;
            default:
                uri += c;
        }
    }
    return uri += "?immutable=1";
}

// What is made of it when it fails stays.
Status write_database(const Paths& paths, const Loaded& all, const OpenOptions& options,
                      const Schema& schema) {
    if (auto made = make_file(paths.made); !made) return made;
    hand_over(paths.made);
    {
        auto file = Connection::open(paths.made, SQLITE_OPEN_READWRITE, options.vfs);
        if (!file) return base::fail(std::move(file.error()));
        const std::string doing = "can not make " + paths.made.string();
        // It counts only once it is whole and synced.
        int code = file->exec(
            "PRAGMA journal_mode=MEMORY;PRAGMA synchronous=OFF;PRAGMA foreign_keys=ON;PRAGMA "
            "cache_size=-16384;BEGIN");
        if (code != SQLITE_OK) return base::fail(file->error(code, doing));
        if (auto tables = make_tables(*file, schema); !tables) return tables;
        RowWriter rows;
        code = rows.prepare(*file);
        if (code == SQLITE_OK) code = rows.put_all(all);
        if (code == SQLITE_OK) code = file->exec("COMMIT");
        if (code != SQLITE_OK) return base::fail(file->error(code, doing));
    }
    return sync_file(paths.made);
}

}  // namespace

Status make_database(const Paths& paths, const Loaded& all, const OpenOptions& options,
                     const Schema& schema) {
    if (auto removed = remove_database(paths.made); !removed) return removed;
    Status written = write_database(paths, all, options, schema);
    // On a disk that is full a part of it would be in the way of the present one.
    if (!written) (void)remove_database(paths.made);
    return written;
}

Status prepare_files(const Paths& paths, const OpenOptions& options, const Schema& schema) {
    const auto next = look(paths.next);
    if (!next) return base::fail(next.error());
    if (next->there) {
        base::log_warning("the database was being replaced when gorbd ended; it is now",
                          {{"file", paths.database.string()}});
        if (auto ended = finish_replacing(paths, "replaced"); !ended) return ended;
    }
    if (auto refused = refuse_remains(paths); !refused) return refused;
    const auto database = look(paths.database);
    if (!database || database->there) return {};
    Loaded nothing;
    nothing.identity = new_identity();
    if (auto made = make_database(paths, nothing, options, schema); !made) return made;
    if (auto renamed = rename_file(paths.made, paths.database); !renamed) return renamed;
    return sync_directory(paths.directory);
}

Result<Connection> open_file(const Paths& paths, const OpenOptions& options, const Schema& schema) {
    const std::string path = paths.database.string();
    auto file = Connection::open(paths.database, SQLITE_OPEN_READWRITE, options.vfs);
    if (!file) return base::fail(judged(std::move(file.error()), path));
    file->keep_wal(true);
    const auto version = read_version(*file, path, schema);
    if (!version) return base::fail(judged(version.error(), path));
    // Before anything is written to it.
    if (const auto size = look(paths.database); size && size->size <= quick_check_most) {
        auto words = file->value("PRAGMA quick_check(1)", "can not check " + path);
        if (!words) return base::fail(judged(std::move(words.error()), path));
        if (*words != "ok") return base::fail(damaged(path, *words));
    }
    if (auto set = set_pragmas(*file, path); !set) return base::fail(judged(std::move(set.error()), path));
    if (sqlite3_db_readonly(file->raw(), "main") != 0) {
        return base::fail(Errc::unavailable,
                          path + " can not be written: make the file and its folder writable for gorbd");
    }
    // What can not be read is left to the gorbd that wrote it.
    if (*version != schema.version) {
        if (auto readable = read_any(*file, path, schema); !readable)
            return base::fail(judged(std::move(readable.error()), path));
    }
    if (auto new_enough = bring_up_to_date(*file, paths, schema); !new_enough)
        return base::fail(judged(std::move(new_enough.error()), path));
    return file;
}

Result<Connection> open_to_read(const std::filesystem::path& path, const Schema& schema) {
    const auto found = look(path);
    if (!found) return base::fail(found.error());
    if (!found->there) return base::fail(Errc::not_found, "there is no database " + path.string());
    if (found->size == 0) return base::fail(damaged(path.string(), "it is empty"));
    // Reading a WAL needs the files beside it, and may make them, so not SQLITE_OPEN_READONLY, which would
    // leave them behind. Where the file is not writable, SQLite reads it all the same.
    const auto wal = look(with_suffix(path, "-wal"));
    auto file = is_at_rest(path) ? Connection::open(uri_at_rest(path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI)
                                 : Connection::open(path, SQLITE_OPEN_READWRITE);
    if (!file) return base::fail(judged(std::move(file.error()), path.string()));
    // What is there already stays, for the next start (~Durable()).
    file->keep_wal(!wal || wal->there);
    file->exec("PRAGMA cell_size_check=ON");
    const auto version = read_version(*file, path.string(), schema);
    if (version) return file;
    file->keep_wal(true);
    return base::fail(judged(version.error(), path.string()));
}

Result<Loaded> read_any(Connection& file, const std::string& path, const Schema& schema) {
    const auto version = read_version(file, path, schema);
    if (!version) return base::fail(version.error());
    if (*version == schema.version) return read_rows(file, path);
    auto copy = copy_in_memory(file);
    if (!copy) return base::fail(std::move(copy.error()));
    if (auto upgraded = upgrade(*copy, path, schema); !upgraded)
        return base::fail(std::move(upgraded.error()));
    return read_rows(*copy, path);
}

Result<std::string> findings(Connection& file, const std::string& path, unsigned most) {
    std::string found;
    const auto add = [&found](std::string_view text) { (found += found.empty() ? "" : "\n") += text; };
    Statement statement;
    int code = file.prepare("PRAGMA integrity_check(" + std::to_string(most) + ")", statement);
    if (code == SQLITE_OK) code = statement.step();
    for (; code == SQLITE_ROW; code = statement.step()) {
        if (statement.text(0) != "ok") add(statement.text(0));
    }
    if (code != SQLITE_DONE) {
        const base::Error error = file.error(code, "can not check " + path);
        if (!is_damage(error)) return base::fail(error);
        add(error.sentence);
    }
    code = file.prepare("PRAGMA foreign_key_check", statement);
    if (code == SQLITE_OK) code = statement.step();
    for (unsigned n = 0; code == SQLITE_ROW && n < most; ++n, code = statement.step())
        add("a row of " + std::string(statement.text(0)) + " refers to one of " +
            std::string(statement.text(2)) + " that is not there");
    if (code != SQLITE_DONE && code != SQLITE_ROW) add(file.error(code, "its references").sentence);
    statement = {};
    const auto version = file.value("PRAGMA user_version", "");
    if (version && *version == std::to_string(schema().version)) {
        RowWriter rows;
        code = rows.prepare(file);
        if (code != SQLITE_OK) add(file.error(code, "its tables").sentence);
    }
    if (const auto all = read_any(file, path, schema()); !all) {
        if (!is_damage(all.error())) return base::fail(all.error());
        add(all.error().sentence);
    }
    if (!found.empty()) file.keep_wal(true);
    return found;
}

Result<std::unique_ptr<Database>> open_with(const std::filesystem::path& directory,
                                            const OpenOptions& options, const Schema& schema) {
    const Paths paths(directory);
    if (auto made = make_directory(directory); !made) return base::fail(std::move(made.error()));
    auto lock = Lock::take(paths.lock);
    if (!lock) return base::fail(std::move(lock.error()));
    if (auto prepared = prepare_files(paths, options, schema); !prepared)
        return base::fail(std::move(prepared.error()));
    auto file = open_file(paths, options, schema);
    if (!file) return base::fail(std::move(file.error()));
    RowWriter rows;
    if (const int code = rows.prepare(*file); code != SQLITE_OK)
        return base::fail(judged(file->error(code, "its tables"), paths.database.string()));
    return std::make_unique<Durable>(paths, options, schema, std::move(*lock), std::move(*file),
                                     std::move(rows));
}

Result<std::unique_ptr<Database>> open_database(const std::filesystem::path& directory,
                                                const OpenOptions& options) {
    return open_with(directory, options, schema());
}

}  // namespace gorb::store
