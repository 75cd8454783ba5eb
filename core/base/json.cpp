#include "base/json.h"

#include <Poco/JSON/Array.h>

#include <algorithm>
#include <cmath>

namespace gorb::base {
namespace {

using Poco::Dynamic::Var;

bool is_object(const Var& value) {
    return value.type() == typeid(Poco::JSON::Object::Ptr);
}

void write(JsonWriter& out, const Var& v) {
    if (v.isEmpty()) {
        out.Null();
    } else if (is_object(v)) {
        out.StartObject();
        for (const auto& [name, member] : *v.extract<Poco::JSON::Object::Ptr>()) {  // a std::map: sorted
            key(out, name);
            write(out, member);
        }
        out.EndObject();
    } else if (v.type() == typeid(Poco::JSON::Array::Ptr)) {
        out.StartArray();
        for (const Var& element : *v.extract<Poco::JSON::Array::Ptr>()) write(out, element);
        out.EndArray();
    } else if (v.isString()) {
        value(out, v.extract<std::string>());
    } else if (v.isBoolean()) {
        out.Bool(v.convert<bool>());
    } else if (!v.isInteger()) {
        out.Double(v.convert<double>());
    } else if (v.isSigned()) {
        out.Int64(v.convert<Poco::Int64>());
    } else {
        out.Uint64(v.convert<Poco::UInt64>());
    }
}

}  // namespace

std::string canonical_json(const Var& value) {
    std::string out;
    StringSink sink(out);
    JsonWriter writer(sink);
    write(writer, value);
    return out;
}

std::string pointer_token(std::string_view token) {
    std::string out;
    out.reserve(token.size());
    for (const char c : token) {
        if (c == '~') {
            out += "~0";
        } else if (c == '/') {
            out += "~1";
        } else {
            out += c;
        }
    }
    return out;
}

ObjectReader::ObjectReader(Poco::JSON::Object::Ptr object, std::string pointer, std::vector<Fault>& faults)
    : object_(std::move(object)), pointer_(std::move(pointer)), faults_(&faults) {
    members_.reserve(object_->size());
    asked_.reserve(24);  // what most objects may have
    for (const auto& member : *object_) members_.push_back({&member.first, &member.second});
}

const ObjectReader::Member* ObjectReader::find(std::string_view name) const {
    // A few are told apart by their lengths, nearly all.
    constexpr size_t few = 16;
    const auto same = [name](const Member& m) { return m.name->size() == name.size() && *m.name == name; };
    const auto at = members_.size() <= few
                        ? std::ranges::find_if(members_, same)
                        : std::ranges::lower_bound(members_, name, {},
                                                   [](const Member& m) { return std::string_view(*m.name); });
    return at != members_.end() && same(*at) ? &*at : nullptr;
}

const Var* ObjectReader::any(std::string_view name) {
    const Member* member = find(name);
    asked_.push_back(member ? std::string_view(*member->name) : name);
    if (!member) return nullptr;
    members_[static_cast<size_t>(member - members_.data())].asked = true;
    return member->value;
}

std::optional<std::string> ObjectReader::text(std::string_view name) {
    const Var* v = any(name);
    if (!v) return std::nullopt;
    if (v->type() == typeid(std::string)) return v->extract<std::string>();
    fault(name, "must be a text");
    return std::nullopt;
}

std::optional<bool> ObjectReader::boolean(std::string_view name) {
    const Var* v = any(name);
    if (!v) return std::nullopt;
    if (v->type() == typeid(bool)) return v->extract<bool>();
    fault(name, "must be true or false");
    return std::nullopt;
}

std::optional<int64_t> ObjectReader::integer(std::string_view name, int64_t min, int64_t max) {
    const Var* v = any(name);
    if (!v) return std::nullopt;
    if (v->type() == typeid(Poco::Int64)) {
        const int64_t i = v->extract<Poco::Int64>();
        if (i >= min && i <= max) return i;
    }
    fault(name, "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    return std::nullopt;
}

ObjectReader ObjectReader::element(std::string_view name, size_t index, Poco::JSON::Object::Ptr object) {
    return {std::move(object), pointer_to(name) + "/" + std::to_string(index), *faults_};
}

std::optional<ObjectReader> ObjectReader::object(std::string_view name) {
    const Var* v = any(name);
    if (!v) return std::nullopt;
    if (is_object(*v)) return ObjectReader(v->extract<Poco::JSON::Object::Ptr>(), pointer_to(name), *faults_);
    fault(name, "must be an object, {...}");
    return std::nullopt;
}

std::vector<std::string> ObjectReader::rest() const {
    std::vector<std::string> names;
    for (const Member& member : members_) {
        if (!member.asked) names.push_back(*member.name);
    }
    return names;
}

void ObjectReader::fault(std::string_view name, std::string what) {
    faults_->push_back({pointer_to(name), std::move(what)});
}

std::string ObjectReader::pointer_to(std::string_view name) const {
    return pointer_ + "/" + pointer_token(name);
}

std::set<std::string_view> ObjectReader::known() const {
    return {asked_.begin(), asked_.end()};
}

void ObjectReader::finish() {
    const std::vector<std::string> unknown = rest();
    if (unknown.empty()) return;
    std::string names;
    for (const std::string_view name : known()) (names += names.empty() ? "" : ", ") += name;
    constexpr size_t most = 20;  // a report is for reading
    for (size_t i = 0; i < unknown.size() && i < most; ++i) {
        fault(unknown[i], "is not known here; known are: " + names);
    }
}

Error faults_error(std::vector<Fault> faults) {
    Error error;
    error.code = Errc::invalid;
    if (faults.empty()) {
        error.sentence = "the document is wrong";
    } else {
        const Fault& first = faults.front();
        error.sentence = (first.pointer.empty() ? "the document" : first.pointer) + " " + first.what;
        if (faults.size() > 1) {
            error.sentence += " (and " + std::to_string(faults.size() - 1) + " more " +
                              (faults.size() == 2 ? "fault" : "faults") + ")";
        }
    }
    error.faults = std::move(faults);
    return error;
}

}  // namespace gorb::base
