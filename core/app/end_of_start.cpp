#include "app/end_of_start.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include "app/notify.h"
#include "base/log.h"

namespace gorb::app {

EndOfStart::EndOfStart() {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    signals_ = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    started_ = eventfd(0, EFD_CLOEXEC);
    if (signals_ < 0 || started_ < 0) return;
    try {
        thread_ = std::thread([this] { wait(); });
    } catch (const std::system_error&) {
        // The start needs threads too, and says what is wrong.
    }
}

EndOfStart::~EndOfStart() {
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
    }
    if (started_ >= 0) eventfd_write(started_, 1);
    if (thread_.joinable()) thread_.join();
    if (signals_ >= 0) close(signals_);
    if (started_ >= 0) close(started_);
}

void EndOfStart::wait() {
    std::array<pollfd, 2> waits{pollfd{signals_, POLLIN, 0}, pollfd{started_, POLLIN, 0}};
    for (;;) {
        if (poll(waits.data(), waits.size(), -1) <= 0) continue;
        const std::lock_guard lock(mutex_);
        if (over_) return;  // a signal of this moment was not taken, and is the daemon's
        signalfd_siginfo signal{};
        if (read(signals_, &signal, sizeof signal) != static_cast<ssize_t>(sizeof signal)) continue;
        base::log_info("stopping before the start is done",
                       {{"signal", signal.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT"}});
        notify_stopping();
        base::flush_log(log_patience);
        std::_Exit(0);
    }
}

}  // namespace gorb::app
