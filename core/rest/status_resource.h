// What the daemon says of itself: GET /, /healthz, /readyz, and its log's level.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "control/control.h"
#include "health/health.h"
#include "rest/http.h"

namespace gorb::rest {

void write_root(base::JsonWriter& out, const std::string& version, const control::Control& control,
                const base::Result<std::vector<std::string>>& schedulers);

// 200 {"status": "ok"} while `why_not` says "", else 503 with its sentence. An empty function counts as "".
Response probe_response(const std::function<std::string()>& why_not);

// The body of PUT /service/<service>/<backend>/pulse: {"status": "pass", "share": 50, "reason": "..."}.
base::Result<health::Push> read_push(std::string_view body);

void write_log_level(base::JsonWriter& out, base::LogLevel level);
// {"level": "debug"}
base::Result<base::LogLevel> read_log_level(std::string_view body);

}  // namespace gorb::rest
