// SIGTERM and SIGINT while the daemon starts, which may take long: a disk that hangs, a large table.
#pragma once
#include <chrono>
#include <mutex>
#include <thread>

namespace gorb::app {

// At the end of the process, with a reader of the log that has stopped.
inline constexpr std::chrono::seconds log_patience{1};

// While it lives, either signal ends the process at once, with exit status 0 as after the start: a start may
// break off anywhere, and the next one goes on from there. Both must be blocked in every thread. A signal
// that comes later stays for whoever waits for it then. Without a thread or a descriptor for it, so does one
// that comes meanwhile.
class EndOfStart {
  public:
    EndOfStart();
    ~EndOfStart();
    EndOfStart(const EndOfStart&) = delete;
    EndOfStart& operator=(const EndOfStart&) = delete;

  private:
    void wait();

    int signals_ = -1;  // signalfd(2)
    int started_ = -1;  // eventfd(2)
    std::mutex mutex_;
    bool over_ = false;   // under mutex_
    std::thread thread_;  // last: it uses what stands above
};

}  // namespace gorb::app
