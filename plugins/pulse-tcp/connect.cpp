#include "connect.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace pulse_tcp {

using namespace gorb::sdk;

Shared::Shared(const Host& host, const Config&)
    : host_(host),
      net_(host.net()),
      pulse_(*static_cast<const gorb_pulse_host*>(host.c()->service(host.c(), GORB_KIND_PULSE))) {}

void Shared::report(gorb_run run, uint32_t verdict, std::string_view detail, int32_t code) const {
    const gorb_result result = {sizeof(gorb_result), verdict, 100, code, 0, str(detail), {}};
    pulse_.report(host_.c(), run, &result);
}

const Route& Shared::route(const Target& target, bool full) {
    const Route wanted{this, target.source(), target.fwmark(), std::string(target.interface()), full};
    for (const Route& known : routes_) {
        if (std::memcmp(&known.source, &wanted.source, sizeof wanted.source) == 0 &&
            known.fwmark == wanted.fwmark && known.interface == wanted.interface && known.full == full) {
            return known;
        }
    }
    return routes_.emplace_back(wanted);
}

ConnectCheck::ConnectCheck(Shared& shared, const Target& target, uint16_t port, bool full)
    : route_(shared.route(target, full)), peer_(target.address()) {
    if (port != 0) peer_.port = port;
}

void ConnectCheck::start(const Run& run) {
    cancel();
    static constexpr auto ignore = [](void*, gorb_conn*, const uint8_t*, size_t size) { return size; };
    static constexpr gorb_conn_events events = {sizeof(gorb_conn_events), &ConnectCheck::on_opened, ignore,
                                                &ConnectCheck::on_closed};
    gorb_conn_options options{};
    options.struct_size = sizeof options;
    options.transport = GORB_TCP;
    options.peer = peer_;
    options.source = route_.source;
    options.fwmark = route_.fwmark;
    options.interface = str(route_.interface);
    options.flags = route_.full ? GORB_CONN_FINISH : GORB_CONN_PROBE;
    options.deadline_ns = run.deadline();
    gorb_error why;
    why.text[0] = '\0';
    run_ = run.id();
    errno = 0;
    conn_ = shared().net().open(shared().host().c(), &options, &events, this, &why);
    if (conn_) return;
    const int error = errno;
    run.unknown(why.text[0] ? why.text : "the host opens no connection", error);
}

void ConnectCheck::cancel() noexcept {
    if (conn_) shared().net().close(std::exchange(conn_, nullptr));
}

void ConnectCheck::expire() noexcept {
    cancel();
    shared().report(run_, GORB_FAIL, "timed out", ETIMEDOUT);
}

void ConnectCheck::on_opened(void* arg, gorb_conn*) noexcept {
    auto& self = *static_cast<ConnectCheck*>(arg);
    self.cancel();
    self.shared().report(self.run_, GORB_PASS, "connected", 0);
}

void ConnectCheck::on_closed(void* arg, gorb_conn*, int32_t why) noexcept {
    auto& self = *static_cast<ConnectCheck*>(arg);
    self.conn_ = nullptr;
    const int32_t code = why < 0 ? -why : why;
    self.shared().host().guarded("closed", [&] {
        const std::string words = code ? errno_words(code) : "connection closed by the other side";
        self.shared().report(self.run_, our_trouble(code) ? GORB_UNKNOWN : GORB_FAIL, words, code);
    });
}

}  // namespace pulse_tcp
