#include "rest/status_resource.h"

#include <array>

#include "rest/error.h"

namespace gorb::rest {
namespace {

void write_driver(base::JsonWriter& out, const ipvs::Info& driver) {
    out.StartObject();
    base::key(out, "name");
    base::value(out, driver.name);
    base::key(out, "forwards");
    out.Bool(driver.forwards);
    base::key(out, "version");
    base::value(out, driver.version);
    base::key(out, "connection_table_size");
    out.Uint(driver.connection_table_size);
    out.EndObject();
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> links{{{"services", "/service"},
                                                                               {"config", "/config"},
                                                                               {"kernel", "/kernel"},
                                                                               {"events", "/events"},
                                                                               {"plugins", "/plugins"},
                                                                               {"log", "/log"},
                                                                               {"metrics", "/metrics"},
                                                                               {"healthz", "/healthz"},
                                                                               {"readyz", "/readyz"},
                                                                               {"openapi", "/openapi.json"}}};

void write_store(base::JsonWriter& out, const control::StoreStatus& store, uint64_t revision) {
    const auto number = [&](std::string_view name, uint64_t value) {
        base::key(out, name);
        out.Uint64(value);
    };
    const auto text = [&](std::string_view name, const std::string& value) {
        base::key(out, name);
        base::value(out, value);
    };
    out.StartObject();
    base::key(out, "durable");
    out.Bool(store.durable);
    text("path", store.database.path);
    text("trouble", store.database.trouble);
    base::key(out, "lost");
    out.Bool(store.lost);
    number("revision", revision);
    number("writes", store.database.writes);
    number("transactions", store.database.transactions);
    number("refused", store.database.refused);
    number("bytes", store.database.bytes);
    out.EndObject();
}

}  // namespace

void write_root(base::JsonWriter& out, const std::string& version, const control::Control& control,
                const base::Result<std::vector<std::string>>& schedulers) {
    const ipvs::Info& driver = control.driver_info();
    out.StartObject();
    base::key(out, "name");
    base::value(out, "gorb");
    base::key(out, "version");
    base::value(out, version);
    if (!driver.forwards) {
        base::key(out, "warning");
        base::value(
            out, "NO PACKETS FLOW: the " + driver.name +
                     " driver keeps the table in this process only; the kernel is not told of any service");
    }
    base::key(out, "driver");
    write_driver(out, driver);
    base::key(out, "store");
    write_store(out, control.store(), control.snapshot()->revision);
    base::key(out, "schedulers");
    out.StartArray();
    if (schedulers) {
        for (const std::string& name : *schedulers) base::value(out, name);
    }
    out.EndArray();
    if (!schedulers) {
        base::key(out, "schedulers_unknown");
        base::value(out, schedulers.error().sentence);
    }
    base::key(out, "links");
    out.StartObject();
    for (const auto& [name, path] : links) {
        base::key(out, name);
        base::value(out, path);
    }
    out.EndObject();
    out.EndObject();
}

Response probe_response(const std::function<std::string()>& why_not) {
    if (const std::string sentence = why_not ? why_not() : std::string(); !sentence.empty()) {
        return error_response(503, sentence);
    }
    Response ok;
    ok.body = R"({"status":"ok"})";
    return ok;
}

base::Result<health::Push> read_push(std::string_view body) {
    const auto object = base::parse_json_object(body);
    if (!object) return base::fail(object.error());
    std::vector<base::Fault> faults;
    base::ObjectReader reader(*object, "", faults);
    health::Push push;
    if (!reader.has("status")) {
        reader.fault("status", "is missing; it is \"pass\" or \"fail\"");
    } else if (const auto text = reader.text("status")) {
        if (*text != "pass" && *text != "fail") reader.fault("status", "must be \"pass\" or \"fail\"");
        push.verdict = *text == "pass" ? plugin::Verdict::pass : plugin::Verdict::fail;
    }
    if (const auto share = reader.integer("share", 0, 100)) push.share = static_cast<uint32_t>(*share);
    if (const auto code = reader.integer("code", INT32_MIN, INT32_MAX))
        push.code = static_cast<int32_t>(*code);
    if (auto text = reader.text("reason")) push.detail = std::move(*text);
    reader.finish();
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return push;
}

void write_log_level(base::JsonWriter& out, base::LogLevel level) {
    out.StartObject();
    base::key(out, "level");
    base::value(out, base::log_level_text(level));
    out.EndObject();
}

base::Result<base::LogLevel> read_log_level(std::string_view body) {
    const auto object = base::parse_json_object(body);
    if (!object) return base::fail(object.error());
    std::vector<base::Fault> faults;
    base::ObjectReader reader(*object, "", faults);
    base::LogLevel level{};
    if (!reader.has("level")) {
        reader.fault("level", "is missing; it is one of error, warning, info, debug");
    } else if (const auto text = reader.text("level")) {
        const auto parsed = base::parse_log_level(*text);
        if (parsed) {
            level = *parsed;
        } else {
            reader.fault("level", parsed.error().sentence);
        }
    }
    reader.finish();
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return level;
}

}  // namespace gorb::rest
