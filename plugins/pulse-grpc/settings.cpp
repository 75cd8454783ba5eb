#include "settings.h"

#include <algorithm>

#include "health.h"
#include "match/names.h"

namespace pulse_grpc {
namespace {

using gorb::sdk::Config;
using gorb::sdk::Error;

constexpr size_t longest_service = 1024;

// Without a port and an address's brackets.
std::string_view name_of(std::string_view authority) {
    if (!authority.empty() && authority.front() == '[') return authority.substr(1, authority.find(']') - 1);
    return authority.substr(0, authority.find(':'));
}

std::string file_of(const Config& config, const char* option) {
    const auto file = config.text(option);
    if (file && (file->empty() || file->front() != '/'))
        throw Error(std::string("\"") + option + "\" must be the absolute path of a PEM file");
    return std::string(file.value_or(""));
}

void read_tls(const Config& config, Settings& out) {
    out.tls = config.boolean("tls").value_or(false);
    if (!out.tls) {
        for (const char* option : {"tls-name", "ca", "cert", "key"})
            if (config.text(option)) throw Error(std::string("\"") + option + R"(" needs "tls": true)");
        return;
    }
    out.verify = config.boolean("verify").value_or(true);
    out.alpn = config.boolean("alpn").value_or(true);
    if (const auto name = config.text("tls-name")) {
        pulse_match::check_tls_name(*name);
        out.tls_name = *name;
    } else {
        out.tls_name = name_of(out.authority);
    }
    out.ca = file_of(config, "ca");
    out.cert = file_of(config, "cert");
    out.key = file_of(config, "key");
    if (out.cert.empty() && !out.key.empty())
        throw Error(R"("key" needs "cert", the certificate that it is of)");
    if (out.key.empty()) out.key = out.cert;  // both in one file
}

}  // namespace

pulse_kept::Places SharedSettings::places(1);

Settings Settings::read(const Config& config) {
    Settings out;
    out.service = config.text("service").value_or("");
    if (out.service.size() > longest_service)
        throw Error("\"service\" is longer than " + std::to_string(longest_service) + " bytes");
    out.message = encode_request(out.service);
    if (const auto authority = config.text("authority"))
        out.authority = pulse_match::authority("authority", *authority);
    out.port = static_cast<uint16_t>(config.integer("port").value_or(0));
    out.keep_alive = config.boolean("keep-alive").value_or(false);
    read_tls(config, out);
    return out;
}

std::shared_ptr<const Settings> SharedSettings::get(const Config& config) {
    std::string key;
    for (const gorb_option& option : option_table) {
        if (option.type == GORB_BOOL) key += config.boolean(option.name).value_or(false) ? 't' : 'f';
        if (option.type == GORB_INT) key += std::to_string(config.integer(option.name).value_or(0)) + ' ';
        if (option.type == GORB_TEXT) {
            const auto text = config.text(option.name);
            key += text ? std::to_string(text->size()) + ':' + std::string(*text) : "-";
        }
    }
    if (settings_.size() > 2 * most_) {
        for (auto it = settings_.begin(); it != settings_.end();)
            it = it->second.expired() ? settings_.erase(it) : std::next(it);
        most_ = std::max<size_t>(settings_.size(), 16);
    }
    auto& entry = settings_[key];
    auto settings = entry.lock();
    if (!settings) entry = settings = std::make_shared<const Settings>(Settings::read(config));
    return settings;
}

}  // namespace pulse_grpc
