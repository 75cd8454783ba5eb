#include "rest/service_resource.h"

#include "model/codec.h"
#include "rest/backend_resource.h"

namespace gorb::rest {
namespace {

double ratio(const std::optional<health::View>& view) {
    return view ? view->ratio : health::View().ratio;
}

}  // namespace

double mean_health(double sum, size_t count) {
    return count == 0 ? 1 : sum / static_cast<double>(count);
}

double health_of(const control::Control& control, const model::ServiceEntry& service) {
    double sum = 0;
    service.backends.for_each(
        [&](const std::string&, const model::BackendPtr& b) { sum += ratio(control.health_of(*b)); });
    return mean_health(sum, service.backends.size());
}

void write_service(base::JsonWriter& out, const control::Control& control, const model::ServiceEntry& service,
                   Backends backends, std::optional<double> health) {
    out.StartObject();
    base::key(out, "name");
    base::value(out, service.spec.name);
    base::key(out, "etag");
    base::value(out, control.etag(service.revision));
    base::key(out, "options");
    model::write_service_options(out, service.spec);
    base::key(out, "backends");
    out.StartArray();
    if (backends == Backends::names) {
        service.backends.for_each(
            [&](const std::string& name, const model::BackendPtr&) { base::value(out, name); });
        if (!health) health = health_of(control, service);
    } else {
        double sum = 0;
        service.backends.for_each([&](const std::string&, const model::BackendPtr& b) {
            const BackendStatus status = status_of(control, *b);
            sum += ratio(status.health);
            write_backend(out, service.spec.name, *b, status, control.etag(b->revision));
        });
        if (!health) health = mean_health(sum, service.backends.size());
    }
    out.EndArray();
    base::key(out, "health");
    out.Double(*health);
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
