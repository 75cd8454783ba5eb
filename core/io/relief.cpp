#include "io/relief.h"

#include <pthread.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace gorb::io {

// A timer that is set and taken back again wakes nobody, where any word to the thread itself would.
Relief::Relief(Loop& loop, Loop::Between between)
    : loop_(loop), timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {
    GORB_CHECK(timer_ >= 0);
    loop_.between_turns({std::move(between.left), [this, work = std::move(between.work)] {
                             set(patience);
                             work();
                             set({});
                         }});
}

Relief::~Relief() {
    ending_ = true;
    set(std::chrono::nanoseconds(1));
    if (thread_.joinable()) thread_.join();
    ::close(timer_);
}

void Relief::start(std::function<void()> prepare) {
    thread_ = std::thread([this, prepare = std::move(prepare)] {
        prepare();
        run();
    });
}

void Relief::set(std::chrono::nanoseconds after) const {
    itimerspec when{};
    when.it_value.tv_nsec = after.count();
    GORB_CHECK(timerfd_settime(timer_, 0, &when, nullptr) == 0);
}

void Relief::run() {
    pthread_setname_np(pthread_self(), (loop_.name().substr(0, 8) + "-relief").c_str());
    while (!ending_) {
        uint64_t times = 0;
        if (read(timer_, &times, sizeof times) == sizeof times && !ending_) loop_.stand_in();
    }
}

}  // namespace gorb::io
