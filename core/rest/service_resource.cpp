#include "rest/service_resource.h"

#include "base/clock.h"
#include "control/words.h"
#include "model/codec.h"
#include "rest/backend_resource.h"

namespace gorb::rest {
namespace {

double ratio(const std::optional<health::View>& view) {
    return view ? view->ratio : health::View().ratio;
}

void write_pool(base::JsonWriter& out, const control::PoolStatus& pool) {
    const health::Assessment& a = pool.assessment;
    const auto number = [&](std::string_view name, uint32_t value) {
        base::key(out, name);
        out.Uint(value);
    };
    const auto flag = [&](std::string_view name, bool value) {
        base::key(out, name);
        out.Bool(value);
    };
    base::key(out, "state");
    base::value(out, health::pool_state_text(a.state));
    base::key(out, "because");
    base::value(out, pool.because);
    base::key(out, "since");
    if (pool.since_wall) {
        base::value(out, base::wall_text(pool.since_wall));
    } else {
        out.Null();
    }
    base::key(out, "pool");
    out.StartObject();
    number("primaries", a.primaries);
    number("primaries_up", a.primaries_up);
    number("backups", a.backups);
    number("backups_up", a.backups_up);
    flag("quorum_met", a.quorum_met);
    flag("panic", a.panic);
    number("kept", a.kept);
    base::key(out, "on_down");
    base::value(
        out, model::on_down_text(pool.on_down_remove ? model::OnDown::remove : model::OnDown::weight_zero));
    base::key(out, "flags");
    base::value(out, pool.flags);
    out.EndObject();
    base::key(out, "warnings");
    out.StartArray();
    for (const std::string& warning : pool.warnings) base::value(out, warning);
    out.EndArray();
}

// Where it comes from, whether it is to stay, and whether the kernel has taken it.
void write_standing(base::JsonWriter& out, const control::Control& control,
                    const model::ServiceEntry& service, std::string_view note) {
    base::key(out, "origin");
    base::value(out, service.origin == model::Origin::file ? "file" : "api");
    if (service.spec.deleting) {
        base::key(out, "deleting");
        out.Bool(true);
        note = control::comes_back(service).value_or("");
    }
    if (!note.empty()) base::member(out, "note", note);
    const std::string refusal = control.refused(service.spec);
    base::key(out, "applied");
    out.Bool(refusal.empty());
    if (refusal.empty()) return;
    base::key(out, "refusal");
    base::value(out, refusal);
}

double health_of(const control::Control& control, const model::ServiceEntry& service) {
    double sum = 0;
    service.backends.for_each(
        [&](const std::string&, const model::BackendPtr& b) { sum += ratio(control.health_of(*b)); });
    return mean_health(sum, service.backends.size());
}

}  // namespace

double mean_health(double sum, size_t count) {
    return count == 0 ? 1 : sum / static_cast<double>(count);
}

ServiceStatus status_of(const control::Control& control, const model::ServiceEntry& service) {
    return {health_of(control, service), control.pool_of(service.spec)};
}

void write_service(base::JsonWriter& out, const control::Control& control, const model::ServiceEntry& service,
                   Backends backends, std::string_view note, const ServiceStatus* was) {
    double health = was ? was->health : 1;
    out.StartObject();
    base::key(out, "name");
    base::value(out, service.spec.name);
    base::key(out, "etag");
    base::value(out, control.etag(service.revision));
    base::key(out, "options");
    model::write_service_options(out, service.spec);
    write_standing(out, control, service, note);
    base::key(out, "backends");
    out.StartArray();
    if (backends == Backends::names) {
        service.backends.for_each(
            [&](const std::string& name, const model::BackendPtr&) { base::value(out, name); });
        if (!was) health = health_of(control, service);
    } else {
        double sum = 0;
        service.backends.for_each([&](const std::string&, const model::BackendPtr& b) {
            const BackendStatus status = status_of(control, service.spec, *b);
            sum += ratio(status.health);
            write_backend(out, service.spec.name, *b, status, control.etag(b->revision));
        });
        if (!was) health = mean_health(sum, service.backends.size());
    }
    out.EndArray();
    base::key(out, "health");
    out.Double(health);
    write_pool(out, was ? was->pool : control.pool_of(service.spec));
    out.EndObject();
}

void write_service_names(base::JsonWriter& out, const model::Snapshot& snapshot) {
    out.StartArray();
    snapshot.services.for_each(
        [&](const std::string& name, const model::ServicePtr&) { base::value(out, name); });
    out.EndArray();
}

void write_services(base::JsonWriter& out, const control::Control& control, const model::Snapshot& snapshot) {
    out.StartArray();
    snapshot.services.for_each([&](const std::string&, const model::ServicePtr& s) {
        write_service(out, control, *s, Backends::names);
    });
    out.EndArray();
}

}  // namespace gorb::rest
