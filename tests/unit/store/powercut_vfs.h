// A disk that loses its power: a SQLite VFS that knows what was synced. Files are real ones beneath; what a
// cut leaves is made up from what was synced and, of the rest, what chance lets through.
//
// One at a time. Files made without SQLite count as synced when SQLite opens them.
#pragma once
#include <sqlite3.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace gorb::store {

class PowerCut {
  public:
    PowerCut();
    PowerCut(const PowerCut&) = delete;
    PowerCut& operator=(const PowerCut&) = delete;
    ~PowerCut();
    static constexpr const char* name = "powercut";

    // Files by their name without folder.
    using Image = std::map<std::string, std::string>;
    enum class Unsynced { lost, kept, some };
    // What the disk may hold now. `some`: of what was not synced, each sector of 512 bytes by itself.
    Image cut(Unsynced unsynced, std::mt19937_64& random);

    // Called before every write, sync, truncation and removal, by the thread that does it.
    std::function<void()> before;
    // So many syncs, writes fail from now on.
    std::atomic<int> failing_syncs{0}, failing_writes{0};
    std::atomic<int> write_failure{SQLITE_IOERR_WRITE};
    std::atomic<uint64_t> syncs{0};

    // ---- for the VFS
    struct Change {
        int64_t at;        // of a write
        std::string data;  // of a write
        int64_t size;      // of a truncation, else -1
    };
    struct File {
        std::string synced;
        bool there = false;    // the name is synced too
        bool removed = false;  // but not synced
        std::vector<Change> changes;
    };
    File* file(const std::string& path);  // by its name; nullptr if it is none of the database's
    void changed(File& file, Change change);
    void synced(File& file);
    void removed(const std::string& path, bool synced_too);

  private:
    std::mutex lock_;
    std::map<std::string, File> files_;
};

}  // namespace gorb::store
