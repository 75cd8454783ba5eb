// What the API reads from a request's headers and query. Pure.
#pragma once
#include <optional>
#include <string_view>

#include "base/result.h"
#include "control/control.h"

namespace gorb::rest {

// The value of If-Match (RFC 9110, 13.1.1): "*" or a list of entity tags. A tag without quotes is taken as
// one, so that what an answer shows as "etag" can be pasted. Weak tags never match, so they are left out.
// nullopt for "", Errc::invalid for anything that is no list of tags.
base::Result<std::optional<control::Match>> parse_if_match(std::string_view value);

// May `body` be read as JSON? Yes for application/json, +json types and no type at all; also for what `curl
// -d` claims its data to be (application/x-www-form-urlencoded) when the body begins like a JSON object.
bool is_json(std::string_view content_type, std::string_view body);

// Does the query say expand=`what`? Errc::invalid for any other parameter or value. `what` is "" where
// nothing expands.
base::Result<bool> wants_expanded(std::string_view query, std::string_view what);

}  // namespace gorb::rest
