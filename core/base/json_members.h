// The members of JSON objects as JsonWriter writes them: compared without making values of them.
#pragma once
#include <string>
#include <string_view>

namespace gorb::base {

// What `after` has otherwise than `before`, in the order of `after`, with what is only in `before` at the
// end: "weight 100 -> 7, admin ready -> drain, pulse". Values are JSON, texts of one word without their
// quotes; of objects, arrays and long texts the name says enough; what is absent is called default. "" for no
// difference. Both are objects without space between their tokens.
std::string differing_members(std::string_view before, std::string_view after);

}  // namespace gorb::base
