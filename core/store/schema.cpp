#include "store/schema.h"

namespace gorb::store {
namespace {

// The comments stay in the file: `sqlite3 gorb.db .schema` shows them.
constexpr const char* tables = R"(
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  identity TEXT NOT NULL,     -- of this database, made with it
  revision INTEGER NOT NULL,  -- the newest state's is this or the highest of a row's
  refused INTEGER NOT NULL,   -- transactions that the disk refused at their end
  crc INTEGER NOT NULL        -- CRC-32 of the row's values; 0: not checked
) STRICT;
CREATE TABLE service (
  name TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,  -- of the last change to the service's own fields
  origin INTEGER NOT NULL,    -- 0: REST or imported, 1: a declarative file
  deleting INTEGER NOT NULL,  -- 1: goes with its last backend
  address TEXT NOT NULL,      -- 10.0.0.1:80/tcp
  settings TEXT NOT NULL,     -- JSON, as GET /service/NAME shows its options
  crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE backend (
  service TEXT NOT NULL REFERENCES service (name) ON DELETE CASCADE,
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  address TEXT NOT NULL,      -- 10.1.0.1:80
  settings TEXT NOT NULL,     -- JSON, as GET /service/SERVICE/NAME shows its options
  crc INTEGER NOT NULL,
  drain INTEGER NOT NULL DEFAULT 0,    -- since when it drains as it does, ns since 1970; 0: it does not
  PRIMARY KEY (service, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE health (
  service TEXT NOT NULL,
  backend TEXT NOT NULL,
  state INTEGER NOT NULL,     -- what was last known: 0 unknown, 1 up, 2 down
  since INTEGER NOT NULL,     -- ns since 1970, 0: unknown
  back INTEGER NOT NULL,      -- when it came back, while its weight still grows
  crc INTEGER NOT NULL,
  share INTEGER NOT NULL DEFAULT 100,  -- per cent of its weight that its pulse asked for
  PRIMARY KEY (service, backend),
  FOREIGN KEY (service, backend) REFERENCES backend (service, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE leaving (
  service TEXT NOT NULL,      -- 10.0.0.1:80/tcp: a kernel entry that was ours and is to go
  backend TEXT NOT NULL,      -- one destination of it, or '' for the service itself
  crc INTEGER NOT NULL,
  granted INTEGER NOT NULL DEFAULT 0,  -- 1: its removal has passed the guard, which does not ask again
  PRIMARY KEY (service, backend)
) STRICT, WITHOUT ROWID;
CREATE TABLE vip (
  address TEXT PRIMARY KEY,   -- that gorb added to an interface
  crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)";

constexpr Step all_steps[] = {
    // Columns are added so that the CRCs of the rows that there are stay as they are: see
    // RowSum::add_later().
    {1,
     "ALTER TABLE backend ADD COLUMN drain INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE leaving ADD COLUMN granted INTEGER NOT NULL DEFAULT 0"},
    // Nothing to do but to say so: an older gorbd would go by the revision in meta alone, and use numbers
    // twice.
    {2, ""},
    {3, "ALTER TABLE health ADD COLUMN share INTEGER NOT NULL DEFAULT 100"},
};

base::Status run(Connection& file, const char* sql, const std::string& doing) {
    const int code = file.exec(sql);
    if (code != SQLITE_OK) return base::fail(file.error(code, doing));
    return {};
}

base::Result<int64_t> number(Connection& file, const char* sql, const std::string& path) {
    return file.value(sql, "can not read " + path).map([](const std::string& text) {
        return static_cast<int64_t>(std::strtoll(text.c_str(), nullptr, 10));
    });
}

base::Status take_steps(Connection& file, const std::string& path, int64_t version, const Schema& schema) {
    const std::string doing = "can not bring " + path + " from schema " + std::to_string(version) + " to " +
                              std::to_string(schema.version);
    auto done = run(file, "BEGIN IMMEDIATE", doing);
    for (const Step& step : schema.steps) {
        if (!done || step.from != version) continue;
        done = run(file, step.sql, doing);
        ++version;
    }
    if (done && version != schema.version) {
        done = base::fail(base::Errc::unsupported, doing +
                                                       ": this gorbd does not know how; take one of the "
                                                       "versions in between first");
    }
    if (done) done = run(file, ("PRAGMA user_version=" + std::to_string(schema.version)).c_str(), doing);
    if (done) done = run(file, "COMMIT", doing);
    if (!done && sqlite3_get_autocommit(file.raw()) == 0) file.exec("ROLLBACK");
    return done;
}

}  // namespace

const Schema& schema() {
    static constexpr Schema newest{4, all_steps, tables};
    return newest;
}

base::Status make_tables(Connection& file, const Schema& schema) {
    const std::string sql = "PRAGMA application_id=" + std::to_string(application_id) +
                            ";PRAGMA user_version=" + std::to_string(schema.version) + ";" + schema.tables;
    return run(file, sql.c_str(), "can not make the tables of a new database");
}

base::Result<int64_t> read_version(Connection& file, const std::string& path, const Schema& schema) {
    const auto id = number(file, "PRAGMA application_id", path);
    if (!id) return base::fail(id.error());
    if (*id != application_id) {
        return base::fail(base::Errc::unsupported,
                          path + " is no database of gorb (its application_id is " + std::to_string(*id) +
                              ", not " + std::to_string(application_id) +
                              "): name another folder, move the file away, or, if it is damaged, `gorbd "
                              "--restore COPY`");
    }
    auto version = number(file, "PRAGMA user_version", path);
    if (version && *version > schema.version) {
        return base::fail(
            base::Errc::unsupported,
            path + " was written by a newer gorbd (schema " + std::to_string(*version) +
                ", this one knows up to " + std::to_string(schema.version) +
                "): install that version again, or `gorbd --restore` a copy from before it, such as "
                "gorb.db.schema-N, which an upgrade leaves beside the database");
    }
    const int64_t oldest = schema.steps.empty() ? schema.version : schema.steps.front().from;
    if (version && *version < oldest)
        return base::fail(
            damaged(path, "its schema is " + std::to_string(*version) + ", which no gorbd has written"));
    return version;
}

base::Status upgrade(Connection& file, const std::string& path, const Schema& schema) {
    const auto version = read_version(file, path, schema);
    if (!version) return base::fail(version.error());
    return *version == schema.version ? base::Status{} : take_steps(file, path, *version, schema);
}

base::Status bring_up_to_date(Connection& file, const Paths& paths, const Schema& schema) {
    const std::string path = paths.database.string();
    const auto version = read_version(file, path, schema);
    if (!version) return base::fail(version.error());
    if (*version == schema.version) return {};
    if (auto removed = remove_database(paths.made); !removed) return removed;
    if (auto copied = copy_database(file, paths.made); !copied) return copied;
    const auto kept = with_suffix(paths.database, ".schema-" + std::to_string(*version));
    if (auto renamed = rename_file(paths.made, kept); !renamed) return renamed;
    if (auto synced = sync_directory(paths.directory); !synced) return synced;
    return take_steps(file, path, *version, schema);
}

base::Status set_pragmas(Connection& file, const std::string& path) {
    struct Wanted {
        std::string set, ask, value;
    };
    const std::string kept = std::to_string(wal_kept);
    const Wanted all[] = {
        // Setting it gives what it is then.
        {"PRAGMA foreign_keys=ON", "PRAGMA foreign_keys", "1"},
        {"PRAGMA synchronous=FULL", "PRAGMA synchronous", "2"},
        {"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", "1"},
        {"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", "2"},
        {"PRAGMA wal_autocheckpoint=0", "PRAGMA wal_autocheckpoint", "0"},  // not before an answer
        {"PRAGMA journal_size_limit=" + kept, "PRAGMA journal_size_limit", kept},
        {"PRAGMA journal_mode=WAL", "PRAGMA journal_mode", "wal"},
    };
    const std::string doing = "can not open " + path;
    for (const Wanted& pragma : all) {
        if (auto set = run(file, pragma.set.c_str(), doing); !set) return set;
        const auto is = file.value(pragma.ask.c_str(), doing);
        if (!is) return base::fail(is.error());
        if (*is != pragma.value) {
            return base::fail(base::Errc::unavailable, doing + ": SQLite refuses `" + pragma.set +
                                                           "` (it is " + *is +
                                                           "); does the folder's file system have "
                                                           "shared memory and locks?");
        }
    }
    return {};
}

base::Error damaged(const std::string& path, const std::string& what) {
    return {
        base::Errc::io,
        path + " is damaged: " + what +
            "; nothing was changed. `gorbd --check-store` lists what is wrong, `gorbd --restore COPY` puts "
            "a backup in its place",
        {},
        0};
}

}  // namespace gorb::store
