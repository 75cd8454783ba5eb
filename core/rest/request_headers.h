// What the API reads from a request's headers and query. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/duration.h"
#include "base/result.h"
#include "control/control.h"

namespace gorb::rest {

// The value of If-Match (RFC 9110, 13.1.1): "*" or a list of entity tags. A tag without quotes is taken as
// one, so that what an answer shows as "etag" can be pasted. Weak tags never match, so they are left out;
// Errc::stale where there are no others. nullopt for "", Errc::invalid for anything that is no list of tags.
base::Result<std::optional<control::Match>> parse_if_match(std::string_view value);
// Of a change: the condition of If-Match, or of If-None-Match, which takes "*" alone: create only.
// Errc::invalid for both at once.
base::Result<std::optional<control::Match>> read_condition(std::string_view if_match,
                                                           const std::optional<std::string>& if_none_match);

// Is it a list of operations (RFC 6902), which no merge patch is?
bool is_json_patch(std::string_view content_type);

// May `body` be read as JSON? Yes for application/json, +json types and no type at all; also for what `curl
// -d` claims its data to be (application/x-www-form-urlencoded) when the body begins like a JSON object.
bool is_json(std::string_view content_type, std::string_view body);

// What a query says.
struct Query {
    bool expanded = false;  // expand=WHAT
    bool adopt = false;     // adopt=true
    bool force = false;     // force=true
    base::Nanos drain{0};   // drain=30s, up to a day
    uint64_t after = 0;     // after=NUMBER
};

// `takes`: the parameters that are known here, separated by spaces: "expand=services" (with its only value),
// "adopt", "force", "drain", "after". Errc::invalid for any other parameter or value.
base::Result<Query> read_query(std::string_view query, std::string_view takes);

}  // namespace gorb::rest
