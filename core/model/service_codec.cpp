// Virtual services: JSON to value and back.
#include <Poco/JSON/Array.h>

#include <charconv>

#include "model/codec.h"
#include "model/fields.h"
#include "model/pool_codec.h"
#include "model/rules.h"

namespace gorb::model {
namespace {

using base::Fault;
using base::ObjectReader;
using Poco::Dynamic::Var;

std::optional<Protocol> read_protocol(ObjectReader& doc) {
    if (left_out(doc, "protocol")) return std::nullopt;
    const auto text = doc.text("protocol");
    if (!text) return std::nullopt;
    const std::string name = lower(*text);
    if (name == "tcp") return Protocol::tcp;
    if (name == "udp") return Protocol::udp;
    doc.fault("protocol", "must be \"tcp\" or \"udp\"");
    return std::nullopt;
}

// ---- flags

struct FlagName {
    std::string_view name;
    std::string_view scheduler;  // "" for both that have flags
    uint32_t bit;
};
// Upstream gorb's names beside those of ipvsadm(8).
constexpr FlagName flag_names[] = {
    {"sh-fallback", "sh", flag_fallback}, {"sh-port", "sh", flag_port},  {"mh-fallback", "mh", flag_fallback},
    {"mh-port", "mh", flag_port},         {"flag-1", "", flag_fallback}, {"flag-2", "", flag_port},
};

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

// The fault, if `text` is no flag or one of another scheduler.
std::optional<std::string> add_flag(std::string_view text, const std::string& scheduler, uint32_t& flags) {
    const std::string name = lower(trimmed(text));
    for (const FlagName& flag : flag_names) {
        if (name != flag.name) continue;
        if (!flag.scheduler.empty() && flag.scheduler != scheduler) {
            return "must fit the method, which is \"" + scheduler.substr(0, 15) + "\": " + name +
                   " is for \"" + std::string(flag.scheduler) + "\" only";
        }
        flags |= flag.bit;
        return std::nullopt;
    }
    return "must be of sh-fallback, sh-port, mh-fallback and mh-port, several as \"sh-fallback|sh-port\" or "
           "as an array";
}

void read_flags(ObjectReader& doc, Service& s) {
    const auto value = doc.any("flags");
    if (!value || unset_by_go(doc, "flags")) return;
    uint32_t flags = 0;
    std::optional<std::string> fault;
    if (value->isEmpty()) {
        // none
    } else if (value->type() == typeid(std::string)) {
        std::string_view left = value->extract<std::string>();
        while (!fault && !left.empty()) {
            const size_t bar = left.find('|');
            fault = add_flag(left.substr(0, bar), s.scheduler, flags);
            left.remove_prefix(bar == std::string_view::npos ? left.size() : bar + 1);
        }
    } else if (value->type() == typeid(Poco::JSON::Array::Ptr)) {
        for (const Var& element : *value->extract<Poco::JSON::Array::Ptr>()) {
            const bool text = element.type() == typeid(std::string);
            if (!fault) fault = add_flag(text ? element.extract<std::string>() : "", s.scheduler, flags);
        }
    } else {
        fault = "must be a text such as \"sh-fallback|sh-port\" or an array of such texts";
    }
    if (fault) {
        doc.fault("flags", *fault);
    } else {
        s.flags = flags;
    }
}

// ---- persistence

void read_persistence(ObjectReader& doc, Service& s) {
    const auto persistent = doc.any("persistent");
    const auto timeout_value = doc.any("persistence-timeout");
    const bool reset = timeout_value && timeout_value->isEmpty();  // to the default
    std::optional<uint32_t> timeout;
    if (timeout_value && !reset) {
        timeout = persistence_seconds(*timeout_value);
        if (!timeout) {
            doc.fault("persistence-timeout",
                      "must be whole seconds from 1 to 2592000, or a duration such as \"5m\"");
            return;
        }
    }
    constexpr const char* needs_persistent = "has a meaning only with \"persistent\": true";
    if (!persistent || unset_by_go(doc, "persistent")) {
        if (timeout && s.persistence_s == 0) {
            doc.fault("persistence-timeout", needs_persistent);
        } else if (timeout) {
            s.persistence_s = *timeout;
        } else if (reset && s.persistence_s != 0) {
            s.persistence_s = default_persistence_s;
        }
        return;
    }
    if (persistent->isEmpty() || persistent->type() == typeid(bool)) {
        if (!persistent->isEmpty() && persistent->extract<bool>()) {
            const bool stays = s.persistence_s != 0 && !reset;
            s.persistence_s = timeout ? *timeout : stays ? s.persistence_s : default_persistence_s;
            return;
        }
        if (timeout) doc.fault("persistence-timeout", needs_persistent);
        s.persistence_s = 0;
        s.netmask = static_cast<uint8_t>(s.key.vip.ip.bits());
        return;
    }
    const auto seconds = persistence_seconds(*persistent);
    if (!seconds) {
        doc.fault("persistent",
                  "must be true, false, whole seconds from 1 to 2592000, or a duration such as \"5m\"");
    } else if (timeout && *timeout != *seconds) {
        doc.fault("persistence-timeout", "must be left out or be equal to \"persistent\"");
    } else {
        s.persistence_s = *seconds;
    }
}

std::optional<int64_t> netmask_prefix(const Var& value, bool dotted) {
    if (value.type() == typeid(Poco::Int64)) return value.extract<Poco::Int64>();
    if (value.type() != typeid(std::string)) return std::nullopt;
    std::string_view text = value.extract<std::string>();
    if (text.find('.') != std::string_view::npos) return dotted ? dotted_prefix(text) : std::nullopt;
    if (!text.empty() && text.front() == '/') text.remove_prefix(1);
    uint8_t prefix = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), prefix);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return prefix;
}

