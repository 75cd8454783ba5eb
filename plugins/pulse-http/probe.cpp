#include "probe.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "judge.h"
#include "quick.h"

namespace pulse_http {

using gorb::sdk::Result;
using gorb::sdk::str;
using gorb::sdk::Verdict;
using gorb::sdk::view;
using State = ReplyReader::State;

namespace {

constexpr int request_timeout = 408;

}  // namespace

Probe::Probe(Instance& instance, const gorb::sdk::Target& target)
    : instance_(instance),
      shared_(instance.take(target)),
      peer_(target.address()),
      turn_(instance.next_turn()) {
    if (shared_.settings.port != 0) peer_.port = shared_.settings.port;
}

Probe::~Probe() {
    clear();
    instance_.give(shared_);
}

void Probe::start(const gorb::sdk::Run& run) {
    const Settings& settings = shared_.settings;
    const bool fresh = settings.fresh_every != 0 && turn_ % settings.fresh_every == 0;
    const bool again = phase_ == Phase::idle && !fresh;
    ++turn_;
    if (!again) clear();
    run_ = run;
    open_ = true;
    retried_ = false;
    habit_.started();
    if (!again) return connect();
    reused_ = true;
    ask();
}

void Probe::cancel() noexcept {
    if (!std::exchange(open_, false)) return;  // a kept connection stays
    habit_.judged(false);
    clear();
}

// ---- what happens to the connection ----

void Probe::connect() {
    static constexpr gorb_conn_events events = {sizeof(gorb_conn_events), &Probe::on_opened,
                                                &Probe::on_received, &Probe::on_closed};
    const auto& tls = shared_.settings.tls;
    gorb_conn_options options{};
    options.struct_size = sizeof options;
    options.transport = tls ? GORB_TLS : GORB_TCP;
    options.peer = peer_;
    options.source = shared_.source;
    options.fwmark = shared_.fwmark;
    options.interface = str(shared_.interface);
    options.flags = GORB_CONN_FIRST;
    if (tls) {
        if (tls->verify) options.flags |= GORB_TLS_VERIFY;
        options.tls_name = str(tls->name);
        options.tls_alpn = str("http/1.1");
        options.tls_ca = str(tls->ca);
        options.tls_cert = str(tls->cert);
        options.tls_key = str(tls->key);
    }
    reused_ = false;
    gorb_error why{};
    // Without a deadline of its own: it may outlive the run.
    errno = 0;
    conn_ = instance_.net().open(instance_.host().c(), &options, &events, this, &why);
    if (!conn_) {
        const int err = errno;
        clear();
        instance_.shortage.met(peer_, instance_.host().now(), err);
        return answer(Result::unknown(why.text[0] ? why.text : "the host opens no connection", err));
    }
    phase_ = Phase::connecting;
}

// Once, for a request that a kept connection lost.
void Probe::ask_anew() {
    retried_ = true;
    connect();
}

void Probe::opened() {
    const gorb_net& net = instance_.net();
    if (shared_.settings.tls && GORB_HAS(gorb_net, &net, tls_peer)) {
        gorb_tls_peer peer{};
        peer.struct_size = sizeof peer;
        not_after_ = net.tls_peer(conn_, &peer) == 0 ? peer.not_after : 0;
    }
    ask();
}

std::string_view Probe::request() {
    const Request::Text& text = shared_.settings.request;
    if (shared_.settings.own_host) return text.before;
    std::string& out = instance_.scratch;
    out = text.before;
    append_default_host(out, peer_, shared_.settings.usual_port());
    return out += text.after;
}

void Probe::ask() {
    phase_ = Phase::asking;
    const std::string_view text = request();
    const int32_t rc = instance_.net().send(conn_, text.data(), text.size());
    if (rc == 0) return;
    clear();
    answer({Verdict::unknown, gorb::sdk::errno_words(rc), -rc});
}

size_t Probe::received(std::string_view bytes) {
    size_t used = bytes.size();
    switch (phase_) {
        case Phase::asking:
            if (!reader_) {
                if (read_quickly(bytes)) break;
                const Settings& settings = shared_.settings;
                reader_ = instance_.take_reader();
                reader_->begin({settings.to_head, settings.headers.empty() ? nullptr : &settings.headers,
                                settings.body.any(), settings.body_limit});
            }
            [[fallthrough]];
        case Phase::draining:
            used = reader_->feed(bytes);
            read_on();
            break;
        case Phase::idle:  // such as 408 before the end
            lost_while_idle();
            break;
        default:
            lingered_ += static_cast<uint32_t>(std::min<size_t>(used, 1U << 20U));
            if (lingered_ > shared_.settings.body_limit) clear();
    }
    return used;
}

// An ordinary reply that passes, without a reader. False: nothing was done.
bool Probe::read_quickly(std::string_view bytes) {
    const Settings& settings = shared_.settings;
    if (!settings.status_alone()) return false;
    const QuickReply reply = QuickReply::read(bytes, settings.body_limit);
    if (reply.status == 0 || !settings.expected.accepts(reply.status)) return false;
    if (!settings.keep_alive || reply.closes) {
        linger();
    } else if (reply.size < bytes.size()) {
        clear();
    } else {
        rest();
    }
    std::array<char, 10> words{'s', 't', 'a', 't', 'u', 's', ' '};
    for (size_t i = 0, rest = static_cast<size_t>(reply.status); i < 3; ++i, rest /= 10)
        words[words.size() - 1 - i] = static_cast<char>('0' + rest % 10);
    open_ = false;
    habit_.judged(true);
    run_.pass({words.data(), words.size()}, reply.status);
    return true;
}

// The reader knows more than before.
void Probe::read_on() {
    if (phase_ == Phase::draining) return settle();
    const Settings& settings = shared_.settings;
    const State state = reader_->state();
    if (!reader_->head_complete()) {
        if (state == State::bad) fail(reader_->problem(), 0);
        return;
    }
    // How some servers end a connection that was idle: said before our request came, and no answer to it.
    if (reader_->status() == request_timeout && reused_ && !retried_ &&
        !settings.expected.accepts(request_timeout)) {
        clear();
        return ask_anew();
    }
    auto [good, words] = judge_head(*reader_, settings.expected, settings.headers);
    pulse_match::Share share;
    if (good && settings.body.any()) {
        if (state == State::body) return;
        auto judged = state == State::bad ? BodyJudgement{reader_->problem(), {}}
                                          : judge_body(*reader_, settings.body, settings.body_limit);
        good = judged.broken.empty();
        words = good ? "status " + std::to_string(reader_->status()) : std::move(judged.broken);
        share = std::move(judged.share);
    }
    if (!good) return fail(std::move(words), reader_->status());
    pass(words, share);
}

void Probe::closed(int32_t why, std::string_view reason) {
    conn_ = nullptr;
    const Phase phase = phase_;
    if (phase == Phase::idle) return lost_while_idle();
    if (!open_) return clear();
    if (phase == Phase::asking && reused_ && !retried_ && !begun()) {
        // Servers end idle connections, and this one did before our request reached it.
        give_reader();
        forget_kept();
        return ask_anew();
    }
    if (phase == Phase::asking && why == 0 && reader_) {
        reader_->end();
        if (reader_->state() == State::done) return read_on();
    }
    std::string words = reason.empty() ? gorb::sdk::errno_words(why) : std::string(reason);
    if (phase == Phase::connecting) {
        if (why == 0) words = "connection closed in the TLS handshake";
    } else if (why == 0) {
        words = begun() ? "connection closed in the middle of a reply" : "connection closed before a reply";
    } else {
        words += begun() ? ", in the middle of a reply" : ", before a reply";
    }
    clear();
    answer({gorb::sdk::our_trouble(why) ? Verdict::unknown : Verdict::fail, std::move(words), -why});
}

void Probe::lost_while_idle() {
    const uint64_t now = instance_.host().now();
    const bool check = habit_.closed(now - std::min(now, idle_since_));
    clear();
    if (check) run_.recheck();
}

// The deadline, and no answer yet.
void Probe::expire() {
    if (!open_) return;
    std::string words = "timed out, ";
    if (phase_ == Phase::connecting) {
        const gorb_net& net = instance_.net();
        const std::string_view stage = GORB_HAS(gorb_net, &net, reason) ? view(net.reason(conn_)) : "";
        words += stage == "in the TLS handshake" ? stage : "before the connection was made";
    } else {
        words += begun() ? "in the middle of a reply" : "before a reply";
        if (reused_) words += ", on the connection kept from an earlier check";
    }
    clear();
    answer(Result::fail(std::move(words), ETIMEDOUT));
}

// ---- the verdict, and what becomes of the connection ----

void Probe::pass(const std::string& words, const pulse_match::Share& share) {
    Result result = Result::pass(words, reader_->status());
    result.share = share.percent;
    if (shared_.settings.tls && not_after_ != 0) {
        auto judged = judge_certificate(not_after_, std::time(nullptr), shared_.settings.tls->rule);
        if (!judged.failure.empty()) return fail(std::move(judged.failure), reader_->status());
        result.warning = std::move(judged.warning);
    }
    if (!share.warning.empty()) result.warning += (result.warning.empty() ? "" : "; ") + share.warning;
    phase_ = Phase::draining;
    settle();
    answer(result);
}

void Probe::fail(std::string words, int32_t code) {
    // A server that shall close, or said so, does it by itself; any other connection ends here: the check
    // after a failure has a new one.
    if (reader_->head_complete() && reader_->state() != State::bad &&
        (!shared_.settings.keep_alive || reader_->server_closes())) {
        linger();
    } else {
        clear();
    }
    answer(Result::fail(std::move(words), code));
}

// After the verdict, while draining.
void Probe::settle() {
    const State state = reader_->state();
    if (state == State::bad || !conn_) return clear();
    if (!shared_.settings.keep_alive) return linger();
    if (state == State::body) return arm();
    if (!reader_->reusable()) return reader_->server_closes() && !reader_->cut() ? linger() : clear();
    rest();
}

// Keeps the connection for the next check, if there is room for it.
void Probe::rest() noexcept {
    idle_since_ = instance_.host().now();
    if (instance_.shortage.of(peer_, idle_since_) || (!kept_ && !Instance::keep())) return clear();
    kept_ = true;
    give_reader();
    disarm();
    phase_ = Phase::idle;
}

void Probe::linger() noexcept {
    if (!conn_) return clear();
    give_reader();
    lingered_ = 0;
    phase_ = Phase::lingering;
    arm();
}

void Probe::answer(const Result& result) noexcept {
    if (!std::exchange(open_, false)) return;
    habit_.judged(result.verdict == Verdict::pass);
    run_.report(result);
}

// Back to no connection, no reader, no timer.
void Probe::clear() noexcept {
    phase_ = Phase::none;
    forget_kept();
    if (conn_) instance_.net().close(std::exchange(conn_, nullptr));
    give_reader();
    disarm();
}

// Somebody has to end what is left of a run that is answered.
void Probe::arm() noexcept {
    if (timer_ != 0) return;
    timer_ = instance_.loop().at(instance_.host().c(), run_.deadline(), &Probe::on_timer, this);
    if (timer_ == 0) clear();
}

void Probe::disarm() noexcept {
    if (timer_) instance_.loop().cancel(instance_.host().c(), std::exchange(timer_, 0));
}

void Probe::forget_kept() noexcept {
    if (std::exchange(kept_, false)) Instance::drop();
}

void Probe::give_reader() noexcept {
    if (reader_) instance_.give(std::move(reader_));
}

// ---- from C ----

template <class Fn>
void Probe::guarded(const char* where, Fn&& fn) noexcept {
    if (instance_.host().guarded(where, std::forward<Fn>(fn))) return;
    clear();
    instance_.host().guarded(where,
                             [&] { answer(Result::unknown("the check failed by a fault of its own")); });
}

void Probe::on_opened(void* arg, gorb_conn*) noexcept {
    auto* self = static_cast<Probe*>(arg);
    self->guarded("opened", [&] { self->opened(); });
}

size_t Probe::on_received(void* arg, gorb_conn*, const uint8_t* data, size_t size) noexcept {
    auto* self = static_cast<Probe*>(arg);
    size_t used = size;
    self->guarded("received", [&] { used = self->received({reinterpret_cast<const char*>(data), size}); });
    return used;
}

void Probe::on_closed(void* arg, gorb_conn* conn, int32_t why) noexcept {
    auto* self = static_cast<Probe*>(arg);
    const gorb_net& net = self->instance_.net();
    self->guarded("closed", [&] {
        self->conn_ = nullptr;
        self->closed(why, GORB_HAS(gorb_net, &net, reason) ? view(net.reason(conn)) : std::string_view());
    });
}

void Probe::on_timer(void* arg) noexcept {
    auto* self = static_cast<Probe*>(arg);
    self->timer_ = 0;
    self->clear();
}

}  // namespace pulse_http
