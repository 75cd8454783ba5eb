// Throws in every callback of the glue that belongs to no run, and answers by another way.
#include <unistd.h>

#include <stdexcept>

#include "pulse.h"

struct ThrowsInCallbacks : Harmless {
    ThrowsInCallbacks(const gorb::sdk::Host& h, const gorb::sdk::Target& target)
        : Harmless(h, target), host(h), watch(h), timer(h) {
        if (pipe(ends) != 0) throw std::runtime_error("no pipe");
        close(ends[1]);  // and so the other end is ready
    }
    ~ThrowsInCallbacks() {
        watch.stop();
        close(ends[0]);
    }
    void start(const gorb::sdk::Run& run) {
        if (++runs % 2 == 0) return;  // left to cancel() or expire()
        watch.start(ends[0], GORB_READABLE, [](uint32_t) { throw std::runtime_error("thrown in watch"); });
        timer.after(std::chrono::milliseconds(0), [] { throw std::runtime_error("thrown in timer"); });
        host.post([] { throw std::runtime_error("thrown in post"); });
        gorb::sdk::submit(
            host, [] { throw std::runtime_error("thrown in worker"); },
            [] { throw std::runtime_error("thrown in done"); });
        run.pass();
    }
    void cancel() { throw std::runtime_error("thrown in cancel"); }
    void expire() { throw std::runtime_error("thrown in expire"); }
    const gorb::sdk::Host& host;
    gorb::sdk::Watch watch;
    gorb::sdk::Timer timer;
    int ends[2];
    unsigned runs = 0;
};
GORB_PULSE(ThrowsInCallbacks)
