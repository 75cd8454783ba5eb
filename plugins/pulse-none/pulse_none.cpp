// Pulse "none": no check at all; every run passes at once. For backends whose health somebody else looks
// after.
#include <gorb/plugin.hpp>

namespace {

struct NoPulse {
    static constexpr const char *name = "none", *version = GORB_VERSION,
                                *summary = "checks nothing and always passes";

    NoPulse(const gorb::sdk::Host&, const gorb::sdk::Target&) {}
    void start(const gorb::sdk::Run& run) { run.pass("not checked"); }
    void cancel() noexcept {}
};

}  // namespace

GORB_PULSE(NoPulse)
