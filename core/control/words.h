// What is said of objects and of changes, in answers and in the log.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/snapshot.h"

namespace gorb::control {

std::string in_quotes(const std::string& name);
std::string words(const std::string& service);                              // service "web"
std::string words(const std::string& service, const std::string& backend);  // backend "b1" of service "web"

// The error with what of a document it is about, "/services/web" or "/services/web/backends/b1".
base::Error at_fault(base::Error error, const std::string& service, const std::string& backend = "");
base::Error exists_with_other_content(const std::string& what);
// Somebody else's entry of the kernel's table is where `wanted` would be; `help` says what to do.
base::Error foreign_in_place_of(const std::string& entry, const std::string& wanted, const std::string& help);
// Of what is removed although a declarative file has it, where `service` is from one.
std::optional<std::string_view> comes_back(const model::ServiceEntry& service);
// Of what is made or changed in such a service.
std::optional<std::string_view> is_said_again(const model::ServiceEntry& service);
// What a put made otherwise: "address 10.1.0.1:80 -> 10.1.0.2:80, pulse, weight 100 -> 7".
std::string what_changed(const model::Service& before, const model::Service& after);
std::string what_changed(const model::Backend& before, const model::Backend& after);
// `what` was done to something of `service`, and whether that is for good.
std::string removed(std::string what, const model::ServicePtr& service);

}  // namespace gorb::control
