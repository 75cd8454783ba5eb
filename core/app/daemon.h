// The composition root: builds every room from the settings, connects, starts and stops them in order.
//
// Threads: main only. While it runs there are: two of the control, rest and who stands in for it, N loops,
// their watchdog, one that watches over the end, and on demand workers and one that reads the declarative
// files.
#pragma once
#include <memory>

#include "app/settings.h"
#include "base/result.h"

namespace gorb::app {

class Daemon {
  public:
    // Everything up to answering requests. An error is one sentence for the operator, and nothing is left
    // behind.
    static base::Result<std::unique_ptr<Daemon>> start(const Settings& settings);
    // Stops taking requests, finishes what was taken, leaves the kernel's table in place unless told to
    // release it.
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    // Begins to apply the declarative files anew, if there are any; a disk that hangs does not hold up the
    // caller. What is wrong with them is logged and changes nothing.
    void reload();

    // "" while all that a service manager's watchdog should know of is alive, else what is not.
    std::string not_alive() const;
    std::string status() const;  // one line for the service manager

  private:
    struct Parts;
    // start() without a word for a thread that could not be made: std::system_error.
    static base::Result<std::unique_ptr<Daemon>> build(const Settings& settings);
    explicit Daemon(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace gorb::app
