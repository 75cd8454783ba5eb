#include "control/words.h"

#include <utility>

#include "base/json_members.h"
#include "base/json_write.h"
#include "model/codec.h"

namespace gorb::control {

namespace {

template <class Object>
std::string settings_of(const Object& object, void (*write)(base::JsonWriter&, const Object&)) {
    std::string text;
    base::StringSink sink(text);
    base::JsonWriter writer(sink);
    write(writer, object);
    return text;
}

std::string with_address(const std::string& before, const std::string& after, const std::string& settings) {
    if (before == after) return settings;
    return "address " + before + " -> " + after + (settings.empty() ? "" : ", ") + settings;
}

}  // namespace

std::string in_quotes(const std::string& name) {
    return "\"" + name + "\"";
}

std::string words(const std::string& service) {
    return "service " + in_quotes(service);
}
std::string words(const std::string& service, const std::string& backend) {
    return "backend " + in_quotes(backend) + " of service " + in_quotes(service);
}

base::Error at_fault(base::Error error, const std::string& service, const std::string& backend) {
    std::string pointer = "/services/" + service;
    if (!backend.empty()) pointer.append("/backends/").append(backend);
    error.faults = {{std::move(pointer), error.sentence}};
    return error;
}

base::Error exists_with_other_content(const std::string& what) {
    return {base::Errc::exists, "specified object already exists: " + what +
                                    " has other content; to replace it, send If-Match with its ETag or *, to "
                                    "change single fields, PATCH it"};
}

base::Error foreign_in_place_of(const std::string& entry, const std::string& wanted,
                                const std::string& help) {
    return {base::Errc::exists, "the kernel has a " + entry + " that gorb did not make, and " + wanted +
                                    " would be in its place: " + help};
}

std::optional<std::string_view> comes_back(const model::ServiceEntry& service) {
    if (service.origin != model::Origin::file) return std::nullopt;
    return "a declarative file has it and brings it back when it is applied next, at SIGHUP or a start: "
           "remove it there, too";
}

std::optional<std::string_view> is_said_again(const model::ServiceEntry& service) {
    if (service.origin != model::Origin::file) return std::nullopt;
    return "a declarative file has this service, which is as the file says, but for drain and maint, when "
           "that "
           "is applied next, at SIGHUP or a start: change it there, too";
}

std::string what_changed(const model::Service& before, const model::Service& after) {
    return with_address(before.key.text(), after.key.text(),
                        base::differing_members(settings_of(before, &model::write_service_settings),
                                                settings_of(after, &model::write_service_settings)));
}

std::string what_changed(const model::Backend& before, const model::Backend& after) {
    return with_address(before.address.text(), after.address.text(),
                        base::differing_members(settings_of(before, &model::write_backend_settings),
                                                settings_of(after, &model::write_backend_settings)));
}

std::string removed(std::string what, const model::ServicePtr& service) {
    if (const auto note = comes_back(*service)) what.append("; ").append(*note);
    return what;
}

}  // namespace gorb::control
