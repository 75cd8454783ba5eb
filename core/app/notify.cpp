#include "app/notify.h"

#include <systemd/sd-daemon.h>

namespace gorb::app {

void notify_ready(const std::string& status) {
    sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
}
void notify_stopping() {
    sd_notify(0, "STOPPING=1");
}
void notify_alive() {
    sd_notify(0, "WATCHDOG=1");
}

uint64_t watchdog_period() {
    uint64_t microseconds = 0;
    if (sd_watchdog_enabled(0, &microseconds) <= 0) return 0;
    return microseconds * 1000 / 2;
}

}  // namespace gorb::app