void read_netmask(ObjectReader& doc, Service& s) {
    const auto value = doc.any("netmask");
    if (!value) return;
    if (value->isEmpty()) {
        s.netmask = static_cast<uint8_t>(s.key.vip.ip.bits());
        return;
    }
    const bool v6 = s.key.vip.ip.v6();
    const auto prefix = netmask_prefix(*value, !v6);
    if (!prefix || *prefix < 1 || *prefix > (s.key.vip.ip.v4() ? 32 : 128)) {
        doc.fault("netmask", v6 ? "must be a prefix length from 1 to 128, such as 64 or \"/64\""
                                : "must be a mask such as \"255.255.255.0\", or a prefix length from 1 to "
                                  "32, such as 24 or \"/24\"");
        return;
    }
    s.netmask = static_cast<uint8_t>(*prefix);
}

// ---- the whole

// Everything but the key, on top of what `s` holds.
void read_settings(ObjectReader& doc, Service& s) {
    if (is_null(doc, "method")) {
        s.scheduler = Service().scheduler;
    } else if (const auto method = doc.text("method"); method && !method->empty()) {
        s.scheduler = lower(*method);
    }
    read_flags(doc, s);
    read_persistence(doc, s);
    read_netmask(doc, s);
    read_pool(doc, s.pool);
    doc.finish();
}

void check(ObjectReader& doc, std::vector<Fault> violations) {
    add_violations(doc.faults(), std::move(violations), address_name(doc));
}

base::Result<Service> result(Service s, std::vector<Fault> faults) {
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return s;
}

std::string netmask_text(uint8_t prefix) {
    const uint32_t bits = prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix);
    base::Ip mask;
    mask.family = base::Ip::Family::v4;
    for (size_t i = 0; i < 4; ++i) mask.bytes[i] = static_cast<uint8_t>(bits >> (24 - 8 * i));
    return mask.text();
}

// Everything but the key: members of the object that is open.
void write_settings(base::JsonWriter& out, const Service& s) {
    base::key(out, "method");
    base::value(out, s.scheduler);
    base::key(out, "flags");
    base::value(out, flags_text(s.scheduler, s.flags));
    base::key(out, "persistent");
    out.Bool(s.persistence_s != 0);
    if (s.persistence_s != 0) {
        base::key(out, "persistence-timeout");
        out.Uint(s.persistence_s);
        base::key(out, "netmask");
        if (s.key.vip.ip.v4()) {
            base::value(out, netmask_text(s.netmask));
        } else {
            out.Uint(s.netmask);
        }
    }
    write_pool(out, s.pool);
}

}  // namespace

