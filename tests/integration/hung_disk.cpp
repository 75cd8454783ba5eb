// For LD_PRELOAD: a disk that hangs as long as a test wants it. While the file named by GORB_HUNG exists,
// opening what is below GORB_HUNG_FOLDER and making it durable does not return; of the first that waits a
// file with ".waits" behind that name tells.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

void wait_below(const char* path) {
    static const char* const folder = getenv("GORB_HUNG_FOLDER");
    static const char* const flag = getenv("GORB_HUNG");
    if (!folder || !flag || strncmp(path, folder, strlen(folder)) != 0) return;
    if (access(flag, F_OK) != 0) return;
    const std::string waits = std::string(flag) + ".waits";
    const long fd = syscall(SYS_openat, AT_FDCWD, waits.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) close(static_cast<int>(fd));
    while (access(flag, F_OK) == 0) usleep(5000);
}

void wait_for(int fd) {
    char path[4096] = "";
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (readlink(link.c_str(), path, sizeof path - 1) > 0) wait_below(path);
}

template <class Function>
Function real(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

DIR* opendir(const char* path) {
    wait_below(path);
    return real<DIR* (*)(const char*)>("opendir")(path);
}

int openat(int at, const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const auto mode = va_arg(more, mode_t);
    va_end(more);
    wait_below(path);
    return real<int (*)(int, const char*, int, mode_t)>("openat")(at, path, flags, mode);
}

int fsync(int fd) {
    wait_for(fd);
    return real<int (*)(int)>("fsync")(fd);
}

int fdatasync(int fd) {
    wait_for(fd);
    return real<int (*)(int)>("fdatasync")(fd);
}
}
#pragma GCC visibility pop
