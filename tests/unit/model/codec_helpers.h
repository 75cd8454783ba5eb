// What the tests of the codec share: short ways to read and write, and what faults they found.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "model/codec.h"

namespace gorb::model {

inline base::Ip ip(std::string_view text) {
    return base::Ip::parse(text).value();
}

template <class Value, class Write>
std::string written(const Value& value, Write write) {
    std::string out;
    base::StringSink sink(out);
    base::JsonWriter writer(sink);
    write(writer, value);
    EXPECT_TRUE(writer.IsComplete());
    return out;
}
inline std::string written(const Service& s) {
    return written(s, write_service_options);
}
inline std::string written(const Backend& b) {
    return written(b, write_backend_options);
}

inline base::Result<Service> service(std::string_view body, const Defaults& defaults = {}) {
    return read_service("web", body, defaults);
}
inline base::Result<Backend> backend(std::string_view body) {
    return read_backend("b1", body);
}

// A document of what every service (backend) needs, and `members` beside it.
inline std::string with_key(std::string_view members) {
    return R"({"address": "10.0.0.1", "port": 80)" + (members.empty() ? "" : ", " + std::string(members)) +
           "}";
}

using Faults = std::map<std::string, std::string>;  // pointer -> what

template <class T>
Faults faults_of(const base::Result<T>& result) {
    Faults faults;
    EXPECT_FALSE(result.has_value());
    if (result) return faults;
    EXPECT_EQ(result.error().code, base::Errc::invalid);
    for (const auto& fault : result.error().faults) {
        EXPECT_TRUE(faults.emplace(fault.pointer, fault.what).second)
            << fault.pointer << " is reported twice";
    }
    return faults;
}

// The pointers of the faults, joined by blanks.
template <class T>
std::string pointers_of(const base::Result<T>& result) {
    std::string out;
    for (const auto& [pointer, what] : faults_of(result)) out += (out.empty() ? "" : " ") + pointer;
    return out;
}

// Pulses are shared and do not change: an edited one takes the place of the first.
template <class Edit>
void edit_pulse(Backend& b, Edit edit) {
    PulseSpec pulse = b.pulses[0];
    edit(pulse);
    b.pulses = PulseList({std::move(pulse)});
}

}  // namespace gorb::model
