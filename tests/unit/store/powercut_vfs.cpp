#include "unit/store/powercut_vfs.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gorb::store {
namespace {

PowerCut* disk = nullptr;
sqlite3_vfs* real = nullptr;

struct Handle {
    sqlite3_file base;
    PowerCut::File* file;  // nullptr: not looked at
    sqlite3_file* under() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* under(sqlite3_file* f) {
    return reinterpret_cast<Handle*>(f)->under();
}
PowerCut::File* of(sqlite3_file* f) {
    return reinterpret_cast<Handle*>(f)->file;
}

void announce(sqlite3_file* f) {
    if (of(f) && disk->before) disk->before();
}

// Whether one of so many failures is this one's.
bool fails(std::atomic<int>& left) {
    int now = left;
    while (now > 0 && !left.compare_exchange_weak(now, now - 1)) {
    }
    return now > 0;
}

int close_file(sqlite3_file* f) {
    return under(f)->pMethods ? under(f)->pMethods->xClose(under(f)) : SQLITE_OK;
}
int read_file(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
    return under(f)->pMethods->xRead(under(f), to, n, at);
}
int write_file(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
    announce(f);
    if (of(f) && fails(disk->failing_writes)) return disk->write_failure;
    const int code = under(f)->pMethods->xWrite(under(f), from, n, at);
    if (code == SQLITE_OK && of(f))
        disk->changed(*of(f), {at, {static_cast<const char*>(from), static_cast<size_t>(n)}, -1});
    return code;
}
int truncate_file(sqlite3_file* f, sqlite3_int64 size) {
    announce(f);
    const int code = under(f)->pMethods->xTruncate(under(f), size);
    if (code == SQLITE_OK && of(f)) disk->changed(*of(f), {0, {}, size});
    return code;
}
int sync_file(sqlite3_file* f, int) {
    announce(f);
    if (!of(f)) return SQLITE_OK;
    if (fails(disk->failing_syncs)) return SQLITE_IOERR_FSYNC;
    disk->synced(*of(f));
    return SQLITE_OK;  // the real disk does not matter here
}
int file_size(sqlite3_file* f, sqlite3_int64* size) {
    return under(f)->pMethods->xFileSize(under(f), size);
}
int lock_file(sqlite3_file* f, int level) {
    return under(f)->pMethods->xLock(under(f), level);
}
int unlock_file(sqlite3_file* f, int level) {
    return under(f)->pMethods->xUnlock(under(f), level);
}
int check_reserved(sqlite3_file* f, int* out) {
    return under(f)->pMethods->xCheckReservedLock(under(f), out);
}
int control(sqlite3_file* f, int op, void* arg) {
    return under(f)->pMethods->xFileControl(under(f), op, arg);
}
int sector_size(sqlite3_file* f) {
    return under(f)->pMethods->xSectorSize(under(f));
}
int characteristics(sqlite3_file*) {
    return 0;  // it promises nothing
}
int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** to) {
    return under(f)->pMethods->xShmMap(under(f), page, size, extend, to);
}
int shm_lock(sqlite3_file* f, int offset, int n, int flags) {
    return under(f)->pMethods->xShmLock(under(f), offset, n, flags);
}
void shm_barrier(sqlite3_file* f) {
    under(f)->pMethods->xShmBarrier(under(f));
}
int shm_unmap(sqlite3_file* f, int remove) {
    return under(f)->pMethods->xShmUnmap(under(f), remove);
}

const sqlite3_io_methods methods = {2,           close_file,  read_file,       write_file,  truncate_file,
                                    sync_file,   file_size,   lock_file,       unlock_file, check_reserved,
                                    control,     sector_size, characteristics, shm_map,     shm_lock,
                                    shm_barrier, shm_unmap,   nullptr,         nullptr};

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* f, int flags, int* out) {
    auto* handle = reinterpret_cast<Handle*>(f);
    handle->base.pMethods = nullptr;
    handle->file = path ? disk->file(path) : nullptr;
    const int code = real->xOpen(real, path, handle->under(), flags, out);
    if (code == SQLITE_OK) handle->base.pMethods = &methods;
    return code;
}
int delete_file(sqlite3_vfs*, const char* path, int sync) {
    if (disk->before) disk->before();
    const int code = real->xDelete(real, path, 0);
    if (code == SQLITE_OK) disk->removed(path, sync != 0);
    return code;
}

