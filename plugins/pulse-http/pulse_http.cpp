// Pulse "http": asks for a path over HTTP/1.1 or https and judges the reply: its status, headers and body,
// and how long the server's certificate lasts.
#include <gorb/plugin.hpp>

#include "options.h"
#include "probe.h"

namespace {

struct HttpPulse final {
    static constexpr const char *name = "http", *version = GORB_VERSION,
                                *summary = "asks for a path over HTTP or https";
    static constexpr const auto& args = pulse_http::option_table;
    using Instance = pulse_http::Instance;

    static void check(const gorb::sdk::Config& config) { pulse_http::Settings::read(config); }

    HttpPulse(Instance& instance, const gorb::sdk::Target& target) : probe_(instance, target) {}

    void start(const gorb::sdk::Run& run) { probe_.start(run); }
    void cancel() noexcept { probe_.cancel(); }
    void expire() { probe_.expire(); }

  private:
    pulse_http::Probe probe_;
};
static_assert(sizeof(HttpPulse) <= 200);

}  // namespace

GORB_PULSE(HttpPulse)
