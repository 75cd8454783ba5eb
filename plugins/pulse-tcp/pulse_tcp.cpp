// Pulse "tcp": can a connection be opened, and, where the options say so, does the server behind it answer as
// it should? A target that is only connected to stays small: the conversation of the others is an object of
// its own.
#include <gorb/plugin.hpp>

#include "connect.h"
#include "talk.h"

namespace {

using namespace gorb::sdk;

struct TcpPulse final {
    static constexpr const char *name = "tcp", *version = GORB_VERSION,
                                *summary =
                                    "opens a TCP connection, and talks to the server if told what to say";
    static constexpr gorb_option args[] = {
        {"port", GORB_INT, 0, nullptr, "1..65535", "port to connect to, if not the backend's own"},
        {"full-handshake", GORB_BOOL, 0, "false", nullptr,
         "finish the handshake and the connection, so that the server accepts it"},
        {"send", GORB_TEXT, 0, nullptr, nullptr,
         "text to send when the connection is open; escapes: \\r \\n \\t \\0 \\xNN \\\\"},
        {"send-hex", GORB_TEXT, 0, nullptr, nullptr, "the same as hex digits"},
        {"expect", GORB_TEXT, 0, nullptr, nullptr, "text that the reply must contain; the same escapes"},
        {"expect-hex", GORB_TEXT, 0, nullptr, nullptr, "the same as hex digits"},
        {"expect-regex", GORB_TEXT, 0, nullptr, nullptr,
         "regular expression (PCRE2) that the reply must match; ^ for its beginning"},
        {"steps", GORB_JSON, 0, nullptr, nullptr,
         "several of these in a row: array of objects with send or send-hex, and expect, expect-hex or "
         "expect-regex"},
        {"limit", GORB_INT, 0, "4096", "1..65536", "bytes of a reply that a step looks at"},
        {"tls", GORB_BOOL, 0, "false", nullptr, "talk over TLS"},
        {"verify", GORB_BOOL, 0, "true", nullptr,
         "the certificate must be trusted, in date and of the right name"},
        {"tls-name", GORB_TEXT, 0, nullptr, nullptr,
         "name to ask for (SNI) and to find in the certificate; the address that is checked if not set"},
        {"ca", GORB_TEXT, 0, nullptr, nullptr,
         "absolute path of a PEM file of the CAs to trust, if not the system's"},
        {"cert", GORB_TEXT, 0, nullptr, nullptr, "absolute path of a PEM file of a client certificate"},
        {"key", GORB_TEXT, 0, nullptr, nullptr,
         "absolute path of a PEM file of its key; the one of cert if not set"},
        {"path", GORB_TEXT, 0, nullptr, nullptr,
         "ignored, so that a document written for http is understood"},
    };
    struct Instance : pulse_tcp::Shared {
        using Shared::Shared;
        pulse_tcp::Conversations conversations;
    };

    static void check(const Config& config) { pulse_tcp::Conversation::parse(config); }

    TcpPulse(Instance& shared, const Target& target)
        : connect_(shared, target, port(target), target.args().boolean("full-handshake").value_or(false)) {
        if (auto conversation = shared.conversations.get(target.args()))
            talk_ =
                std::make_unique<pulse_tcp::TalkCheck>(shared, target, port(target), std::move(conversation));
    }

    void start(const Run& run) { talk_ ? talk_->start(run) : connect_.start(run); }
    void cancel() noexcept { talk_ ? talk_->cancel() : connect_.cancel(); }
    void expire() { talk_ ? talk_->expire() : connect_.expire(); }

  private:
    static uint16_t port(const Target& target) {
        return static_cast<uint16_t>(target.args().integer("port").value_or(0));
    }

    pulse_tcp::ConnectCheck connect_;
    std::unique_ptr<pulse_tcp::TalkCheck> talk_;  // null: connecting is all
};
static_assert(sizeof(TcpPulse) <= 56, "there may be a hundred thousand targets that are only connected to");

}  // namespace

GORB_PULSE(TcpPulse)
