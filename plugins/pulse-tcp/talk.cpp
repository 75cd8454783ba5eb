#include "talk.h"

#include <arpa/inet.h>

#include <array>
#include <utility>

namespace pulse_tcp {

using namespace gorb::sdk;

namespace {

constexpr std::array texts{"send",     "send-hex", "expect", "expect-hex", "expect-regex",
                           "tls-name", "ca",       "cert",   "key"};

// All that Conversation::parse() reads, in a form in which equal options are equal.
std::string key_of(const Config& config) {
    std::string key;
    const auto add = [&key](const std::optional<std::string_view>& value) {
        key += value ? std::to_string(value->size()) + ":" : "-";
        if (value) key += *value;
    };
    for (const char* name : texts) add(config.text(name));
    add(config.json("steps"));
    key += std::to_string(config.integer("limit").value_or(0));
    key += config.boolean("tls").value_or(false) ? 't' : 'p';
    key += config.boolean("verify").value_or(true) ? 'v' : 'n';
    return key;
}

bool is_address(const std::string& name) {
    std::array<uint8_t, 16> out{};
    return inet_pton(AF_INET, name.c_str(), out.data()) == 1 ||
           inet_pton(AF_INET6, name.c_str(), out.data()) == 1;
}

// A little before the run's own deadline, after which nobody would hear our reason.
uint64_t before(uint64_t deadline, uint64_t now) {
    constexpr uint64_t margin = 50'000'000;
    return deadline <= now ? deadline : deadline - std::min(margin, (deadline - now) / 10);
}

}  // namespace

std::shared_ptr<const Conversation> Conversation::parse(const Config& config) {
    auto script = Script::parse(config);
    auto out = std::make_shared<Conversation>();
    out->tls = config.boolean("tls").value_or(false);
    const auto text = [&config, &out](const char* name) {
        const auto value = config.text(name);
        if (value && !out->tls)
            throw Error(std::string("\"") + name + R"(" is for TLS: say "tls": true as well)");
        if (value && value->empty()) throw Error(std::string("\"") + name + "\" is empty; leave it out");
        return std::string(value.value_or(""));
    };
    out->tls_name = text("tls-name");
    out->ca = text("ca");
    out->cert = text("cert");
    out->key = text("key");
    if (out->cert.empty() != out->key.empty())
        throw Error("\"cert\" and \"key\" are given together or not at all");
    out->verify = config.boolean("verify").value_or(true);
    if (!script && !out->tls) return nullptr;
    if (script) out->script = std::move(*script);
    return out;
}

std::shared_ptr<const Conversation> Conversations::get(const Config& config) {
    std::string key = key_of(config);
    const auto found = known_.find(key);
    if (found != known_.end()) {
        if (auto conversation = found->second.lock()) return conversation;
    }
    auto conversation = Conversation::parse(config);
    if (!conversation) return nullptr;
    if (known_.size() >= sweep_at_) {
        for (auto it = known_.begin(); it != known_.end();)
            it = it->second.expired() ? known_.erase(it) : next(it);
        sweep_at_ = std::max<size_t>(16, known_.size() * 2);
    }
    known_.insert_or_assign(std::move(key), conversation);
    return conversation;
}

Talk::Talk(const Host& host, std::shared_ptr<const Conversation> conversation, Connection::Options route,
           std::string_view name, const Run& run, Over over)
    : conversation_(std::move(conversation)),
      dialogue_(conversation_->script),
      connection_(host, *this),
      over_(std::move(over)) {
    route.transport = conversation_->tls ? GORB_TLS : GORB_TCP;
    if (conversation_->tls) {
        route.tls_name = conversation_->tls_name.empty() ? std::string(name) : conversation_->tls_name;
        // No name was given: the certificate has to be the address's.
        if (route.tls_name.empty() && conversation_->verify) route.tls_name = to_string(route.peer);
        if (!conversation_->verify && is_address(route.tls_name)) route.tls_name.clear();
        route.tls_ca = conversation_->ca;
        route.tls_cert = conversation_->cert;
        route.tls_key = conversation_->key;
        if (conversation_->verify) route.flags |= GORB_TLS_VERIFY;
    }
    if (conversation_->script.ends_with_send()) route.flags |= GORB_CONN_FINISH;
    route.deadline_ns = before(run.deadline(), host.now());
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
        return Result::pass(alone ? "connected, TLS agreed on" : dialogue_.words());
    }
    return Result::fail(dialogue_.words(), code);
}

void Talk::closed(int32_t why) {
    const int32_t code = why < 0 ? -why : why;
    const std::string_view reason = connection_.reason();
    if (why != 0 && our_trouble(why)) return over(Result::unknown(errno_words(why), code));
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

void Talk::over(Result result) {
    connection_.close();
    const Over tell = std::move(over_);
    tell(result);  // this may be gone afterwards
}

TalkCheck::TalkCheck(Shared& shared, const Target& target, uint16_t port,
                     std::shared_ptr<const Conversation> conversation)
    : shared_(shared),
      route_(shared.route(target)),
      peer_(target.address()),
      name_(is_address(std::string(target.host_name())) ? "" : target.host_name()),
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
    talk_ = std::make_unique<Talk>(shared_.host(), conversation_, std::move(route), name_, run,
                                   [this, run](const Result& result) {
                                       talk_.reset();
                                       run.report(result);
                                   });
}

}  // namespace pulse_tcp
