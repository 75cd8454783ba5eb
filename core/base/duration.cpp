#include "base/duration.h"

#include <cctype>
#include <cstdint>

namespace gorb::base {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr uint64_t one_us = 1'000, one_ms = 1'000 * one_us, one_s = 1'000 * one_ms, one_m = 60 * one_s,
                   one_h = 60 * one_m;
constexpr Wide limit = Wide{1} << 62;

struct Unit {
    std::string_view name;
    uint64_t ns;
};
constexpr Unit units[] = {
    {"us", one_us},    {"ms", one_ms},     {"s", one_s}, {"sec", one_s},  {"secs", one_s},
    {"second", one_s}, {"seconds", one_s}, {"m", one_m}, {"min", one_m},  {"mins", one_m},
    {"minute", one_m}, {"minutes", one_m}, {"h", one_h}, {"hour", one_h}, {"hours", one_h},
};

bool same_in_any_case(std::string_view text, std::string_view lower) {
    if (text.size() != lower.size()) return false;
    for (size_t i = 0; i < text.size(); ++i) {
        if (std::tolower(static_cast<unsigned char>(text[i])) != lower[i]) return false;
    }
    return true;
}

uint64_t unit_ns(std::string_view name) {
    for (const Unit& unit : units) {
        if (same_in_any_case(name, unit.name)) return unit.ns;
    }
    return 0;
}

bool digit(char c) {
    return c >= '0' && c <= '9';
}
bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Takes what satisfies `is` off the front of text.
template <class Is>
std::string_view take(std::string_view& text, Is is) {
    size_t n = 0;
    while (n < text.size() && is(text[n])) ++n;
    const std::string_view taken = text.substr(0, n);
    text.remove_prefix(n);
    return taken;
}

tl::unexpected<Error> wrong(std::string_view text) {
    return fail(Errc::invalid,
                "\"" + std::string(text.substr(0, 64)) +
                    "\" is not a duration, such as \"250ms\", \"5s\" or \"1m30s\" (units us, ms, s, m, h)");
}

}  // namespace

Result<Nanos> parse_duration(std::string_view text) {
    std::string_view left = text;
    const auto blank = [](char c) { return c == ' '; };
    Wide total = 0;
    take(left, blank);
    do {
        const std::string_view whole = take(left, digit);
        std::string_view fraction;
        if (!left.empty() && left.front() == '.') {
            left.remove_prefix(1);
            fraction = take(left, digit);
            if (fraction.empty()) return wrong(text);
        }
        take(left, blank);
        const Wide ns = unit_ns(take(left, letter));
        take(left, blank);
        if (whole.empty() || ns == 0) return wrong(text);
        Wide value = 0;
        for (const char c : whole) {
            value = value * 10 + static_cast<Wide>(c - '0');
            if (value > limit) return fail(Errc::invalid, "the duration is too long; at most 2^62 ns");
        }
        total += value * ns;
        // What is below a nanosecond is dropped; 15 digits are enough to see the last one of an hour.
        Wide numerator = 0, denominator = 1;
        for (const char c : fraction.substr(0, 15)) {
            numerator = numerator * 10 + static_cast<Wide>(c - '0');
            denominator *= 10;
        }
        total += numerator * ns / denominator;
        if (total > limit) return fail(Errc::invalid, "the duration is too long; at most 2^62 ns");
    } while (!left.empty());
    return Nanos(static_cast<int64_t>(total));
}

std::string duration_text(Nanos value) {
    std::string out;
    if (value.count() < 0) out = "-";
    uint64_t left = value.count() < 0 ? uint64_t{0} - static_cast<uint64_t>(value.count())
                                      : static_cast<uint64_t>(value.count());
    const auto part = [&](uint64_t ns, const char* name) {
        if (left < ns) return;
        out.append(std::to_string(left / ns)).append(name);
        left %= ns;
    };
    part(one_h, "h");
    part(one_m, "m");
    if (left == 0) return out.empty() || out == "-" ? "0s" : out;
    // The rest in the largest unit that has a whole part.
    const Unit unit = left >= one_s    ? Unit{"s", one_s}
                      : left >= one_ms ? Unit{"ms", one_ms}
                                       : Unit{"us", one_us};
    out += std::to_string(left / unit.ns);
    if (uint64_t rest = left % unit.ns) {
        out += '.';
        for (uint64_t scale = unit.ns / 10; rest; scale /= 10) {
            out += static_cast<char>('0' + rest / scale);
            rest %= scale;
        }
    }
    return out += unit.name;
}

}  // namespace gorb::base
