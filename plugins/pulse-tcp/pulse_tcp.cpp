// Pulse "tcp": can a connection be opened? It is reset as soon as it is, so nothing of the check lingers.
#include <gorb/plugin.hpp>

#include "connect.h"

namespace {

using namespace gorb::sdk;

struct TcpPulse final {
    static constexpr const char *name = "tcp", *version = GORB_VERSION, *summary = "opens a TCP connection";
    static constexpr gorb_option args[] = {
        {"port", GORB_INT, 0, nullptr, "1..65535", "port to connect to, if not the backend's own"},
        {"full-handshake", GORB_BOOL, 0, "false", nullptr,
         "finish the handshake and the connection, so that the server accepts it"},
        {"path", GORB_TEXT, 0, nullptr, nullptr,
         "ignored, so that a document written for http is understood"},
    };
    using Instance = pulse_tcp::Shared;

    TcpPulse(Instance& shared, const Target& target)
        : connect_(shared, target, static_cast<uint16_t>(target.args().integer("port").value_or(0)),
                   target.args().boolean("full-handshake").value_or(false)) {}

    void start(const Run& run) { connect_.start(run); }
    void cancel() noexcept { connect_.cancel(); }

  private:
    pulse_tcp::ConnectCheck connect_;
};

}  // namespace

GORB_PULSE(TcpPulse)
