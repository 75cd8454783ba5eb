#include "conversation.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "match/names.h"

namespace pulse_tcp {

using gorb::sdk::Config;
using gorb::sdk::Error;

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
    const auto file = [&text](const char* name) {
        std::string path = text(name);
        if (!path.empty() && path.front() != '/')
            throw Error(std::string("\"") + name + "\" must be the absolute path of a PEM file");
        return path;
    };
    out->tls_name = text("tls-name");
    if (!out->tls_name.empty()) pulse_match::check_tls_name(out->tls_name);
    out->ca = file("ca");
    out->cert = file("cert");
    out->key = file("key");
    if (out->cert.empty() && !out->key.empty())
        throw Error(R"("key" needs "cert", the certificate that it is of)");
    if (out->key.empty()) out->key = out->cert;  // both in one file
    out->verify = config.boolean("verify").value_or(true);
    if (!script && !out->tls) return nullptr;
    if (script) out->script = std::move(*script);
    return out;
}

std::shared_ptr<const Conversation> Conversations::get(const Config& config) {
    std::string key = key_of(config);
    if (key == none_) return nullptr;
    const auto found = known_.find(key);
    if (found != known_.end()) {
        if (auto conversation = found->second.lock()) return conversation;
    }
    auto conversation = Conversation::parse(config);
    if (!conversation) {
        none_ = std::move(key);
        return nullptr;
    }
    if (known_.size() >= sweep_at_) {
        for (auto it = known_.begin(); it != known_.end();)
            it = it->second.expired() ? known_.erase(it) : next(it);
        sweep_at_ = std::max<size_t>(16, known_.size() * 2);
    }
    known_.insert_or_assign(std::move(key), conversation);
    return conversation;
}

}  // namespace pulse_tcp
