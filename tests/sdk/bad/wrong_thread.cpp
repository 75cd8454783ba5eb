// Calls a [loop] function on a worker.
#include "pulse.h"

struct WrongThread : Harmless {
    WrongThread(const gorb::sdk::Host& h, const gorb::sdk::Target& target) : Harmless(h, target), host(h) {}
    void start(const gorb::sdk::Run& run) const {
        const gorb::sdk::Host& h = host;
        const bool taken = submit(
            h,
            [&h] {
                h.loop().at(
                    h.c(), h.now(), [](void*) {}, nullptr);
            },
            [run] { run.pass(); });
        if (!taken) run.unknown("all workers are busy");
    }
    const gorb::sdk::Host& host;
};
GORB_PULSE(WrongThread)
