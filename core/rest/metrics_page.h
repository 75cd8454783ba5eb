// GET /metrics: Prometheus' text format, upstream gorb's names and labels first.
#pragma once
#include <string>
#include <string_view>

#include "control/control.h"
#include "plugin/metrics.h"

namespace gorb::rest {

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

// `loops_blocked`: how many loops of checks are.
std::string metrics_page(const control::Control& control, const plugin::Metrics& metrics,
                         const std::string& version, size_t loops_blocked);

}  // namespace gorb::rest
