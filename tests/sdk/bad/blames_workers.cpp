// Blames the target where the workers have no room.
#include "pulse.h"

struct BlamesWorkers : gorb::sdk::ConnectionPulse {
    static constexpr const char *name = "bad", *version = "1.0.0", *summary = "has one fault";
    BlamesWorkers(const gorb::sdk::Host& host, const gorb::sdk::Target& target)
        : ConnectionPulse(host, target), host_(&host) {}
    void opened() override {
        const bool taken = gorb::sdk::submit(
            *host_, [] {}, [] {});
        done(taken ? gorb::sdk::Result::pass() : gorb::sdk::Result::fail("no worker looked at it"));
    }

  private:
    const gorb::sdk::Host* host_;
};
GORB_PULSE(BlamesWorkers)
