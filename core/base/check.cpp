#include "base/check.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/outlet.h"

namespace gorb::base {

void check_failed(const char* condition, const char* file, int line) noexcept {
    char text[512];
    const int n = snprintf(text, sizeof text, "check failed: %s (%s:%d)\n", condition, file, line);
    const size_t size = std::min(static_cast<size_t>(std::max(n, 0)), sizeof text);
    if (size == sizeof text) text[size - 1] = '\n';
    // Where nobody reads it, the end must not wait for that.
    const Outlet out(STDERR_FILENO);
    for (size_t done = 0; done < size;) {
        pollfd one{out.fd(), POLLOUT, 0};
        if (poll(&one, 1, 1000) <= 0) break;
        const ssize_t written = write(out.fd(), text + done, std::min(size - done, out.at_once()));
        if (written <= 0) break;
        done += static_cast<size_t>(written);
    }
    abort();
}

}  // namespace gorb::base
