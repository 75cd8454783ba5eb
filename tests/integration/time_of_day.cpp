// For LD_PRELOAD: the time of day as a test wants it. The file named by GORB_TIME_OF_DAY holds one int64, the
// seconds by which CLOCK_REALTIME is off, and may be written at any time. No other clock is touched.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

// Mapped at first use, which may be before any constructor.
int64_t off_by() {
    static const volatile int64_t* const shared = [] {
        const char* path = getenv("GORB_TIME_OF_DAY");
        const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void* const at = fd < 0 ? MAP_FAILED : mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) {
            perror("GORB_TIME_OF_DAY");
            _exit(99);
        }
        close(fd);
        return static_cast<const volatile int64_t*>(at);
    }();
    return *shared;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int clock_gettime(clockid_t id, timespec* t) noexcept {
    const long rc = syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += off_by();
    return static_cast<int>(rc);
}

int gettimeofday(timeval* t, void*) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    *t = {now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t* out) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
}
#pragma GCC visibility pop
