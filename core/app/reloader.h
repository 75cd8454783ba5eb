// The declarative files, applied at the start and whenever SIGHUP asks for it.
//
// Threads: main. SIGHUP's reading is a thread's of its own, since a file system may hang, and nobody is to
// wait for it then: not the service manager, and not the end. That thread is not joined and keeps what it
// needs alive.
#pragma once
#include <functional>
#include <memory>
#include <mutex>

#include "app/settings.h"
#include "control/control.h"

namespace gorb::app {

class Reloader : public std::enable_shared_from_this<Reloader> {
  public:
    // The control is used until close().
    Reloader(control::Control& control, const Settings& settings) : settings_(settings), control_(&control) {}

    // Makes their services so before it returns; the log and GET /events say why when they are not.
    void apply(bool force);
    // Begins to do the same, without force: that was said of the start. While the files are read already they
    // are read once more after that.
    void ask();
    void close();

  private:
    void read(bool force, const std::function<void()>& done);
    bool again();

    const Settings settings_;
    std::mutex mutex_;
    control::Control* control_;  // under mutex_; null: closed
    bool reading_ = false;       // under mutex_: there is a thread
    bool asked_ = false;         // under mutex_: since it has begun
};

}  // namespace gorb::app