sqlite3_vfs made;

std::string short_name(const std::string& path) {
    return std::filesystem::path(path).filename();
}

void apply(std::string& bytes, int64_t at, std::string_view data) {
    const size_t end = static_cast<size_t>(at) + data.size();
    if (bytes.size() < end) bytes.resize(end, '\0');
    std::ranges::copy(data, bytes.begin() + at);
}

}  // namespace

PowerCut::PowerCut() {
    disk = this;
    real = sqlite3_vfs_find(nullptr);
    made = *real;
    made.zName = name;
    made.pNext = nullptr;
    made.szOsFile = static_cast<int>(sizeof(Handle)) + real->szOsFile;
    made.xOpen = open_file;
    made.xDelete = delete_file;
    sqlite3_vfs_register(&made, 0);
}

PowerCut::~PowerCut() {
    sqlite3_vfs_unregister(&made);
    disk = nullptr;
}

PowerCut::File* PowerCut::file(const std::string& path) {
    const std::string base = short_name(path);
    if (base != "gorb.db" && base != "gorb.db-wal") return nullptr;
    std::lock_guard guard(lock_);
    File& file = files_[base];
    std::error_code ignored;
    if (!file.there && file.changes.empty() && std::filesystem::exists(path, ignored)) {
        std::ifstream in(path, std::ios::binary);
        file.synced.assign(std::istreambuf_iterator<char>(in), {});
        file.there = true;
    }
    file.removed = false;
    return &file;
}

void PowerCut::changed(File& file, Change change) {
    std::lock_guard guard(lock_);
    file.changes.push_back(std::move(change));
}

void PowerCut::synced(File& file) {
    std::lock_guard guard(lock_);
    ++syncs;
    for (const Change& change : file.changes) {
        if (change.size >= 0) {
            file.synced.resize(static_cast<size_t>(change.size), '\0');
        } else {
            apply(file.synced, change.at, change.data);
        }
    }
    file.changes.clear();
    file.there = true;
}

void PowerCut::removed(const std::string& path, bool synced_too) {
    std::lock_guard guard(lock_);
    const auto found = files_.find(short_name(path));
    if (found == files_.end()) return;
    found->second.removed = true;
    if (synced_too) found->second = {};
}

PowerCut::Image PowerCut::cut(Unsynced unsynced, std::mt19937_64& random) {
    constexpr size_t sector = 512;
    const auto kept = [&] {
        return unsynced == Unsynced::kept || (unsynced == Unsynced::some && random() % 2 == 0);
    };
    std::lock_guard guard(lock_);
    Image image;
    for (const auto& [name_of_it, file] : files_) {
        if (file.removed && kept()) continue;
        if (!file.there && !kept()) continue;
        std::string bytes = file.synced;
        for (const Change& change : file.changes) {
            if (change.size >= 0) {
                if (kept()) bytes.resize(static_cast<size_t>(change.size), '\0');
                continue;
            }
            for (size_t i = 0; i < change.data.size();) {
                // Up to the next border of a sector.
                const size_t at = static_cast<size_t>(change.at) + i;
                const size_t n = std::min(change.data.size() - i, sector - at % sector);
                if (kept())
                    apply(bytes, static_cast<int64_t>(at), std::string_view(change.data).substr(i, n));
                i += n;
            }
        }
        image.emplace(name_of_it, std::move(bytes));
    }
    return image;
}

}  // namespace gorb::store
