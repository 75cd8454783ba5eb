#include "base/check.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace gorb::base {

void check_failed(const char* condition, const char* file, int line) noexcept {
    char text[512];
    int n = snprintf(text, sizeof text, "check failed: %s (%s:%d)\n", condition, file, line);
    if (n >= static_cast<int>(sizeof text)) {
        n = sizeof text;
        text[n - 1] = '\n';
    }
    // Where nobody reads it, the end must not wait for that.
    pollfd out{STDERR_FILENO, POLLOUT, 0};
    if (n > 0 && poll(&out, 1, 1000) > 0 && write(STDERR_FILENO, text, static_cast<size_t>(n)) < 0) abort();
    abort();
}

}  // namespace gorb::base
