// Pulse "tcp": can a connection be opened? It is reset as soon as it is, so nothing of the check lingers.
#include <gorb/plugin.hpp>

namespace {

using namespace gorb::sdk;

struct TcpPulse final : ConnectionPulse {
    static constexpr const char *name = "tcp", *version = GORB_VERSION, *summary = "opens a TCP connection";
    static constexpr gorb_option args[] = {
        {"port", GORB_INT, 0, nullptr, "1..65535", "port to connect to, if not the backend's own"},
        {"path", GORB_TEXT, 0, nullptr, nullptr,
         "ignored, so that a document written for http is understood"},
    };

    TcpPulse(const Host& host, const Target& target)
        : ConnectionPulse(host, target, GORB_TCP, target.args().integer("port").value_or(0)) {}

  private:
    void opened() override { done(Result::pass("connected")); }
};

}  // namespace

GORB_PULSE(TcpPulse)
