#include "control/words.h"

namespace gorb::control {

std::string in_quotes(const std::string& name) {
    return "\"" + name + "\"";
}

std::string words(const std::string& service) {
    return "service " + in_quotes(service);
}
std::string words(const std::string& service, const std::string& backend) {
    return "backend " + in_quotes(backend) + " of service " + in_quotes(service);
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

std::string removed(std::string what, const model::ServicePtr& service) {
    if (const auto note = comes_back(*service)) what.append("; ").append(*note);
    return what;
}

}  // namespace gorb::control
