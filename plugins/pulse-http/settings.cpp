#include "settings.h"

#include "match/names.h"
#include "options.h"

namespace pulse_http {
namespace {

using gorb::sdk::Config;
using gorb::sdk::Error;

// The name to verify out of a Host header's value: without a port and an address's brackets.
std::string_view name_of(std::string_view host) {
    if (!host.empty() && host.front() == '[') {
        const size_t end = host.find(']');
        return host.substr(1, end == std::string_view::npos ? end : end - 1);
    }
    return host.substr(0, host.find(':'));
}

std::string file_of(const Config& config, const char* name) {
    const auto file = config.text(name);
    if (file && !file->starts_with('/'))
        throw Error(std::string("\"") + name + "\" must be the absolute path of a PEM file");
    return std::string(file.value_or(""));
}

std::optional<Settings::Tls> read_tls(const Config& config, const std::string& host) {
    if (!config.boolean("tls").value_or(false)) {
        for (const char* name : {"tls-name", "ca", "cert", "key"})
            if (config.text(name)) throw Error(std::string("\"") + name + R"(" needs "tls": true)");
        return std::nullopt;
    }
    Settings::Tls tls;
    tls.verify = config.boolean("verify").value_or(true);
    tls.name = name_of(host);
    if (const auto name = config.text("tls-name")) {
        pulse_match::check_tls_name(*name);
        tls.name = *name;
    }
    tls.ca = file_of(config, "ca");
    tls.cert = file_of(config, "cert");
    tls.key = file_of(config, "key");
    if (tls.cert.empty() && !tls.key.empty())
        throw Error(R"("key" needs "cert", the certificate that it is of)");
    if (tls.key.empty()) tls.key = tls.cert;  // both in one file
    tls.rule.warn_days = config.integer("expire-warning").value_or(14);
    tls.rule.fail_days = config.integer("expire-failure").value_or(0);
    return tls;
}

}  // namespace

Settings Settings::read(const Config& config) {
    Settings out;
    Request request;
    std::string host_name;
    request.method = config.text("method").value_or("GET");
    request.path = config.text("path").value_or("/");
    request.agent = "gorb/" GORB_VERSION;
    Request::check_path(request.path, request.method);
    if (const auto host = config.text("host")) host_name = pulse_match::authority("host", *host);
    if (const auto json = config.json("headers")) request.extra = ExtraHeaders::parse(*json);
    if (const auto body = config.text("body")) {
        Request::check_body(*body);
        request.body = *body;
    }
    out.keep_alive = config.boolean("keep-alive").value_or(true);
    request.close = !out.keep_alive;
    out.request = request.text();
    out.own_host = !host_name.empty();
    if (out.own_host) {
        out.request.before += host_name + out.request.after;
        out.request.after.clear();
    }
    out.to_head = request.method == "HEAD";
    out.port = static_cast<uint16_t>(config.integer("port").value_or(0));
    out.expected = Expectation::parse(config.text("expect").value_or("200"));
    if (const auto json = config.json("expect-header")) out.headers = HeaderRules::parse(*json);
    const auto regex = [&](const char* option) -> std::optional<Regex> {
        const auto pattern = config.text(option);
        if (!pattern) return std::nullopt;
        const std::string name = "\"" + std::string(option) + "\"";
        if (out.to_head) throw Error(name + " can not be: the reply to HEAD has no body");
        return Regex::compile(*pattern, name);
    };
    out.body = {regex("expect-body"), regex("reject-body")};
    out.body_limit = static_cast<size_t>(config.integer("body-limit").value_or(65536));
    out.fresh_every = static_cast<uint32_t>(config.integer("fresh-every").value_or(10));
    out.tls = read_tls(config, host_name);
    return out;
}

std::string key_of(const Config& config) {
    std::string key;
    const auto add = [&key](std::optional<std::string_view> value) {
        if (!value) {
            key += '-';
            return;
        }
        key += std::to_string(value->size());
        key += ':';
        key += *value;
    };
    for (const gorb_option& option : option_table) {
        switch (option.type) {
            case GORB_BOOL:
                key += config.boolean(option.name).value_or(false) ? "t" : "f";
                break;
            case GORB_INT:
                add(std::to_string(config.integer(option.name).value_or(-1)));
                break;
            case GORB_JSON:
                add(config.json(option.name));
                break;
            default:
                add(config.text(option.name));
        }
    }
    return key;
}

}  // namespace pulse_http
