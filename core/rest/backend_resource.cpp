#include "rest/backend_resource.h"

#include "base/clock.h"
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

void write_weight(base::JsonWriter& out, uint32_t configured, const control::EffectiveWeight& weight) {
    out.StartObject();
    base::key(out, "configured");
    out.Uint(configured);
    base::key(out, "effective");
    out.Uint(weight.effective);
    base::key(out, "why");
    base::value(out, weight.why);
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
    base::value(out, base::wall_text(view.last_wall));
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

}  // namespace

BackendStatus status_of(const control::Control& control, const model::BackendEntry& backend) {
    return {control.weight_of(backend), control.health_of(backend)};
}

int upstream_status(health::State state) {
    return state == health::State::up ? 0 : 1;
}

void write_backend(base::JsonWriter& out, std::string_view service, const model::BackendEntry& backend,
                   const BackendStatus& status, std::string_view etag) {
    static const health::View unchecked;
    const health::View& view = status.health ? *status.health : unchecked;
    const health::CheckView check = view.checks.empty() ? health::CheckView() : view.checks.front();
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
    write_weight(out, backend.spec.weight, status.weight);
    base::key(out, "state");
    base::value(out, health::state_text(view.state));
    base::key(out, "because");
    base::value(out, view.because);
    base::key(out, "since");
    if (status.health) {
        base::value(out, base::wall_text(view.since_wall));
    } else {
        out.Null();
    }
    base::key(out, "last");
    write_last(out, check);
    base::key(out, "counts");
    write_counts(out, check);
    out.EndObject();
}

}  // namespace gorb::rest
