// Pulse "grpc": calls grpc.health.v1.Health/Check over HTTP/2, in clear text or TLS, and judges the answer.
// With keep-alive the connection serves many checks, and its end asks for a check at once.
#include <gorb/plugin.hpp>

#include "health.h"
#include "session.h"
#include "settings.h"

namespace {

using namespace gorb::sdk;
using pulse_grpc::Session;
using pulse_grpc::Settings;
using pulse_grpc::SharedSettings;

class GrpcPulse final : private ConnectionEvents {
  public:
    using Instance = SharedSettings;
    static constexpr const char *name = "grpc", *version = GORB_VERSION,
                                *summary = "asks a gRPC server for its health (grpc.health.v1)";
    static constexpr auto& args = pulse_grpc::option_table;

    static void check(const Config& config) { Settings::read(config); }

    GrpcPulse(SharedSettings& shared, const Target& target)
        : host_(shared.host()),
          shared_(shared),
          settings_(shared.get(target.args())),
          connection_(host_, *this),
          peer_(target.address()),
          source_(target.source()),
          fwmark_(target.fwmark()),
          interface_(target.interface()) {
        if (settings_->port) peer_.port = settings_->port;
        if (!settings_->authority.empty()) return;
        gorb_addr plain = peer_;
        plain.scope = 0;  // a zone means something on this machine only
        authority_ = with_port(plain);
    }

    ~GrpcPulse() { drop(); }
    GrpcPulse(const GrpcPulse&) = delete;
    GrpcPulse& operator=(const GrpcPulse&) = delete;

    void start(const Run& run) {
        run_ = run;
        asked_before_ = std::exchange(asked_, false);
        running_ = true;
        try {
            if (connection_.is_open() && session_ && session_->usable()) {
                kept_ = true;
                call();
            } else {
                open();
            }
        } catch (...) {
            cancel();
            throw;
        }
    }
    void cancel() noexcept {
        running_ = false;
        drop();
    }
    void expire() {
        if (running_) time_is_up();
    }

  private:
    void open() {
        drop();
        kept_ = false;
        Connection::Options options;
        options.transport = settings_->tls ? GORB_TLS : GORB_TCP;
        options.peer = peer_;
        options.source = source_;
        options.fwmark = fwmark_;
        options.interface = interface_;
        if (settings_->tls) {
            options.flags = settings_->verify ? GORB_TLS_VERIFY : 0;
            options.tls_name = settings_->tls_name;
            options.tls_alpn = "h2";
            options.tls_ca = settings_->ca;
            options.tls_cert = settings_->cert;
            options.tls_key = settings_->key;
        }
        try {
            connection_.open(options);
        } catch (const Error& e) {
            shared_.shortage.met(peer_, host_.now(), e.number());
            throw;
        }
    }
    void drop() noexcept {
        if (std::exchange(has_place_, false)) SharedSettings::places.give();
        connection_.close();
        session_.reset();
        opened_ = false;
    }

    void opened() override {
        opened_ = true;
        // A server that such clients refuse is down for them. A host of before 1.1 can not tell.
        const auto peer = settings_->tls && settings_->alpn ? connection_.peer() : std::nullopt;
        if (peer && peer->alpn != "h2") {
            const std::string chosen = peer->alpn.empty() ? "nothing" : "\"" + peer->alpn + "\"";
            return finish(Result::fail("the server agrees on no HTTP/2 by ALPN (h2 offered, " + chosen +
                                       " chosen), which gRPC clients insist on"));
        }
        session_ = std::make_unique<Session>();
        call();
    }
    void call() {
        session_->call({settings_->tls ? "https" : "http",
                        settings_->authority.empty() ? authority_ : settings_->authority, settings_->message,
                        "gorb/" GORB_VERSION});
        flush();
        if (session_) look();
    }
    // What the server breaks is seen in look(), what the connection does in closed().
    void flush() {
        const std::string bytes = session_->output();
        if (bytes.empty()) return;
        const int32_t rc = connection_.send(bytes);
        if (rc != 0 && running_)
            finish({our_trouble(rc) ? Verdict::unknown : Verdict::fail, errno_words(rc), -rc});
    }

    size_t received(std::string_view bytes) override {
        session_->feed(bytes);
        flush();
        if (session_) look();
        return bytes.size();
    }
    void look() {
        if (!running_) {  // between two checks: the server says goodbye, or nonsense
            if (!session_->usable()) gone();
            return;
        }
        if (kept_ && session_->refused()) return ask_anew();
        if (session_->ended()) {
            auto judgement = pulse_grpc::judge(session_->outcome(), settings_->service);
            return finish(judgement.pass ? Result::pass(std::move(judgement.words), judgement.code)
                                         : Result::fail(std::move(judgement.words), judgement.code));
        }
        if (!session_->problem().empty()) finish(Result::fail(session_->problem()));
    }

    void closed(int32_t why) override {
        const bool begun = session_ && session_->begun();
        const bool opened = std::exchange(opened_, false);
        if (!running_) return gone();
        if (kept_ && !begun) return ask_anew();
        const std::string where = begun ? " in the middle of an answer" : opened ? " before an answer" : "";
        std::string goodbye = session_ ? session_->outcome().goodbye : "";
        if (!goodbye.empty()) goodbye += ", ";
        if (why == 0) return finish(Result::fail(goodbye + "connection closed" + where));
        std::string words(connection_.reason());
        if (words.empty()) words = errno_words(why);
        if (!where.empty()) words += "," + where;
        words.insert(0, goodbye);
        finish({our_trouble(why) ? Verdict::unknown : Verdict::fail, std::move(words), -why});
    }
    // The server ended a kept connection as we sent: that says nothing of it, a new one does.
    void ask_anew() {
        try {
            open();
        } catch (const Error& e) {
            finish(Result::unknown(e.what(), e.number()));
        }
    }
    void time_is_up() {
        std::string where = session_ && session_->begun() ? "in the middle of an answer" : "before an answer";
        if (!opened_) {
            where = connection_.reason();
            if (where != "in the TLS handshake") where = "before the connection was made";
        }
        if (kept_) where += ", on the connection kept from an earlier check";
        finish(Result::fail("timed out, " + where, ETIMEDOUT));
    }
    // The connection that was kept is no more. Not twice in a row, for a server that hangs up after each
    // call.
    void gone() {
        drop();
        if (asked_before_ || asked_) return;
        asked_ = true;
        run_.recheck();
    }

    // Is there room for one more, or this one still?
    bool may_keep() {
        if (shared_.shortage.of(peer_, host_.now())) return false;
        has_place_ = has_place_ || SharedSettings::places.take();
        return has_place_;
    }
    void finish(const Result& result) {
        running_ = false;
        const bool keep = settings_->keep_alive && session_ && session_->ended() && session_->usable();
        if (!keep || !may_keep()) drop();
        run_.report(result);
    }

    const Host& host_;
    SharedSettings& shared_;
    const std::shared_ptr<const Settings> settings_;
    Connection connection_;
    std::unique_ptr<Session> session_;
    Run run_;
    gorb_addr peer_;
    const gorb_addr source_;
    const uint32_t fwmark_;
    bool running_ = false, opened_ = false;
    bool has_place_ = false;                     // among those that are kept
    bool kept_ = false;                          // this check goes over a connection of an earlier one
    bool asked_ = false, asked_before_ = false;  // the next check, and this one, come of a connection's end
    const std::string interface_;
    std::string authority_;  // where the settings have none
};

}  // namespace

GORB_PULSE(GrpcPulse)
