#include "bare.h"

#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>

namespace gorb::bench {
namespace {

void must(int code) {
    if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
    std::fprintf(stderr, "bare SQLite: %s\n", sqlite3_errstr(code));
    std::abort();
}

}  // namespace

Bare::Bare(const std::filesystem::path& file) : thread_([this, file] { run(file); }) {}

Bare::~Bare() {
    {
        std::lock_guard guard(lock_);
        ending_ = true;
    }
    more_.notify_one();
    thread_.join();
}

void Bare::put(std::string key, std::string value, std::function<void()> done) {
    {
        std::lock_guard guard(lock_);
        queue_.push_back({std::move(key), std::move(value), std::move(done)});
    }
    more_.notify_one();
}

void Bare::run(const std::filesystem::path& file) {
    sqlite3* db = nullptr;
    must(sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                         nullptr));
    must(sqlite3_exec(db,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                      "CREATE TABLE row (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
                      nullptr, nullptr, nullptr));
    sqlite3_stmt *put = nullptr, *begin = nullptr, *commit = nullptr;
    must(sqlite3_prepare_v2(db,
                            "INSERT INTO row (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = "
                            "excluded.value",
                            -1, &put, nullptr));
    must(sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &begin, nullptr));
    must(sqlite3_prepare_v2(db, "COMMIT", -1, &commit, nullptr));
    const auto step = [](sqlite3_stmt* statement) {
        must(sqlite3_step(statement));
        must(sqlite3_reset(statement));
    };
    for (;;) {
        std::deque<Job> work;
        {
            std::unique_lock guard(lock_);
            more_.wait(guard, [this] { return ending_ || !queue_.empty(); });
            work.swap(queue_);
        }
        if (work.empty()) break;
        step(begin);
        for (const Job& job : work) {
            sqlite3_bind_text(put, 1, job.key.data(), static_cast<int>(job.key.size()), SQLITE_STATIC);
            sqlite3_bind_text(put, 2, job.value.data(), static_cast<int>(job.value.size()), SQLITE_STATIC);
            step(put);
        }
        step(commit);
        for (const Job& job : work) job.done();
    }
    for (sqlite3_stmt* statement : {put, begin, commit}) sqlite3_finalize(statement);
    sqlite3_close(db);
}

}  // namespace gorb::bench
