// What is different about two JSON objects, in words.
#pragma once
#include <string>
#include <string_view>

namespace gorb::base {

// What `after` has otherwise than `before`, by name: "admin ready -> drain, pulse, weight 100 -> 7". Values
// are JSON, texts of one word without their quotes; of objects, arrays and long texts the name says enough;
// what is absent is called default. "" for no difference, and where one is no JSON object.
std::string differing_members(std::string_view before, std::string_view after);

}  // namespace gorb::base
