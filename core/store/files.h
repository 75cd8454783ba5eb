// The files of a database: their names, the lock, syncing, and putting one file in place of another so that
// no instant is without one.
//
// While SQLite has a database open, nothing else of this process may open that file: closing any descriptor
// of it would take SQLite's locks away. Hence look() instead of fstat().
// Errors: no_space and unavailable, with the system's words.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace gorb::store {

struct Paths {
    explicit Paths(std::filesystem::path directory);
    std::filesystem::path directory;
    std::filesystem::path database;  // gorb.db
    std::filesystem::path wal;       // gorb.db-wal
    std::filesystem::path shm;       // gorb.db-shm
    std::filesystem::path lock;      // gorb.lock
    std::filesystem::path made;      // gorb.db.new: one that is being made, worth nothing
    std::filesystem::path next;      // gorb.db.next: one that is whole and takes the place of gorb.db
};

// "path" + "-wal"
std::filesystem::path with_suffix(const std::filesystem::path& path, const std::string& suffix);

// What a name stands for now.
struct Look {
    bool there = false;
    dev_t device = 0;
    ino_t inode = 0;
    int64_t size = 0;
    bool same_file(const Look& other) const {
        return there == other.there && device == other.device && inode == other.inode;
    }
};
base::Result<Look> look(const std::filesystem::path& path);

// 0700, if it is not there, with what it is in; synced.
base::Status make_directory(const std::filesystem::path& directory);
base::Status make_file(const std::filesystem::path& path);  // 0600, empty, not there before
// What root has made in a folder of somebody else's becomes that one's: the daemon that runs as it must be
// able to open what `gorbd --restore` or `--import` has left there.
void hand_over(const std::filesystem::path& path);
base::Status sync_file(const std::filesystem::path& path);
base::Status sync_directory(const std::filesystem::path& directory);
// Also when there is none.
base::Status remove_file(const std::filesystem::path& path);
base::Status rename_file(const std::filesystem::path& from, const std::filesystem::path& to);
// The same, but errc exists if `to` is there.
base::Status rename_new(const std::filesystem::path& from, const std::filesystem::path& to);
// What is left of one that was being made: the file and SQLite's beside it.
base::Status remove_database(const std::filesystem::path& file);

// "20240501T120000Z"
std::string stamp();

// `paths.made` is whole and synced: it becomes the database. The present one, if any, is kept beside it as
// gorb.db.WORD-STAMP, with its WAL. Whatever happens in between, finish_replacing() at the next start ends
// it.
base::Status replace_database(const Paths& paths, const std::string& word);
base::Status finish_replacing(const Paths& paths, const std::string& word);

// Held by one process at a time, with its pid in the file.
class Lock {
  public:
    Lock() = default;
    Lock(Lock&& other) noexcept;
    Lock& operator=(Lock&& other) noexcept;
    ~Lock();
    // unavailable, with the other's pid, when another process holds it.
    static base::Result<Lock> take(const std::filesystem::path& path);
    // Whether the name still stands for the file that is locked.
    bool holds(const std::filesystem::path& path) const;

  private:
    int descriptor_ = -1;
};

}  // namespace gorb::store
