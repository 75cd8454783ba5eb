#include "expect.h"

#include <algorithm>
#include <charconv>
#include <gorb/sdk/values.hpp>

#include "headers.h"

namespace pulse_http {
namespace {

constexpr size_t most_ranges = 64;

// `item` is the whole of which `text` is a part.
int status_code(std::string_view text, std::string_view item) {
    int code = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
    const bool whole = error == std::errc() && end == text.data() + text.size() && text.size() == 3;
    if (!whole || code < 100 || code > 599)
        throw gorb::sdk::Error("\"expect\": \"" + std::string(item) +
                               "\" is no HTTP status (100 to 599) or range of them");
    return code;
}

}  // namespace

Expectation Expectation::parse(std::string_view text) {
    Expectation out;
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        const std::string_view item = trimmed(text.substr(at, comma - at));
        at = comma + 1;
        const auto dash = item.find('-');
        const int low = status_code(trimmed(item.substr(0, dash)), item);
        const int high =
            dash == std::string_view::npos ? low : status_code(trimmed(item.substr(dash + 1)), item);
        if (low > high) throw gorb::sdk::Error("\"expect\": \"" + std::string(item) + "\" runs backwards");
        out.ranges_.push_back({low, high});
        if (out.ranges_.size() > most_ranges)
            throw gorb::sdk::Error("\"expect\" has more than " + std::to_string(most_ranges) + " parts");
    }
    return out;
}

bool Expectation::accepts(int status) const {
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [status](const Range& range) { return status >= range.low && status <= range.high; });
}

std::string Expectation::text() const {
    std::string out;
    for (const Range& range : ranges_) {
        if (!out.empty()) out += ", ";
        out += std::to_string(range.low);
        if (range.high != range.low) out += "-" + std::to_string(range.high);
    }
    return out;
}

}  // namespace pulse_http
