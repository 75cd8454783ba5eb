#include "rest/backend_resource.h"

#include <utility>

#include "base/clock.h"
#include "base/duration.h"
#include "model/codec.h"

namespace gorb::rest {
namespace {

std::string_view verdict_text(plugin::Verdict verdict) {
    switch (verdict) {
        case plugin::Verdict::pass:
            return "pass";
        case plugin::Verdict::fail:
            return "fail";
        case plugin::Verdict::unknown:
            break;
    }
    return "unknown";
}

void write_reasons(base::JsonWriter& out, const health::FactorWords& words) {
    bool any = false;
    const auto reason = [&](std::string_view factor, const std::string& why) {
        if (why.empty()) return;
        if (!std::exchange(any, true)) {
            base::key(out, "reasons");
            out.StartObject();
        }
        base::key(out, factor);
        base::value(out, why);
    };
    reason("admin", words.admin);
    reason("health", words.health);
    reason("ramp", words.ramp);
    reason("share", words.share);
    reason("pool", words.pool);
    if (any) out.EndObject();
}

void write_weight(base::JsonWriter& out, const control::EffectiveWeight& weight) {
    const auto percent = [&](std::string_view name, uint8_t value) {
        base::key(out, name);
        out.Uint(value);
    };
    const health::Decision& d = weight.decision;
    out.StartObject();
    base::key(out, "configured");
    out.Uint(weight.configured);
    base::key(out, "effective");
    out.Uint(weight.effective);
    base::key(out, "why");
    base::value(out, weight.why);
    base::key(out, "factors");
    out.StartObject();
    percent("admin", d.admin);
    percent("health", d.health);
    percent("ramp", d.ramp);
    percent("share", d.share);
    percent("pool", d.pool);
    out.EndObject();
    write_reasons(out, weight.words);
    if (!weight.present) {
        base::key(out, "removed");
        out.Bool(true);
    }
    base::key(out, "applied");
    out.Bool(weight.not_applied.empty());
    if (!weight.not_applied.empty()) {
        base::key(out, "refusal");
        base::value(out, weight.not_applied);
    }
    out.EndObject();
}

void write_last(base::JsonWriter& out, const health::CheckView& view) {
    if (!view.checked) {
        out.Null();
        return;
    }
    out.StartObject();
    base::key(out, "verdict");
    base::value(out, verdict_text(view.verdict));
    base::key(out, "reason");
    base::value(out, view.reason);
    base::key(out, "code");
    out.Int(view.code);
    base::key(out, "latency");
    out.Uint64(view.latency_ns);
    base::key(out, "at");
    base::value(out, base::WallText(view.last_wall));
    out.EndObject();
}

void write_counts(base::JsonWriter& out, const health::CheckView& view) {
    out.StartObject();
    base::key(out, "passes");
    out.Uint64(view.passes);
    base::key(out, "failures");
    out.Uint64(view.failures);
    base::key(out, "unknowns");
    out.Uint64(view.unknowns);
    base::key(out, "changes");
    out.Uint64(view.changes);
    base::key(out, "passes_in_row");
    out.Uint(view.passes_in_row);
    base::key(out, "failures_in_row");
    out.Uint(view.failures_in_row);
    out.EndObject();
}

void write_state(base::JsonWriter& out, health::State state, std::string_view because) {
    base::key(out, "state");
    base::value(out, health::state_text(state));
    base::key(out, "because");
    base::value(out, because);
}

void write_warning(base::JsonWriter& out, const std::string& warning) {
    if (warning.empty()) return;
    base::key(out, "warning");
    base::value(out, warning);
}

// What a check has seen, and how it is made at present.
void write_check(base::JsonWriter& out, const health::CheckView& check) {
    base::key(out, "last");
    write_last(out, check);
    base::key(out, "counts");
    write_counts(out, check);
    base::key(out, "check");
    out.StartObject();
    base::key(out, "interval");
    base::value(out, base::duration_text(base::Nanos(static_cast<int64_t>(check.interval_ns))));
    base::key(out, "shared");
    out.Uint(check.shared);
    base::key(out, "recent_falls");
    out.Double(check.recent_falls);
    base::key(out, "held");
    base::value(out, base::duration_text(base::Nanos(static_cast<int64_t>(check.held_ns))));
    out.EndObject();
}

void write_checks(base::JsonWriter& out, const std::vector<health::CheckView>& checks) {
    out.StartArray();
    for (const health::CheckView& check : checks) {
        out.StartObject();
        base::key(out, "type");
        base::value(out, check.type);
        write_state(out, check.state, check.because);
        base::key(out, "since");
        base::value(out, base::WallText(check.since_wall));
        write_warning(out, check.warning);
        write_check(out, check);
        out.EndObject();
    }
    out.EndArray();
}

void write_drain(base::JsonWriter& out, const control::DrainView& drain) {
    const auto time = [&](std::string_view name, int64_t wall) {
        base::key(out, name);
        if (wall) {
            base::value(out, base::WallText(wall));
        } else {
            out.Null();
        }
    };
    out.StartObject();
    time("since", drain.since_wall);
    base::key(out, "finished");
    out.Bool(drain.finished);
    time("finished_at", drain.finished ? drain.finished_wall : 0);
    time("deadline", drain.deadline_wall);
    if (drain.counted) {
        base::key(out, "active");
        out.Uint(drain.active);
        base::key(out, "inactive");
        out.Uint(drain.inactive);
        base::key(out, "templates");
        out.Uint(drain.templates);
    }
    if (!drain.trouble.empty()) {
        base::key(out, "trouble");
        base::value(out, drain.trouble);
    }
    out.EndObject();
}

const health::CheckView& deciding(const health::View& view) {
    static const health::CheckView none;
    return view.decides < view.checks.size() ? view.checks[view.decides] : none;
}

// What its weight rests on: View::because, or what keeps the checks from counting that have none yet. The
// weight follows the state in a moment: what makes a backend up by now is no reason for what was decided
// before.
std::string ground_of(const health::View& view, const health::Decision& decided) {
    const bool as_up = decided.health > 0 && decided.cause != health::Cause::panic &&
                       decided.cause != health::Cause::kept && decided.cause != health::Cause::held &&
                       decided.cause != health::Cause::before;
    if (view.state == health::State::up && !as_up) return "it is up by now, and its weight follows";
    if (view.state != health::State::unknown || !view.because.empty()) return view.because;
    for (const health::CheckView& check : view.checks) {
        if (check.state != health::State::unknown || !check.checked) continue;
        return view.checks.size() > 1 ? check.type + ": " + check.reason : check.reason;
    }
    return "";
}

}  // namespace

BackendStatus status_of(const control::Control& control, const model::Service& service,
                        const model::BackendEntry& backend) {
    BackendStatus status{.health = {}, .weight = control.weight_of(backend), .drain = {}, .note = {}};
    status.health = control.health_of(backend);
    control::explain(status.weight, service,
                     status.health ? ground_of(*status.health, status.weight.decision) : "");
    if (backend.spec.admin == model::Admin::drain) status.drain = control.drain_of(backend);
    return status;
}

int upstream_status(health::State state) {
    return state == health::State::up ? 0 : 1;
}

void write_backend(base::JsonWriter& out, std::string_view service, const model::BackendEntry& backend,
                   const BackendStatus& status, std::string_view etag) {
    const bool maint = backend.spec.admin == model::Admin::maint;
    static const health::View unchecked;
    const health::View& view = status.health ? *status.health : unchecked;
    out.StartObject();
    base::key(out, "name");
    base::value(out, backend.spec.name);
    base::key(out, "service");
    base::value(out, service);
    base::key(out, "etag");
    base::value(out, etag);
    base::key(out, "options");
    model::write_backend_options(out, backend.spec);
    base::key(out, "metrics");
    out.StartObject();
    base::key(out, "status");
    out.Int(upstream_status(view.state));
    base::key(out, "health");
    out.Double(view.ratio);
    base::key(out, "uptime");
    out.Uint64(view.uptime_ns);
    out.EndObject();
    base::key(out, "weight");
    write_weight(out, status.weight);
    write_state(out, view.state, maint ? "in maintenance: it is not checked" : view.because);
    base::key(out, "since");
    if (view.since_wall != 0) {
        base::value(out, base::WallText(view.since_wall));
    } else {
        out.Null();
    }
    write_warning(out, view.warning);
    write_check(out, deciding(view));
    if (view.checks.size() > 1) {
        base::key(out, "checks");
        write_checks(out, view.checks);
    }
    if (status.drain) {
        base::key(out, "drain");
        write_drain(out, *status.drain);
    }
    if (!status.note.empty()) base::member(out, "note", status.note);
    out.EndObject();
}

}  // namespace gorb::rest
