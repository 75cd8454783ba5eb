// Blames the target for trouble of our own.
#include "pulse.h"

struct Blames : gorb::sdk::ConnectionPulse {
    static constexpr const char *name = "bad", *version = "1.0.0", *summary = "has one fault";
    Blames(const gorb::sdk::Host& host, const gorb::sdk::Target& target) : ConnectionPulse(host, target) {}
    void start(const gorb::sdk::Run& run) {
        try {
            ConnectionPulse::start(run);
        } catch (const gorb::sdk::Error& e) {
            run.fail(e.what());
        }
    }
    void opened() override { done(gorb::sdk::Result::pass()); }
};
GORB_PULSE(Blames)
