// What the service manager is told (sd_notify(3)); does nothing where there is none.
#pragma once
#include <cstdint>
#include <string>

namespace gorb::app {

void notify_ready(const std::string& status);
void notify_stopping();
void notify_alive();
// How often notify_alive() is expected at most, in ns; 0: never. Half of WatchdogSec.
uint64_t watchdog_period();

}  // namespace gorb::app
