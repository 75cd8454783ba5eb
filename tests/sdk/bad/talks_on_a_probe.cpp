// Says that it only wants to know whether the connection opens, and talks.
#include "pulse.h"

struct TalksOnAProbe : gorb::sdk::ConnectionPulse {
    static constexpr const char *name = "bad", *version = "1.0.0", *summary = "talks on a probe";
    TalksOnAProbe(const gorb::sdk::Host& host, const gorb::sdk::Target& target)
        : ConnectionPulse(host, target) {
        options().flags |= GORB_CONN_PROBE;
    }
    void opened() override {
        if (send("PING\r\n") != 0) done(gorb::sdk::Result::unknown("nothing can be sent"));
    }
};
GORB_PULSE(TalksOnAProbe)
