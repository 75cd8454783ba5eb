#include "model/pulse_codec.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <cmath>

namespace gorb::model {
namespace {

using base::ObjectReader;
using Poco::Dynamic::Var;

// Less than a document may have, so that what was written beside `type` can be written inside `args`.
constexpr size_t max_arg_levels = 16;

void read_count(ObjectReader& doc, std::string_view name, uint32_t fallback, uint32_t most, uint32_t& to) {
    if (is_null(doc, name)) {
        to = fallback;
    } else if (const auto n = doc.integer(name, 1, most)) {
        to = static_cast<uint32_t>(*n);
    }
}

void read_backoff(ObjectReader& doc, Backoff& to) {
    if (is_null(doc, "backoff")) {
        to = {};
        return;
    }
    auto inner = doc.object("backoff");
    if (!inner) return;
    if (is_null(*inner, "factor")) {
        to.factor = Backoff{}.factor;
    } else if (const auto value = inner->any("factor")) {
        if (value->type() == typeid(double) || value->type() == typeid(Poco::Int64)) {
            to.factor = value->convert<double>();
        } else {
            inner->fault("factor", "must be a number from 1 to 10, such as 2");
        }
    }
    read_duration(*inner, "max", Backoff{}.max, to.max);
    inner->finish();
}

void read_window(ObjectReader& doc, Window& to) {
    if (is_null(doc, "window")) {
        to = {};
        return;
    }
    auto inner = doc.object("window");
    if (!inner) return;
    read_count(*inner, "failures", 0, max_window, to.failures);
    read_count(*inner, "of", 0, max_window, to.of);
    if (to.of == 0) inner->fault("of", "is missing; it must be a whole number from 1 to 100");
    inner->finish();
}

void read_damping(ObjectReader& doc, Damping& to) {
    if (is_null(doc, "damping")) {
        to = {};
        return;
    }
    auto inner = doc.object("damping");
    if (!inner) return;
    const Damping fallback;
    read_duration(*inner, "hold", fallback.hold, to.hold);
    read_duration(*inner, "max", fallback.max, to.max);
    read_duration(*inner, "forget", fallback.forget, to.forget);
    inner->finish();
}

void read_initial(ObjectReader& doc, Initial& to) {
    if (is_null(doc, "initial")) {
        to = PulseSpec{}.initial;
    } else {
        read_word(doc, "initial", {Initial::unknown, Initial::up, Initial::down}, initial_text, to);
    }
}

void read_ip(ObjectReader& doc, const char* name, const char* what, base::Ip& to) {
    if (is_null(doc, name)) {
        to = {};
    } else if (const auto text = doc.text(name)) {
        if (const auto ip = base::Ip::parse(*text)) {
            to = *ip;
        } else {
            doc.fault(name, std::string("must be a numeric IP address") + what + ", such as \"10.0.0.2\"");
        }
    }
}

void read_way(ObjectReader& doc, PulseSpec& pulse) {
    read_ip(doc, "address", "", pulse.address);
    read_ip(doc, "source", " of this machine", pulse.source);
    if (is_null(doc, "interface")) {
        pulse.interface.clear();
    } else if (auto text = doc.text("interface")) {
        pulse.interface = std::move(*text);
    }
    if (is_null(doc, "fwmark")) {
        pulse.fwmark = 0;
    } else if (const auto mark = doc.integer("fwmark", 0, UINT32_MAX)) {
        pulse.fwmark = static_cast<uint32_t>(*mark);
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
    if (is_null(doc, "args")) {
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
    if (const auto text = doc.text("type"); text && !text->empty()) {
        std::string type = lower(*text);
        if (type != pulse.type) pulse.args.clear();  // they were another plugin's
        pulse.type = std::move(type);
    }
    if (!left_out(doc, "interval")) read_duration(doc, "interval", fallback.interval, pulse.interval);
    read_duration(doc, "timeout", fallback.timeout, pulse.timeout);
    read_duration(doc, "fast-interval", fallback.fast_interval, pulse.fast_interval);
    read_duration(doc, "down-interval", fallback.down_interval, pulse.down_interval);
    read_backoff(doc, pulse.backoff);
    read_percent(doc, "jitter", fallback.jitter, 0, 50, pulse.jitter);
    read_count(doc, "rise", fallback.rise, max_rise_fall, pulse.rise);
    read_count(doc, "fall", fallback.fall, max_rise_fall, pulse.fall);
    read_window(doc, pulse.window);
    read_damping(doc, pulse.damping);
    read_initial(doc, pulse.initial);
    read_way(doc, pulse);
    read_args(doc, mode, pulse.args);
}

std::optional<std::vector<PulseSpec>> read_several(ObjectReader& doc) {
    const auto value = doc.any("pulses");
    if (!value || value->isEmpty()) return std::nullopt;
    constexpr const char* form =
        "must be an array of 1 to 8 pulses, each an object such as {\"type\": \"tcp\"}";
    if (value->type() != typeid(Poco::JSON::Array::Ptr)) {
        doc.fault("pulses", form);
        return std::nullopt;
    }
    const auto array = value->extract<Poco::JSON::Array::Ptr>();
    if (array->size() < 1 || array->size() > max_pulses) {
        doc.fault("pulses", form);
        return std::nullopt;
    }
    std::vector<PulseSpec> pulses(array->size());
    for (size_t i = 0; i < pulses.size(); ++i) {
        const Var element = array->get(static_cast<unsigned>(i));
        if (element.type() == typeid(Poco::JSON::Object::Ptr)) {
            read_pulse(doc.element("pulses", i, element.extract<Poco::JSON::Object::Ptr>()), Mode::create,
                       pulses[i]);
        } else {
            doc.fault("pulses", form);
        }
    }
    return pulses;
}

void duration(base::JsonWriter& out, std::string_view name, base::Nanos value) {
    base::key(out, name);
    base::value(out, base::duration_text(value));
}

void write_policy(base::JsonWriter& out, const PulseSpec& pulse) {
    const PulseSpec fallback;
    if (pulse.fast_interval != fallback.fast_interval) duration(out, "fast-interval", pulse.fast_interval);
    if (pulse.down_interval != fallback.down_interval) duration(out, "down-interval", pulse.down_interval);
    if (pulse.backoff != fallback.backoff) {
        base::key(out, "backoff");
        out.StartObject();
        base::key(out, "factor");
        out.Double(pulse.backoff.factor);
        duration(out, "max", pulse.backoff.max);
        out.EndObject();
    }
    if (pulse.jitter != fallback.jitter) {
        base::key(out, "jitter");
        base::value(out, percent_text(pulse.jitter));
    }
    if (pulse.window != fallback.window) {
        base::key(out, "window");
        out.StartObject();
        base::key(out, "failures");
        out.Uint(pulse.window.failures);
        base::key(out, "of");
        out.Uint(pulse.window.of);
        out.EndObject();
    }
    if (pulse.damping != fallback.damping) {
        base::key(out, "damping");
        out.StartObject();
        duration(out, "hold", pulse.damping.hold);
        duration(out, "max", pulse.damping.max);
        duration(out, "forget", pulse.damping.forget);
        out.EndObject();
    }
    if (pulse.initial != fallback.initial) {
        base::key(out, "initial");
        base::value(out, initial_text(pulse.initial));
    }
    if (pulse.address) {
        base::key(out, "address");
        base::value(out, pulse.address.text());
    }
    if (pulse.source) {
        base::key(out, "source");
        base::value(out, pulse.source.text());
    }
    if (!pulse.interface.empty()) {
        base::key(out, "interface");
        base::value(out, pulse.interface);
    }
    if (pulse.fwmark != 0) {
        base::key(out, "fwmark");
        out.Uint(pulse.fwmark);
    }
}

void write_pulse(base::JsonWriter& out, const PulseSpec& pulse) {
    out.StartObject();
    base::key(out, "type");
    base::value(out, pulse.type);
    duration(out, "interval", pulse.interval);
    duration(out, "timeout", pulse.timeout);
    base::key(out, "rise");
    out.Uint(pulse.rise);
    base::key(out, "fall");
    out.Uint(pulse.fall);
    write_policy(out, pulse);
    base::key(out, "args");
    out.StartObject();
    for (const auto& [name, json] : pulse.args) {
        base::key(out, name);
        out.raw(json);
    }
    out.EndObject();
    out.EndObject();
}

}  // namespace

std::string_view pulse_members() {
    return "type, interval, timeout, rise, fall, fast-interval, down-interval, backoff, jitter, window, "
           "damping, initial, address, source, interface, fwmark";
}

void read_pulses(ObjectReader& doc, Mode mode, PulseList& pulses) {
    auto several = read_several(doc);
    std::optional<ObjectReader> single;
    const bool stays = mode == Mode::patch && unset_by_go(doc, "pulse");
    const bool reset = !stays && is_null(doc, "pulse");
    if (!reset && !stays) single = doc.object("pulse");
    // Without "pulses" the first of them is left, which "pulse" shows.
    if (is_null(doc, "pulses") && pulses.size() > 1) pulses = PulseList({pulses[0]});
    if (several) {
        if (single) {
            PulseSpec first;
            read_pulse(std::move(*single), Mode::create, first);
            if (!(first == several->front()))
                doc.fault("pulse", "must be left out or be equal to the first of \"pulses\"");
        }
        pulses = std::move(*several);
        return;
    }
    if (!single && !reset) return;
    if (pulses.size() > 1) {
        doc.fault("pulse", "is one of several here: give all of them, in \"pulses\"");
        return;
    }
    if (reset) {
        pulses = PulseList();
        return;
    }
    PulseSpec pulse = pulses[0];
    read_pulse(std::move(*single), mode, pulse);
    pulses = PulseList({std::move(pulse)});
}

void write_pulses(base::JsonWriter& out, const PulseList& pulses) {
    // Most backends of a service share their pulses, and a list has thousands of them.
    static thread_local PulseList last;
    static thread_local std::string text;
    if (text.empty() || &last[0] != &pulses[0]) {
        last = pulses;
        text.clear();
        base::StringSink sink(text);
        base::JsonWriter writer(sink);
        write_pulse(writer, pulses[0]);
    }
    base::key(out, "pulse");
    out.raw(text);
    if (pulses.size() == 1) return;
    base::key(out, "pulses");
    out.StartArray();
    for (const PulseSpec& pulse : pulses) write_pulse(out, pulse);
    out.EndArray();
}

}  // namespace gorb::model
