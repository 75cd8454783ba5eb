#include "talk.h"

#include <arpa/inet.h>

#include <array>
#include <utility>

namespace pulse_tcp {

using namespace gorb::sdk;

namespace {

bool is_address(const std::string& name) {
    std::array<uint8_t, 16> out{};
    return inet_pton(AF_INET, name.c_str(), out.data()) == 1 ||
           inet_pton(AF_INET6, name.c_str(), out.data()) == 1;
}

}  // namespace

Talk::Talk(const Host& host, std::shared_ptr<const Conversation> conversation, Connection::Options route,
           Over over)
    : conversation_(std::move(conversation)),
      dialogue_(conversation_->script),
      connection_(host, *this),
      over_(std::move(over)) {
    route.transport = conversation_->tls ? GORB_TLS : GORB_TCP;
    if (conversation_->tls) {
        route.tls_name = conversation_->tls_name;
        // No name was given: the certificate has to be the address's.
        if (route.tls_name.empty() && conversation_->verify) route.tls_name = to_string(route.peer);
        if (!conversation_->verify && is_address(route.tls_name)) route.tls_name.clear();
        route.tls_ca = conversation_->ca;
        route.tls_cert = conversation_->cert;
        route.tls_key = conversation_->key;
        if (conversation_->verify) route.flags |= GORB_TLS_VERIFY;
    }
    if (conversation_->script.ends_with_send()) route.flags |= GORB_CONN_FINISH;
    connection_.open(route);
}

void Talk::opened() {
    open_ = true;
    dialogue_.begin();
    say();
}

size_t Talk::received(std::string_view bytes) {
    const size_t size = bytes.size();
    dialogue_.feed(bytes);
    say();
    return size;
}

// Sends what the dialogue has to say, and ends when it has come to its end.
void Talk::say() {
    const std::string output = dialogue_.take_output();
    const int32_t rc = output.empty() ? 0 : connection_.send(output);
    if (rc != 0) return closed(rc);
    if (dialogue_.state() != Dialogue::State::talking) over(result(0));
}

Result Talk::result(int32_t code) const {
    if (dialogue_.state() == Dialogue::State::passed) {
        const bool alone = conversation_->script.steps.empty();
        Result out = Result::pass(alone ? "connected, TLS agreed on" : dialogue_.words());
        out.share = dialogue_.share().percent;
        out.warning = dialogue_.share().warning;
        return out;
    }
    return Result::fail(dialogue_.words(), code);
}

void Talk::closed(int32_t why) {
    const int32_t code = why < 0 ? -why : why;
    const std::string_view reason = connection_.reason();
    if (why != 0 && our_trouble(why))
        return over(Result::unknown(reason.empty() ? errno_words(why) : std::string(reason), code));
    if (!reason.empty()) return over(Result::fail(std::string(reason), code));
    if (!open_) {
        const bool late = code == ETIMEDOUT;
        return over(Result::fail(late        ? "timed out before the connection was open"
                                 : code != 0 ? errno_words(code)
                                             : "connection closed by the other side",
                                 code));
    }
    if (code == ETIMEDOUT) {
        dialogue_.timed_out();
    } else {
        dialogue_.ended(code == 0 ? "connection closed" : errno_words(code));
    }
    over(result(code));
}

void Talk::expire() {
    const bool shaking = connection_.reason() == "in the TLS handshake";
    connection_.close();
    if (shaking) return over(Result::fail("timed out in the TLS handshake", ETIMEDOUT));
    closed(-ETIMEDOUT);
}

void Talk::over(const Result& result) {
    connection_.close();
    const Over tell = std::move(over_);
    tell(result);  // this may be gone afterwards
}

TalkCheck::TalkCheck(Shared& shared, const Target& target, uint16_t port,
                     std::shared_ptr<const Conversation> conversation)
    : shared_(shared),
      route_(shared.route(target)),
      peer_(target.address()),
      conversation_(std::move(conversation)) {
    if (port != 0) peer_.port = port;
}

void TalkCheck::start(const Run& run) {
    Connection::Options route;
    route.peer = peer_;
    route.source = route_.source;
    route.fwmark = route_.fwmark;
    route.interface = route_.interface;
    talk_.reset();
    talk_ = std::make_unique<Talk>(shared_.host(), conversation_, std::move(route),
                                   [this, run](const Result& result) {
                                       talk_.reset();
                                       run.report(result);
                                   });
}

}  // namespace pulse_tcp
