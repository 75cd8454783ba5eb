#include "rest/web_page.h"

#include <algorithm>

#include "rest/route.h"

namespace gorb::rest {

std::optional<std::string> page_refusal(std::string_view method, std::string_view origin,
                                        const std::vector<std::string>& may_write) {
    if (origin.empty() || method == "GET" || method == "OPTIONS") return std::nullopt;
    if (std::ranges::find(may_write, origin) != may_write.end()) return std::nullopt;
    return "a web page (this one's Origin is " + shown(origin) +
           ") may only read here, unless web-origins in [rest] of gorbd's configuration has it";
}

}  // namespace gorb::rest
