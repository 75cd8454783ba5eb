#include "store/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace gorb::store {
namespace {

namespace fs = std::filesystem;

tl::unexpected<base::Error> failed(const std::string& doing, int error) {
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    std::string sentence = "can not " + doing + ": " + std::strerror(error);  // NOLINT: our text
    if (full) sentence += "; make room on that disk";
    if (error == EACCES || error == EPERM || error == EROFS)
        sentence += "; the folder must be writable for gorbd";
    return base::fail(full ? base::Errc::no_space : base::Errc::unavailable, std::move(sentence), error);
}

class Descriptor {
  public:
    Descriptor(const fs::path& path, int flags, mode_t mode = 0)
        : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    int get() const { return descriptor_; }

  private:
    int descriptor_;
};

base::Status sync_path(const fs::path& path, int flags) {
    const Descriptor file(path, flags);
    if (file.get() < 0) return failed("open " + path.string(), errno);
    if (::fsync(file.get()) != 0) return failed("write " + path.string() + " to the disk", errno);
    return {};
}

// Never what a link leads to: the folder may be in hands that root does not trust.
void hand_over_open(int file, const fs::path& path) {
    struct stat own {};
    struct stat folder {};
    if (::geteuid() != 0 || ::fstat(file, &own) != 0 || own.st_uid != 0 || own.st_nlink != 1) return;
    const fs::path parent = path.has_parent_path() ? path.parent_path() : ".";
    if (::stat(parent.c_str(), &folder) == 0) (void)!::fchown(file, folder.st_uid, folder.st_gid);
}

// A folder is there after a power cut once the one that it is in is synced, so each is before there is
// anything in it. The last one that was there already may be of a start that was killed in between.
base::Status make_directories(const fs::path& directory, mode_t mode) {
    if (directory.has_relative_path() && !directory.has_filename())  // "a/"
        return make_directories(directory.parent_path(), mode);
    std::error_code error;
    if (fs::is_directory(directory, error)) {
        (void)sync_directory(directory.parent_path());  // it may be one that is not ours to read
        return {};
    }
    if (directory.has_parent_path()) {
        if (auto made = make_directories(directory.parent_path(), 0777); !made) return made;
    }
    if (::mkdir(directory.c_str(), mode) != 0 && errno != EEXIST)
        return failed("make the folder " + directory.string(), errno);
    return sync_directory(directory.parent_path());
}

}  // namespace

Paths::Paths(fs::path where)
    : directory(std::move(where)),
      database(directory / "gorb.db"),
      wal(directory / "gorb.db-wal"),
      shm(directory / "gorb.db-shm"),
      lock(directory / "gorb.lock"),
      made(directory / "gorb.db.new"),
      next(directory / "gorb.db.next") {}

fs::path with_suffix(const fs::path& path, const std::string& suffix) {
    return {path.native() + suffix};
}

// Without asking for its times: who was told those of a file makes Linux from 6.13 on keep them so exactly
// that each write which follows changes the inode, and an fsync of it takes half as long again.
base::Result<Look> look(const fs::path& path) {
    struct statx found {};
    if (::statx(AT_FDCWD, path.c_str(), 0, STATX_TYPE | STATX_INO | STATX_SIZE, &found) == 0)
        return Look{true, makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino,
                    static_cast<int64_t>(found.stx_size)};
    if (errno == ENOENT || errno == ENOTDIR) return Look{};
    return failed("look at " + path.string(), errno);
}

base::Status make_directory(const fs::path& directory) {
    return make_directories(directory, 0700);
}

base::Status make_file(const fs::path& path) {
    const Descriptor file(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file.get() < 0) return failed("make " + path.string(), errno);
    return {};
}

void hand_over(const fs::path& path) {
    const Descriptor file(path, O_RDONLY | O_NOFOLLOW);
    if (file.get() >= 0) hand_over_open(file.get(), path);
}

base::Status sync_file(const fs::path& path) {
    return sync_path(path, O_RDONLY);
}

base::Status sync_directory(const fs::path& directory) {
    return sync_path(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
}

base::Status remove_file(const fs::path& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed("remove " + path.string(), errno);
    return {};
}

base::Status rename_file(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0)
        return failed("rename " + from.string() + " to " + to.string(), errno);
    return {};
}

base::Status rename_new(const fs::path& from, const fs::path& to) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno == EEXIST)
        return base::fail(base::Errc::exists, to.string() + " is there already; name another file");
    if (errno != EINVAL && errno != ENOSYS) return failed("make " + to.string(), errno);
    return rename_file(from, to);  // a file system that has no such renaming
}

base::Status remove_database(const fs::path& file) {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
        if (auto removed = remove_file(with_suffix(file, suffix)); !removed) return removed;
    }
    return {};
}

std::string stamp() {
    std::string out;
    for (const char c : base::wall_text(base::SystemClock().wall())) {
        if (c == '.') break;
        if (c != '-' && c != ':') out += c;
    }
    return out + "Z";
}

base::Status replace_database(const Paths& paths, const std::string& word) {
    if (auto renamed = rename_file(paths.made, paths.next); !renamed) return renamed;
    if (auto synced = sync_directory(paths.directory); !synced) return synced;
    return finish_replacing(paths, word);
}

base::Status finish_replacing(const Paths& paths, const std::string& word) {
    const std::string first = paths.database.string() + "." + word + "-" + stamp();
    std::string aside = first;
    std::error_code ignored;
    for (int n = 2; fs::exists(aside, ignored); ++n) {
        aside = first;
        aside.append(".").append(std::to_string(n));
    }
    // The WAL must not be found beside another database than its own; SQLite finds it beside the copy.
    for (const char* suffix : {"", "-wal", "-shm"}) {
        const fs::path from = with_suffix(paths.database, suffix);
        const auto found = look(from);
        if (!found) return base::fail(found.error());
        if (!found->there) continue;
        if (auto moved = rename_file(from, aside + suffix); !moved) return moved;
    }
    if (auto synced = sync_directory(paths.directory); !synced) return synced;
    if (auto renamed = rename_file(paths.next, paths.database); !renamed) return renamed;
    return sync_directory(paths.directory);
}

// ---- Lock

Lock::Lock(Lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Lock& Lock::operator=(Lock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

Lock::~Lock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

base::Result<Lock> Lock::take(const fs::path& path) {
    Lock lock;
    lock.descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock.descriptor_ < 0) return failed("open " + path.string(), errno);
    hand_over_open(lock.descriptor_, path);
    if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return failed("lock " + path.string(), errno);
        char text[32] = {};
        const auto n = ::pread(lock.descriptor_, text, sizeof text - 1, 0);
        std::string pid(text, n > 0 ? static_cast<size_t>(n) : 0);
        pid.resize(std::min(pid.find_first_not_of("0123456789"), pid.size()));
        return base::fail(base::Errc::unavailable, path.parent_path().string() +
                                                       " is in use by another gorbd" +
                                                       (pid.empty() ? "" : " (process " + pid + ")") +
                                                       "; stop that one, or name another folder");
    }
    // Only for the sentence above; a full disk is no reason to go without the lock.
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock.descriptor_, 0) == 0) (void)!::pwrite(lock.descriptor_, pid.data(), pid.size(), 0);
    return lock;
}

bool Lock::holds(const fs::path& path) const {
    struct stat own {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &own) != 0) return false;
    const auto found = look(path);
    return found && found->there && found->device == own.st_dev && found->inode == own.st_ino;
}

}  // namespace gorb::store
