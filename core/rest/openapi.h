// The contract of the API: openapi.json beside this file, built into the program.
#pragma once
#include <string_view>

namespace gorb::rest {

std::string_view openapi_json();

}  // namespace gorb::rest
