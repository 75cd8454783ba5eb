// A disk that loses its power, or can not be written, beneath a whole gorbd. It is preloaded (LD_PRELOAD) and
// notes what was synced: of a file its bytes, of a folder its names. What a cut leaves is made of that by
// powercut.py, which also says when it comes.
//
// POWERCUT_ROOT is the folder that is looked at, POWERCUT_SHADOW one on the same file system:
//   control      two int64: how many operations are still done before the power goes (negative: all), and the
//                errno with which they fail (0: they do not)
//   pin/INODE    a second name of each file that was noted, so that its number is not given to another one
//   data/INODE   what was in the file when it was synced last
//   names/INODE  what was in the folder then: lines of "INODE NAME"
// These are put in place by renaming, so a kill at any instant leaves what was before or what is after.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

namespace {

struct Control {
    std::atomic<int64_t> left;
    std::atomic<int64_t> failure;
};

template <class F>
F real(const char* name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

std::string setting(const char* name) {
    const char* value = getenv(name);
    return value ? value : "";
}

const std::string& root() {
    static const auto* made = new std::string(setting("POWERCUT_ROOT"));
    return *made;
}
const std::string& shadow() {
    static const auto* made = new std::string(setting("POWERCUT_SHADOW"));
    return *made;
}

Control* control() {
    static Control* mapped = [] {
        const int fd =
            real<int (*)(const char*, int, ...)>("open")((shadow() + "/control").c_str(), O_RDWR | O_CLOEXEC);
        void* at = mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) {
            fprintf(stderr, "powercut: POWERCUT_SHADOW must be a folder with the file control\n");
            _exit(99);
        }
        close(fd);
        return static_cast<Control*>(at);
    }();
    return mapped;
}

bool looked_at(const std::string& path) {
    return !root().empty() && path.starts_with(root()) && (path == root() || path[root().size()] == '/');
}

std::string path_of(int fd) {
    char path[4096];
    const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    return {path, n > 0 ? static_cast<size_t>(n) : 0};
}

// Before an operation. False: it fails, with errno.
bool goes_on(const std::string& path) {
    if (!looked_at(path)) return true;
    if (control()->left >= 0 && control()->left.fetch_sub(1) <= 0) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = static_cast<int>(control()->failure);
    return errno == 0;
}

// ---- what was synced

std::mutex noting;

std::string place(const char* kind, ino_t inode) {
    return shadow() + "/" + kind + "/" + std::to_string(inode);
}

void put(const std::string& path, const std::string& bytes) {
    const std::string part = path + ".part";
    FILE* file = fopen(part.c_str(), "wb");
    const bool whole = file && fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    if (!file || fclose(file) != 0 || !whole || rename(part.c_str(), path.c_str()) != 0) {
        fprintf(stderr, "powercut: can not write %s\n", path.c_str());
        _exit(99);
    }
}

// Keeps what a name leads to, also when that name goes. One that is gone again already was not synced either.
void pin(int folder, const char* name, ino_t inode, int flags) {
    if (linkat(folder, name, AT_FDCWD, place("pin", inode).c_str(), flags) == 0) return;
    if (errno == EEXIST || errno == ENOENT || errno == EPERM) return;  // EPERM: a folder in it
    fprintf(stderr, "powercut: can not keep %s: %s\n", name, strerror(errno));
    _exit(99);
}

void note(int fd) {
    if (!looked_at(path_of(fd))) return;
    const std::lock_guard lock(noting);
    struct stat found {};
    if (fstat(fd, &found) != 0) return;
    std::string bytes;
    if (S_ISDIR(found.st_mode)) {
        // Not by a copy of `fd`, which would share its place in the listing.
        DIR* folder = opendir(path_of(fd).c_str());
        while (const dirent* entry = folder ? readdir(folder) : nullptr) {
            const std::string name = entry->d_name;
            if (name == "." || name == "..") continue;
            pin(fd, name.c_str(), entry->d_ino, 0);
            bytes.append(std::to_string(entry->d_ino)).append(" ").append(name).append("\n");
        }
        if (folder) closedir(folder);
        put(place("names", found.st_ino), bytes);
        return;
    }
    pin(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd)).c_str(), found.st_ino, AT_SYMLINK_FOLLOW);
    // By `fd` itself: to close another descriptor of the file would take SQLite's locks away.
    bytes.resize(static_cast<size_t>(found.st_size));
    const ssize_t n = pread(fd, bytes.data(), bytes.size(), 0);
    bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
    put(place("data", found.st_ino), bytes);
}

int synced(int fd, const char* how) {
    if (!goes_on(path_of(fd))) return -1;
    const int done = real<int (*)(int)>(how)(fd);
    if (done == 0) note(fd);
    return done;
}

int opened(const char* how, const char* path, int flags, mode_t mode) {
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    if (writes && !goes_on(path)) return -1;
    return real<int (*)(const char*, int, ...)>(how)(path, flags, mode);
}

ssize_t written(const char* how, int fd, const void* bytes, size_t size, off_t at) {
    if (!goes_on(path_of(fd))) return -1;
    return real<ssize_t (*)(int, const void*, size_t, off_t)>(how)(fd, bytes, size, at);
}

int cut_off(const char* how, int fd, off_t size) {
    if (!goes_on(path_of(fd))) return -1;
    return real<int (*)(int, off_t)>(how)(fd, size);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return opened("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return opened("open64", path, flags, mode);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
    return written("pwrite", fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
    return written("pwrite64", fd, bytes, size, at);
}

int ftruncate(int fd, off_t size) noexcept {
    return cut_off("ftruncate", fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
    return cut_off("ftruncate64", fd, size);
}

int fsync(int fd) {
    return synced(fd, "fsync");
}
int fdatasync(int fd) {
    return synced(fd, "fdatasync");
}

int rename(const char* from, const char* to) noexcept {
    if (!goes_on(to)) return -1;
    return real<int (*)(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
    if (!goes_on(to)) return -1;
    return real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2")(from_fd, from, to_fd, to,
                                                                                    flags);
}

int unlink(const char* path) noexcept {
    if (!goes_on(path)) return -1;
    return real<int (*)(const char*)>("unlink")(path);
}

int mkdir(const char* path, mode_t mode) noexcept {
    if (!goes_on(path)) return -1;
    return real<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

}  // extern "C"
