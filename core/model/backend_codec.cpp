// Backends and their pulses: JSON to value and back.
#include "model/codec.h"
#include "model/fields.h"
#include "model/rules.h"

namespace gorb::model {
namespace {

using base::Fault;
using base::ObjectReader;
using Poco::Dynamic::Var;

// Less than a document may have, so that what was written beside `type` can be written inside `args`.
constexpr size_t max_arg_levels = 16;

// Whether what the document leaves out has its default or its present value.
enum class Mode { create, patch };

void read_forwarding(ObjectReader& doc, Backend& b) {
    const auto text = doc.text("method");
    if (!text) return;
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

// A member of a pulse that is reset to its default by null in a PATCH (RFC 7396). True: so it was.
bool reset(ObjectReader& doc, const std::string& name, Mode mode) {
    if (mode != Mode::patch) return false;
    const auto value = doc.any(name);
    return value && value->isEmpty();
}

void read_duration(ObjectReader& doc, const std::string& name, Mode mode, base::Nanos fallback,
                   base::Nanos& to) {
    const auto value = doc.any(name);
    if (!value) return;
    if (reset(doc, name, mode)) {
        to = fallback;
        return;
    }
    if (value->type() == typeid(std::string)) {
        if (const auto duration = base::parse_duration(value->extract<std::string>())) {
            to = *duration;
            return;
        }
    } else if (value->type() == typeid(Poco::Int64)) {
        const int64_t seconds = value->extract<Poco::Int64>();
        if (seconds >= 0 && seconds <= 24 * 3600) {
            to = std::chrono::seconds(seconds);
            return;
        }
    }
    doc.fault(name, "must be a duration such as \"250ms\", \"5s\" or \"1m30s\", or whole seconds");
}

void read_count(ObjectReader& doc, const std::string& name, Mode mode, uint32_t fallback, uint32_t& to) {
    if (reset(doc, name, mode)) {
        to = fallback;
    } else if (const auto n = doc.integer(name, 1, max_rise_fall)) {
        to = static_cast<uint32_t>(*n);
    }
}

// Everything that is the plugin's: members of `args`, and members beside `type` that are not the core's.
void read_args(ObjectReader& doc, Mode mode, std::map<std::string, std::string>& args) {
    struct Given {
        Var value;
        bool inside;  // args
    };
    std::map<std::string, Given> given;
    std::optional<ObjectReader> args_doc;
    if (reset(doc, "args", mode)) {
        args.clear();
    } else if ((args_doc = doc.object("args"))) {
        for (const std::string& name : args_doc->rest())
            given.emplace(name, Given{*args_doc->any(name), true});
    }
    for (const std::string& name : doc.rest()) {
        const Var value = *doc.any(name);
        const auto [at, added] = given.emplace(name, Given{value, false});
        if (!added && base::canonical_json(at->second.value) != base::canonical_json(value)) {
            doc.fault(name, "must be left out or be equal to the one inside \"args\"");
        }
    }
    for (const auto& [name, arg] : given) {
        ObjectReader& place = arg.inside ? *args_doc : doc;
        if (levels(arg.value) > max_arg_levels) {
            place.fault(name, "must not be nested more than 16 levels deep");
        } else if (mode == Mode::create && arg.value.isEmpty()) {
            place.fault(name, "must not be null; leave it out instead");
        } else if (mode == Mode::create) {
            args[name] = base::canonical_json(arg.value);
        } else if (arg.value.isEmpty()) {
            args.erase(name);
        } else {
            std::optional<Var> present;
            if (const auto at = args.find(name); at != args.end()) {
                if (auto value = base::parse_json(at->second)) present = std::move(*value);
            }
            args[name] = base::canonical_json(merge_patch(present, arg.value));
        }
    }
}

void read_pulse(ObjectReader doc, Mode mode, PulseSpec& pulse) {
    const PulseSpec fallback;
    if (const auto text = doc.text("type")) {
        std::string type = lower(*text);
        if (type != pulse.type) pulse.args.clear();  // they were another plugin's
        pulse.type = std::move(type);
    }
    read_duration(doc, "interval", mode, fallback.interval, pulse.interval);
    read_duration(doc, "timeout", mode, fallback.timeout, pulse.timeout);
    read_count(doc, "rise", mode, fallback.rise, pulse.rise);
    read_count(doc, "fall", mode, fallback.fall, pulse.fall);
    read_args(doc, mode, pulse.args);
}

// Everything but the key, on top of what `b` holds.
void read_settings(ObjectReader& doc, Mode mode, Backend& b) {
    read_forwarding(doc, b);
    if (const auto weight = doc.integer("weight", 0, max_weight)) b.weight = static_cast<uint32_t>(*weight);
    if (const auto n = doc.integer("upper-threshold", 0, max_threshold))
        b.upper_threshold = static_cast<uint32_t>(*n);
    if (const auto n = doc.integer("lower-threshold", 0, max_threshold))
        b.lower_threshold = static_cast<uint32_t>(*n);
    if (auto pulse = doc.object("pulse")) {
        PulseSpec spec = b.pulses[0];
        read_pulse(std::move(*pulse), mode, spec);
        b.pulses = PulseList({std::move(spec)});
    }
    doc.finish();
}

base::Result<Backend> finish(Backend b, std::vector<Fault> faults, const ObjectReader& doc) {
    add_violations(faults, backend_violations(b), address_name(doc));
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return b;
}

void write_pulse(base::JsonWriter& out, const PulseSpec& pulse) {
    out.StartObject();
    base::key(out, "type");
    base::value(out, pulse.type);
    base::key(out, "interval");
    base::value(out, base::duration_text(pulse.interval));
    base::key(out, "timeout");
    base::value(out, base::duration_text(pulse.timeout));
    base::key(out, "rise");
    out.Uint(pulse.rise);
    base::key(out, "fall");
    out.Uint(pulse.fall);
    base::key(out, "args");
    out.StartObject();
    for (const auto& [name, json] : pulse.args) {
        base::key(out, name);
        out.RawValue(json.data(), json.size(), rapidjson::kObjectType);
    }
    out.EndObject();
    out.EndObject();
}

}  // namespace

base::Result<Backend> read_backend(std::string name, std::string_view body) {
    if (auto violation = name_violation(name)) return base::fail(base::Errc::invalid, std::move(*violation));
    auto object = base::parse_json_object(body);
    if (!object) return base::fail(std::move(object.error()));
    std::vector<Fault> faults;
    ObjectReader doc(*object, "", faults);
    Backend b;
    b.name = std::move(name);
    if (const auto ip = read_address(doc)) {
        b.address.ip = *ip;
    } else if (!doc.has("address") && !doc.has("host")) {
        doc.fault("address", "is missing; it must be the server's address, such as \"10.1.0.1\"");
    }
    if (const auto port = read_port(doc)) {
        b.address.port = *port;
    } else if (!doc.has("port")) {
        doc.fault("port", "is missing; it must be a whole number from 0 to 65535");
    }
    read_settings(doc, Mode::create, b);
    return finish(std::move(b), std::move(faults), doc);
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
    if (const auto port = read_port(doc); port && *port != now.address.port) doc.fault("port", refusal);
    Backend b = now;
    read_settings(doc, Mode::patch, b);
    return finish(std::move(b), std::move(faults), doc);
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
    base::key(out, "weight");
    out.Uint(b.weight);
    base::key(out, "method");
    base::value(out, forwarding_text(b.forwarding));
    base::key(out, "pulse");
    write_pulse(out, b.pulses[0]);
    base::key(out, "upper-threshold");
    out.Uint(b.upper_threshold);
    base::key(out, "lower-threshold");
    out.Uint(b.lower_threshold);
    out.EndObject();
}

}  // namespace gorb::model
