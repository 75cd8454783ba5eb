#include "rest/metrics_page.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "rest/backend_resource.h"
#include "rest/service_resource.h"

namespace gorb::rest {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;
using Family = prometheus::MetricFamily;

Family family(std::string name, std::string help,
              prometheus::MetricType type = prometheus::MetricType::Gauge) {
    return {std::move(name), std::move(help), type, {}};
}

void add(Family& to, Labels labels, double value) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    (to.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    to.metric.push_back(std::move(metric));
}

struct Families {
    Family build = family("gorb_build_info", "Version of gorb and its driver; always 1");
    Family forwards =
        family("gorb_driver_forwards", "1 when the driver is the kernel, 0 when no packets flow");
    Family health =
        family("gorb_service_health", "Health of a virtual service: mean of its backends', 0 to 1");
    Family backends = family("gorb_service_backends", "Number of backends of a virtual service");
    Family uptime =
        family("gorb_service_backend_uptime_seconds", "Seconds since the backend came up, 0 while it is not");
    Family backend_health =
        family("gorb_service_backend_health", "Passes among the backend's last 100 results, 0 to 1");
    Family status =
        family("gorb_service_backend_status", "State of a backend: 0 up, 1 down or not yet known");
    Family weight = family("gorb_service_backend_weight", "Weight of a backend now, after its health");
    Family configured = family("gorb_service_backend_configured_weight", "Weight of a backend as configured");

    void add_service(const control::Control& control, const model::ServiceEntry& service) {
        const auto& vip = service.spec.key.vip;
        const Labels labels{{"name", service.spec.name},
                            {"host", vip.ip.text()},
                            {"port", std::to_string(vip.port)},
                            {"protocol", std::string(model::protocol_text(service.spec.key.protocol))}};
        double sum = 0;
        service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            sum += add_backend(service.spec.name, *backend, status_of(control, *backend));
        });
        add(health, labels, mean_health(sum, service.backends.size()));
        add(backends, labels, static_cast<double>(service.backends.size()));
    }

    // Gives back its health.
    double add_backend(const std::string& service, const model::BackendEntry& backend,
                       const BackendStatus& now) {
        const Labels labels{{"service_name", service},
                            {"name", backend.spec.name},
                            {"host", backend.spec.address.ip.text()},
                            {"port", std::to_string(backend.spec.address.port)}};
        const health::View view = now.health.value_or(health::View());
        add(uptime, labels, static_cast<double>(view.uptime_ns) / 1e9);
        add(backend_health, labels, view.ratio);
        add(status, labels, upstream_status(view.state));
        add(weight, labels, now.weight.effective);
        add(configured, labels, now.weight.configured);
        return view.ratio;
    }
};

}  // namespace

std::string metrics_page(const control::Control& control, const plugin::Metrics& metrics,
                         const std::string& version) {
    Families families;
    const auto& driver = control.driver_info();
    add(families.build, {{"version", version}, {"driver", driver.name}}, 1);
    add(families.forwards, {}, driver.forwards ? 1 : 0);
    const model::SnapshotPtr snapshot = control.snapshot();
    snapshot->services.for_each([&](const std::string&, const model::ServicePtr& service) {
        families.add_service(control, *service);
    });

    std::vector<Family> page;
    for (Family* f :
         {&families.build, &families.forwards, &families.health, &families.backends, &families.uptime,
          &families.backend_health, &families.status, &families.weight, &families.configured}) {
        page.push_back(std::move(*f));
    }
    for (const auto& metric : metrics.read()) {
        page.push_back(
            family(metric.name, metric.help,
                   metric.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge));
        add(page.back(), {}, metric.value);
    }
    return prometheus::TextSerializer().Serialize(page);
}

}  // namespace gorb::rest