Service read_service(std::string name, ObjectReader& doc, const Defaults& defaults) {
    Service s;
    s.name = std::move(name);
    if (const auto ip = read_address(doc)) {
        s.key.vip.ip = *ip;
    } else if (!has_address(doc)) {
        if (defaults.address) {
            s.key.vip.ip = *defaults.address;
        } else {
            doc.fault("address", "is missing; it must be the virtual IP address, such as \"10.0.0.1\"");
        }
    }
    if (const auto port = read_port(doc)) {
        s.key.vip.port = *port;
    } else if (!doc.has("port")) {
        doc.fault("port", "is missing; it must be a whole number from 0 to 65535");
    }
    s.key.protocol = read_protocol(doc).value_or(Protocol::tcp);
    s.netmask = static_cast<uint8_t>(s.key.vip.ip.bits());
    read_settings(doc, s);
    check(doc, new_service_violations(s));
    return s;
}

base::Result<Service> read_service(std::string name, std::string_view body, const Defaults& defaults) {
    if (auto violation = name_violation(name)) return base::fail(base::Errc::invalid, std::move(*violation));
    auto object = base::parse_json_object(body);
    if (!object) return base::fail(std::move(object.error()));
    std::vector<Fault> faults;
    ObjectReader doc(*object, "", faults);
    Service s = read_service(std::move(name), doc, defaults);
    return result(std::move(s), std::move(faults));
}

base::Result<Service> read_service_settings(const ServiceKey& key, std::string_view settings) {
    auto object = base::parse_json_object(settings);
    if (!object) return base::fail(std::move(object.error()));
    std::vector<Fault> faults;
    ObjectReader doc(*object, "", faults);
    Service s;
    s.key = key;
    s.netmask = static_cast<uint8_t>(key.vip.ip.bits());
    read_settings(doc, s);
    check(doc, service_violations(s));
    return result(std::move(s), std::move(faults));
}

base::Result<Service> patch_service(const Service& now, std::string_view body) {
    auto object = base::parse_json_object(body);
    if (!object) return base::fail(std::move(object.error()));
    std::vector<Fault> faults;
    ObjectReader doc(*object, "", faults);
    constexpr const char* refusal =
        "can not be changed: the kernel knows a virtual service by its address, port and protocol; create "
        "another service and "
        "delete this one";
    if (const auto ip = read_address(doc); ip && *ip != now.key.vip.ip) doc.fault(address_name(doc), refusal);
    const auto port = unset_by_go(doc, "port") ? std::nullopt : read_port(doc);
    if (port && *port != now.key.vip.port) doc.fault("port", refusal);
    if (const auto p = read_protocol(doc); p && *p != now.key.protocol) doc.fault("protocol", refusal);
    Service s = now;
    read_settings(doc, s);
    check(doc, new_service_violations(s));
    return result(std::move(s), std::move(faults));
}

std::string flags_text(const std::string& scheduler, uint32_t flags) {
    std::string out;
    const auto add = [&](uint32_t bit, const char* name) {
        if ((flags & bit) == 0) return;
        if (!out.empty()) out += '|';
        out += scheduler;
        out += name;
    };
    add(flag_fallback, "-fallback");
    add(flag_port, "-port");
    return out;
}

void write_service_members(base::JsonWriter& out, const Service& s) {
    const std::string address = s.key.vip.ip.text();
    base::key(out, "host");
    base::value(out, address);
    base::key(out, "address");
    base::value(out, address);
    base::key(out, "port");
    out.Uint(s.key.vip.port);
    base::key(out, "protocol");
    base::value(out, protocol_text(s.key.protocol));
    write_settings(out, s);
}

void write_service_options(base::JsonWriter& out, const Service& s) {
    out.StartObject();
    write_service_members(out, s);
    out.EndObject();
}

void write_service_settings(base::JsonWriter& out, const Service& s) {
    out.StartObject();
    write_settings(out, s);
    out.EndObject();
}

}  // namespace gorb::model
