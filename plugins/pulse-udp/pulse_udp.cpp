// Pulse "udp": sends a datagram and judges what comes back: the right answer, another one, an ICMP error,
// silence.
#include <gorb/plugin.hpp>

#include "query.h"

namespace {

using namespace gorb::sdk;
using pulse_udp::Exchange;
using pulse_udp::Query;

class UdpPulse final {
  public:
    static constexpr const char *name = "udp", *version = GORB_VERSION,
                                *summary = "sends a UDP datagram and judges the answer";
    static constexpr gorb_option args[] = {
        {"port", GORB_INT, 0, nullptr, "1..65535", "port to send to, if not the backend's own"},
        {"send", GORB_TEXT, 0, nullptr, nullptr,
         "text of the datagram, which is empty if not set; escapes: \\r \\n \\t \\0 \\xNN \\\\"},
        {"send-hex", GORB_TEXT, 0, nullptr, nullptr, "the same as hex digits"},
        {"expect", GORB_TEXT, 0, nullptr, nullptr, "text that the answer must contain; the same escapes"},
        {"expect-hex", GORB_TEXT, 0, nullptr, nullptr, "the same as hex digits"},
        {"expect-regex", GORB_TEXT, 0, nullptr, nullptr,
         "regular expression (PCRE2) that the answer must match; ^ for its beginning"},
        {"tries", GORB_INT, 0, "3", "1..10",
         "where something is expected: datagrams to send within the timeout, as long as none is answered"},
        {"wait", GORB_DURATION, 0, "1s", "10ms..1h",
         "where nothing is expected: how long no ICMP error may come, at most the timeout"},
    };

    static void check(const Config& config) { Exchange::parse(config); }

    UdpPulse(const Host& host, const Target& target)
        : host_(host), exchange_(Exchange::parse(target.args())) {
        route_.peer = target.address();
        route_.source = target.source();
        route_.fwmark = target.fwmark();
        route_.interface = target.interface();
        if (const auto port = target.args().integer("port")) route_.peer.port = static_cast<uint16_t>(*port);
    }

    void start(const Run& run) {
        query_.reset();
        query_ = std::make_unique<Query>(host_, exchange_, route_, run, [this, run](const Result& result) {
            query_.reset();
            run.report(result);
        });
    }
    void cancel() noexcept { query_.reset(); }
    void expire() {
        if (query_) query_->silence();
    }

  private:
    const Host& host_;
    const Exchange exchange_;
    Connection::Options route_;
    std::unique_ptr<Query> query_;  // of the run that is open
};

}  // namespace

GORB_PULSE(UdpPulse)
