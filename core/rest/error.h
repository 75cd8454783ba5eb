// Errors as answers: the status that each kind of error has, and the one JSON form of them all.
#pragma once
#include <string_view>

#include "base/result.h"
#include "rest/http.h"

namespace gorb::rest {

// What the client got wrong is 4xx, what the kernel or this host refuses is 500 (as upstream gorb has it),
// what may pass is 503 or 504.
int status_of(base::Errc code);

// {"error": sentence, "fields": [{"pointer": "/port", "problem": "..."}]}; without "fields" where no single
// field is at fault.
Response error_response(const base::Error& error);
Response error_response(int status, std::string_view sentence);

}  // namespace gorb::rest
