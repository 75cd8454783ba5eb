// Backends and their pulses: JSON to value and back.
#include "model/codec.h"
#include "model/fields.h"
#include "model/pulse_codec.h"
#include "model/rules.h"

namespace gorb::model {
namespace {

using base::Fault;
using base::ObjectReader;

void read_forwarding(ObjectReader& doc, Backend& b) {
    if (is_null(doc, "method")) {
        b.forwarding = Backend().forwarding;
        return;
    }
    const auto text = doc.text("method");
    if (!text || text->empty()) return;
    const std::string name = lower(*text);
    if (name == "nat" || name == "masq") {
        b.forwarding = Forwarding::nat;
    } else if (name == "tunnel" || name == "ipip") {
        b.forwarding = Forwarding::tunnel;
    } else if (name == "dr" || name == "gate") {
        b.forwarding = Forwarding::dr;
    } else {
        doc.fault("method",
                  "must be \"nat\", \"tunnel\" or \"dr\" (or ipvsadm's \"masq\", \"ipip\" or \"gate\")");
    }
}

// Everything but the key, on top of what `b` holds.
void read_settings(ObjectReader& doc, Mode mode, Backend& b) {
    read_forwarding(doc, b);
    const Backend fallback;
    if (!unset_by_go(doc, "weight")) read_whole(doc, "weight", fallback.weight, 0, max_weight, b.weight);
    read_whole(doc, "upper-threshold", fallback.upper_threshold, 0, max_threshold, b.upper_threshold);
    read_whole(doc, "lower-threshold", fallback.lower_threshold, 0, max_threshold, b.lower_threshold);
    read_flag(doc, "backup", false, b.backup);
    if (is_null(doc, "admin")) {
        b.admin = Admin::ready;
    } else {
        read_word(doc, "admin", {Admin::ready, Admin::drain, Admin::maint}, admin_text, b.admin);
    }
    base::Nanos drain_timeout = b.drain_timeout;
    read_duration(doc, "drain-timeout", base::Nanos(0), drain_timeout);
    b.drain_timeout = drain_time(drain_timeout);
    if (is_null(doc, "drain-then")) {
        b.drain_then = DrainThen::maint;
    } else {
        read_word(doc, "drain-then", {DrainThen::maint, DrainThen::remove}, drain_then_text, b.drain_then);
    }
    read_pulses(doc, mode, b.pulses);
    doc.finish();
}

void check(ObjectReader& doc, const Backend& b) {
    add_violations(doc.faults(), backend_violations(b), address_name(doc));
}

base::Result<Backend> result(Backend b, std::vector<Fault> faults) {
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return b;
}

// Everything but the key: members of the object that is open.
void write_settings(base::JsonWriter& out, const Backend& b) {
    base::key(out, "weight");
    out.Uint(b.weight);
    base::key(out, "method");
    base::value(out, forwarding_text(b.forwarding));
    base::key(out, "backup");
    out.Bool(b.backup);
    base::key(out, "admin");
    base::value(out, admin_text(b.admin));
    if (b.drain_timeout.count() > 0) {
        base::key(out, "drain-timeout");
        base::value(out, base::duration_text(b.drain_timeout));
    }
    if (b.drain_then != DrainThen::maint) {
        base::key(out, "drain-then");
        base::value(out, drain_then_text(b.drain_then));
    }
    write_pulses(out, b.pulses);
    base::key(out, "upper-threshold");
    out.Uint(b.upper_threshold);
    base::key(out, "lower-threshold");
    out.Uint(b.lower_threshold);
}

}  // namespace

Backend read_backend(std::string name, ObjectReader& doc) {
    Backend b;
    b.name = std::move(name);
    if (const auto ip = read_address(doc)) {
        b.address.ip = *ip;
    } else if (!has_address(doc)) {
        doc.fault("address", "is missing; it must be the server's address, such as \"10.1.0.1\"");
    }
    if (const auto port = read_port(doc)) {
        b.address.port = *port;
    } else if (!doc.has("port")) {
        doc.fault("port", "is missing; it must be a whole number from 0 to 65535");
    }
    read_settings(doc, Mode::create, b);
    check(doc, b);
    return b;
}

base::Result<Backend> read_backend(std::string name, std::string_view body) {
    if (auto violation = name_violation(name)) return base::fail(base::Errc::invalid, std::move(*violation));
    auto object = base::parse_json_object(body);
    if (!object) return base::fail(std::move(object.error()));
    std::vector<Fault> faults;
    ObjectReader doc(*object, "", faults);
    Backend b = read_backend(std::move(name), doc);
    return result(std::move(b), std::move(faults));
}

base::Result<Backend> read_backend_settings(const base::Endpoint& address, std::string_view settings) {
    auto object = base::parse_json_object(settings);
    if (!object) return base::fail(std::move(object.error()));
    std::vector<Fault> faults;
    ObjectReader doc(*object, "", faults);
    Backend b;
    b.address = address;
    read_settings(doc, Mode::create, b);
    check(doc, b);
    return result(std::move(b), std::move(faults));
}

base::Result<Backend> patch_backend(const Backend& now, std::string_view body) {
    auto object = base::parse_json_object(body);
    if (!object) return base::fail(std::move(object.error()));
    std::vector<Fault> faults;
    ObjectReader doc(*object, "", faults);
    constexpr const char* refusal =
        "can not be changed: the kernel knows a backend by its address and port; create another backend and "
        "delete this one";
    if (const auto ip = read_address(doc); ip && *ip != now.address.ip) doc.fault(address_name(doc), refusal);
    const auto port = unset_by_go(doc, "port") ? std::nullopt : read_port(doc);
    if (port && *port != now.address.port) doc.fault("port", refusal);
    Backend b = now;
    read_settings(doc, Mode::patch, b);
    // Who calls off a removal (DELETE ?drain= above all) does not want the next drain to be one.
    if (now.admin == Admin::drain && now.drain_then == DrainThen::remove && b.admin != Admin::drain) {
        if (!doc.has("drain-timeout")) b.drain_timeout = {};
        if (!doc.has("drain-then")) b.drain_then = DrainThen::maint;
    }
    check(doc, b);
    return result(std::move(b), std::move(faults));
}

void write_backend_options(base::JsonWriter& out, const Backend& b) {
    const std::string address = b.address.ip.text();
    out.StartObject();
    base::key(out, "host");
    base::value(out, address);
    base::key(out, "address");
    base::value(out, address);
    base::key(out, "port");
    out.Uint(b.address.port);
    write_settings(out, b);
    out.EndObject();
}

void write_backend_settings(base::JsonWriter& out, const Backend& b) {
    out.StartObject();
    write_settings(out, b);
    out.EndObject();
}

}  // namespace gorb::model
