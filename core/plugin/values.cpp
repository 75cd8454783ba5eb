#include "plugin/values.h"

#include <Poco/JSON/Array.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "base/duration.h"
#include "base/json.h"

namespace gorb::plugin {
namespace {

using base::Errc;
using Poco::Dynamic::Var;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view space = " \t\r\n";
    const size_t first = text.find_first_not_of(space);
    return first == std::string_view::npos ? ""
                                           : text.substr(first, text.find_last_not_of(space) - first + 1);
}

std::optional<int64_t> whole(std::string_view text) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<int64_t> duration_of_seconds(double seconds) {
    const double ns = seconds * 1e9;
    if (!(ns >= 0) || ns > 0x1p62) return std::nullopt;
    return static_cast<int64_t>(std::llround(ns));
}

// A duration with its unit, or a bare number of seconds.
std::optional<int64_t> duration(std::string_view text) {
    if (const auto parsed = base::parse_duration(text)) return parsed->count();
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return duration_of_seconds(seconds);
}

std::vector<std::string_view> choices(std::string_view range) {
    std::vector<std::string_view> all;
    for (size_t at = 0; at <= range.size();) {
        const size_t bar = std::min(range.find('|', at), range.size());
        all.push_back(range.substr(at, bar - at));
        at = bar + 1;
    }
    return all;
}

bool numeric(const OptionSpec& spec) {
    return spec.type == GORB_INT || spec.type == GORB_DURATION;
}

std::optional<int64_t> number(const OptionSpec& spec, std::string_view text) {
    return spec.type == GORB_DURATION ? duration(text) : whole(text);
}

// "low..high", either side may be missing
struct Span {
    std::string_view low, high;
};
std::optional<Span> span(const OptionSpec& spec) {
    if (!numeric(spec) || !spec.range) return std::nullopt;
    const std::string_view range = *spec.range;
    const size_t dots = range.find("..");
    if (dots == std::string_view::npos) return std::nullopt;
    return Span{trimmed(range.substr(0, dots)), trimmed(range.substr(dots + 2))};
}

// What a value has to be, for the end of "must be ...".
std::string wanted(const OptionSpec& spec) {
    std::string what;
    switch (spec.type) {
        case GORB_BOOL:
            what = "true or false";
            break;
        case GORB_INT:
            what = "a whole number";
            break;
        case GORB_DURATION:
            what = "a duration such as \"5s\" or \"250ms\", or a number of seconds";
            break;
        case GORB_TEXT:
            what = "a text, a number, or an array of those";
            break;
        default:
            what = "JSON";
    }
    if (!spec.range) return what;
    if (const auto limits = span(spec)) {
        if (!limits->low.empty()) what += " from " + std::string(limits->low);
        if (!limits->high.empty())
            what += (limits->low.empty() ? " up to " : " to ") + std::string(limits->high);
        return what;
    }
    std::string list;
    for (const auto& choice : choices(*spec.range)) list += (list.empty() ? "" : ", ") + std::string(choice);
    return "one of " + list;
}

tl::unexpected<base::Error> wrong(const OptionSpec& spec) {
    return base::fail(Errc::invalid, "must be " + wanted(spec));
}

bool in_range(const OptionSpec& spec, const Value& value) {
    if (!spec.range) return true;
    if (const auto limits = span(spec)) {
        if (!limits->low.empty() && value.number < number(spec, limits->low).value_or(INT64_MIN))
            return false;
        return limits->high.empty() || value.number <= number(spec, limits->high).value_or(INT64_MAX);
    }
    const auto all = choices(*spec.range);
    return std::any_of(all.begin(), all.end(), [&](std::string_view choice) {
        if (numeric(spec)) return number(spec, trimmed(choice)) == value.number;
        if (spec.type == GORB_BOOL) return choice == (value.number ? "true" : "false");
        return choice == value.text;
    });
}

base::Result<Value> checked(const OptionSpec& spec, Value value) {
    if (!in_range(spec, value)) return wrong(spec);
    return value;
}

// A string or number as one text; nullopt for anything else.
std::optional<std::string> plain_text(const Var& json) {
    if (json.isEmpty() || json.isBoolean()) return std::nullopt;
    if (json.isString()) return json.extract<std::string>();
    if (json.isNumeric()) return base::canonical_json(json);
    return std::nullopt;
}

std::optional<std::string> joined_text(const Var& json, std::string_view text) {
    if (json.type() == typeid(Poco::JSON::Array::Ptr)) {
        std::string all;
        bool first = true;
        for (const Var& element : *json.extract<Poco::JSON::Array::Ptr>()) {
            const auto one = plain_text(element);
            if (!one) return std::nullopt;
            if (!first) all += ',';
            all += *one;
            first = false;
        }
        return all;
    }
    auto one = plain_text(json);
    if (one && !json.isString()) return std::string(trimmed(text));  // a number as it is written
    return one;
}

}  // namespace

base::Status check_range(const OptionSpec& spec) {
    if (!spec.range) return {};
    const auto unreadable = [&] {
        return base::fail(Errc::invalid, "range \"" + *spec.range + "\" can not be read");
    };
    if (const auto limits = span(spec)) {
        const auto low = limits->low.empty() ? INT64_MIN : number(spec, limits->low);
        const auto high = limits->high.empty() ? INT64_MAX : number(spec, limits->high);
        if (!low || !high || *low > *high) return unreadable();
        return {};
    }
    for (const auto& choice : choices(*spec.range)) {
        if (choice.empty() || (numeric(spec) && !number(spec, trimmed(choice)))) return unreadable();
    }
    return {};
}

base::Result<Value> read_words(const OptionSpec& spec, std::string_view words) {
    Value value;
    value.type = spec.type;
    switch (spec.type) {
        case GORB_BOOL:
            if (words != "true" && words != "false") return wrong(spec);
            value.number = words == "true" ? 1 : 0;
            break;
        case GORB_INT:
        case GORB_DURATION: {
            const auto read = number(spec, trimmed(words));
            if (!read) return wrong(spec);
            value.number = *read;
            break;
        }
        case GORB_TEXT:
            value.text = words;
            break;
        default: {
            const auto parsed = base::parse_json(words);
            if (!parsed) return wrong(spec);
            return read_json(spec, *parsed, words);
        }
    }
    return checked(spec, std::move(value));
}

base::Result<Value> read_json(const OptionSpec& spec, const Var& json, std::string_view text) {
    Value value;
    value.type = spec.type;
    if (spec.type == GORB_JSON) {
        value.text = base::canonical_json(json);
        return checked(spec, std::move(value));
    }
    if (spec.type == GORB_TEXT) {
        auto joined = joined_text(json, text);
        if (!joined) return wrong(spec);
        value.text = std::move(*joined);
        return checked(spec, std::move(value));
    }
    if (!json.isEmpty() && json.isString()) return read_words(spec, json.extract<std::string>());
    if (json.isEmpty() || (!json.isBoolean() && !json.isNumeric())) return wrong(spec);
    if (json.isBoolean() != (spec.type == GORB_BOOL)) return wrong(spec);
    if (spec.type == GORB_BOOL) {
        value.number = json.convert<bool>() ? 1 : 0;
    } else if (spec.type == GORB_DURATION) {
        const auto ns = duration_of_seconds(json.convert<double>());
        if (!ns) return wrong(spec);
        value.number = *ns;
    } else {
        const auto read = json.isInteger() ? whole(base::canonical_json(json)) : std::nullopt;
        if (!read) return wrong(spec);
        value.number = *read;
    }
    return checked(spec, std::move(value));
}

}  // namespace gorb::plugin
