#include "model/pool_codec.h"

namespace gorb::model {
namespace {

using base::ObjectReader;

constexpr base::Nanos default_slow_start = std::chrono::seconds(60);

void read_recovery(ObjectReader& doc, PoolPolicy& pool) {
    const PoolPolicy fallback;
    // Either says something of the other only where it is more than null.
    const bool unnamed = is_null(doc, "recovery");
    const bool untimed = is_null(doc, "slow-start");
    if (unnamed || (untimed && !doc.has("recovery"))) {
        pool.recovery = fallback.recovery;
        pool.slow_start = fallback.slow_start;
    }
    const bool given =
        !unnamed && read_word(doc, "recovery", {Recovery::immediate, Recovery::ramp, Recovery::history},
                              recovery_text, pool.recovery);
    const bool timed = doc.has("slow-start") && !untimed;
    read_duration(doc, "slow-start", fallback.slow_start, pool.slow_start);
    if (timed && !given) {
        pool.recovery = pool.slow_start > base::Nanos(0) ? Recovery::ramp : Recovery::immediate;
    } else if (given && !timed) {
        if (pool.recovery != Recovery::ramp) {
            pool.slow_start = base::Nanos(0);
        } else if (pool.slow_start == base::Nanos(0)) {
            pool.slow_start = default_slow_start;
        }
    }
    read_percent(doc, "slow-start-least", fallback.slow_start_least, 1, 100, pool.slow_start_least);
}

void read_fallback(ObjectReader& doc, PoolPolicy& pool) {
    if (is_null(doc, "fallback")) {
        pool.refuse_fallback = false;
    } else if (const auto text = doc.text("fallback")) {
        const std::string word = lower(*text);
        if (word == "auto" || word == "off") {
            pool.refuse_fallback = word == "off";
        } else {
            doc.fault("fallback", "must be \"auto\" or \"off\"");
        }
    }
}

}  // namespace

void read_pool(ObjectReader& doc, PoolPolicy& pool) {
    const PoolPolicy fallback;
    if (is_null(doc, "on-down")) {
        pool.on_down = fallback.on_down;
    } else {
        read_word(doc, "on-down", {OnDown::weight_zero, OnDown::remove}, on_down_text, pool.on_down);
    }
    read_fallback(doc, pool);
    read_recovery(doc, pool);
    read_whole(doc, "quorum", fallback.quorum, 1, max_quorum, pool.quorum);
    read_whole(doc, "hysteresis", fallback.hysteresis, 0, max_quorum, pool.hysteresis);
    read_percent(doc, "panic-threshold", fallback.panic_threshold, 0, 100, pool.panic_threshold);
    read_percent(doc, "max-down", fallback.max_down, 0, 100, pool.max_down);
}

void write_pool(base::JsonWriter& out, const PoolPolicy& pool) {
    const PoolPolicy fallback;
    const auto word = [&](std::string_view name, std::string_view text) {
        base::key(out, name);
        base::value(out, text);
    };
    const auto number = [&](std::string_view name, uint32_t value) {
        base::key(out, name);
        out.Uint(value);
    };
    if (pool.on_down != fallback.on_down) word("on-down", on_down_text(pool.on_down));
    if (pool.refuse_fallback) word("fallback", "off");
    if (pool.recovery != fallback.recovery) word("recovery", recovery_text(pool.recovery));
    if (pool.slow_start != fallback.slow_start) word("slow-start", base::duration_text(pool.slow_start));
    if (pool.slow_start_least != fallback.slow_start_least)
        word("slow-start-least", percent_text(pool.slow_start_least));
    if (pool.quorum != fallback.quorum) number("quorum", pool.quorum);
    if (pool.hysteresis != fallback.hysteresis) number("hysteresis", pool.hysteresis);
    if (pool.panic_threshold != fallback.panic_threshold)
        word("panic-threshold", percent_text(pool.panic_threshold));
    if (pool.max_down != fallback.max_down) word("max-down", percent_text(pool.max_down));
}

}  // namespace gorb::model
