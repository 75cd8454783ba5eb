#include "model/fields.h"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "base/duration.h"

namespace gorb::model {
namespace {

using base::Fault;
using base::ObjectReader;
using Object = Poco::JSON::Object;
using Poco::Dynamic::Var;

constexpr const char* address_form = "must be a numeric IP address, such as \"10.0.0.1\" or \"2001:db8::1\"";

bool is_object(const Var& v) {
    return v.type() == typeid(Object::Ptr);
}

std::optional<base::Ip> read_ip(ObjectReader& doc, std::string_view name) {
    if (left_out(doc, name)) return std::nullopt;
    const auto text = doc.text(name);
    if (!text) return std::nullopt;
    auto ip = base::Ip::parse(*text);
    if (ip) return *ip;
    doc.fault(name, address_form);
    return std::nullopt;
}

}  // namespace

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

bool left_out(ObjectReader& doc, std::string_view name) {
    const auto value = doc.any(name);
    return value && value->type() == typeid(std::string) && value->extract<std::string>().empty();
}

bool is_null(ObjectReader& doc, std::string_view name) {
    const auto value = doc.any(name);
    return value && value->isEmpty();
}

bool unset_by_go(ObjectReader& doc, std::string_view name) {
    if (!left_out(doc, "method")) return false;
    const auto value = doc.any(name);
    if (!value) return false;
    if (value->isEmpty() || left_out(doc, name)) return true;
    if (value->type() == typeid(bool)) return !value->extract<bool>();
    return value->type() == typeid(Poco::Int64) && value->extract<Poco::Int64>() == 0;
}

void read_duration(ObjectReader& doc, std::string_view name, base::Nanos fallback, base::Nanos& to) {
    const auto value = doc.any(name);
    if (!value) return;
    if (is_null(doc, name)) {
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
        if (seconds >= 0 && seconds <= std::chrono::seconds(max_drain).count()) {
            to = std::chrono::seconds(seconds);
            return;
        }
    }
    doc.fault(name, "must be a duration such as \"250ms\", \"5s\" or \"1m30s\", or whole seconds");
}

std::string percent_text(uint32_t percent) {
    return std::to_string(percent) + "%";
}

void read_percent(ObjectReader& doc, std::string_view name, uint32_t fallback, uint32_t min, uint32_t max,
                  uint32_t& to) {
    const auto value = doc.any(name);
    if (!value) return;
    if (is_null(doc, name)) {
        to = fallback;
        return;
    }
    int64_t percent = -1;
    if (value->type() == typeid(Poco::Int64)) {
        percent = value->extract<Poco::Int64>();
    } else if (value->type() == typeid(std::string)) {
        const std::string& text = value->extract<std::string>();
        const char* last = text.data() + text.size();
        const auto [end, error] = std::from_chars(text.data(), last, percent);
        if (error != std::errc{} || end + 1 != last || *end != '%') percent = -1;
    }
    if (percent < int64_t{min} || percent > int64_t{max}) {
        doc.fault(name, "must be per cent from " + std::to_string(min) + " to " + std::to_string(max) +
                            ", such as \"" + percent_text(max / 2) + "\"");
        return;
    }
    to = static_cast<uint32_t>(percent);
}

void read_whole(ObjectReader& doc, std::string_view name, uint32_t fallback, uint32_t min, uint32_t max,
                uint32_t& to) {
    if (is_null(doc, name)) {
        to = fallback;
    } else if (const auto n = doc.integer(name, min, max)) {
        to = static_cast<uint32_t>(*n);
    }
}

void read_flag(ObjectReader& doc, std::string_view name, bool fallback, bool& to) {
    if (is_null(doc, name)) {
        to = fallback;
    } else if (const auto flag = doc.boolean(name)) {
        to = *flag;
    }
}

std::string address_name(const ObjectReader& doc) {
    return doc.has("host") && !doc.has("address") ? "host" : "address";
}

std::optional<base::Ip> read_address(ObjectReader& doc) {
    const auto address = read_ip(doc, "address");
    const auto host = read_ip(doc, "host");
    if (address && host && *address != *host) {
        doc.fault("host", "must be left out or be equal to \"address\"");
        return std::nullopt;
    }
    return address ? address : host;
}

bool has_address(ObjectReader& doc) {
    return (doc.has("address") && !left_out(doc, "address")) || (doc.has("host") && !left_out(doc, "host"));
}

std::optional<uint16_t> read_port(ObjectReader& doc) {
    const auto port = doc.integer("port", 0, 65535);
    if (!port) return std::nullopt;
    return static_cast<uint16_t>(*port);
}

std::optional<uint32_t> persistence_seconds(const Var& value) {
    int64_t seconds = 0;
    if (value.type() == typeid(Poco::Int64)) {
        seconds = value.extract<Poco::Int64>();
    } else if (value.type() == typeid(std::string)) {
        const auto duration = base::parse_duration(value.extract<std::string>());
        if (!duration || *duration % std::chrono::seconds(1) != base::Nanos(0)) return std::nullopt;
        seconds = *duration / std::chrono::seconds(1);
    }
    if (seconds < 1 || seconds > int64_t{max_persistence_s}) return std::nullopt;
    return static_cast<uint32_t>(seconds);
}

void add_violations(std::vector<Fault>& faults, std::vector<Fault> violations,
                    const std::string& address_name) {
    const size_t read = faults.size();
    const auto misread = [&](std::string_view pointer) {
        return std::any_of(faults.begin(), faults.begin() + static_cast<ptrdiff_t>(read),
                           [&](const Fault& f) { return f.pointer == pointer; });
    };
    const bool address_misread = misread("/address") || misread("/host");
    for (Fault& violation : violations) {
        if (violation.pointer == "/address") {
            if (address_misread) continue;
            violation.pointer = "/" + address_name;
        }
        if (!misread(violation.pointer)) faults.push_back(std::move(violation));
    }
}

std::optional<int64_t> dotted_prefix(std::string_view text) {
    const auto mask = base::Ip::parse(text);
    if (!mask || !mask->v4()) return std::nullopt;
    const auto& b = mask->bytes;
    const uint32_t bits = uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
    const int ones = std::countl_one(bits);
    if (std::popcount(bits) != ones) return std::nullopt;
    return ones;
}

size_t levels(const Var& value) {
    size_t deepest = 0;
    if (is_object(value)) {
        for (const auto& member : *value.extract<Object::Ptr>())
            deepest = std::max(deepest, levels(member.second));
    } else if (value.type() == typeid(Poco::JSON::Array::Ptr)) {
        for (const Var& element : *value.extract<Poco::JSON::Array::Ptr>())
            deepest = std::max(deepest, levels(element));
    } else {
        return 0;
    }
    return deepest + 1;
}

Var merge_patch(const std::optional<Var>& target, const Var& patch) {
    if (!is_object(patch)) return patch;
    Object::Ptr result =
        target && is_object(*target) ? new Object(*target->extract<Object::Ptr>()) : new Object;
    for (const auto& [name, value] : *patch.extract<Object::Ptr>()) {
        if (value.isEmpty()) {
            result->remove(name);
        } else {
            result->set(name, merge_patch(result->has(name) ? std::optional(result->get(name)) : std::nullopt,
                                          value));
        }
    }
    return result;
}

}  // namespace gorb::model
