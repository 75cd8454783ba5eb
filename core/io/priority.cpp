#include "io/priority.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace gorb::io {

void give_way() {
    constexpr int more = 10, most = 19;
    // Niceness is a thread's on Linux; the process's is that of its first.
    const int usual = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));
    if (setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), std::min(usual + more, most)) != 0)
        base::log_debug("a thread keeps its niceness", {{"reason", std::strerror(errno)}});
}

}  // namespace gorb::io
