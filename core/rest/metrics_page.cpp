#include "rest/metrics_page.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
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

// ---- what has a line for each service or backend

// One family after the other becomes text: as the library's objects all lines of 100,000 backends would take
// several times the memory of the page.
struct Head {
    const char *name, *help;
};
constexpr std::array<Head, 4> of_service{{
    {"gorb_service_health", "Health of a virtual service: mean of its backends', 0 to 1"},
    {"gorb_service_backends", "Number of backends of a virtual service"},
    {"gorb_service_state", "State of a virtual service: 0 up, 1 degraded, 2 down"},
    {"gorb_service_panic", "1 while too few backends are up and all of them serve"},
}};
constexpr std::array<Head, 8> of_backend{{
    {"gorb_service_backend_uptime_seconds", "Seconds since the backend came up, 0 while it is not"},
    {"gorb_service_backend_health", "Passes among the backend's last 100 results, 0 to 1"},
    {"gorb_service_backend_status", "State of a backend: 0 up, 1 down or not yet known"},
    {"gorb_service_backend_weight", "Weight of a backend now, after its health"},
    {"gorb_service_backend_configured_weight", "Weight of a backend as configured"},
    {"gorb_service_backend_warning",
     "1 while a check passes with a warning, such as a certificate that ends soon, or can not be made"},
    {"gorb_service_backend_admin", "What the operator asked of a backend: 0 ready, 1 drain, 2 maint"},
    {"gorb_service_backend_draining_connections",
     "Connections and persistence templates left of a backend that is drained"},
}};
constexpr double no_line = std::numeric_limits<double>::quiet_NaN();

struct ServiceRow {
    const model::Service* service;
    std::array<double, of_service.size()> values;

    Labels labels() const {
        return {{"name", service->name},
                {"host", service->key.vip.ip.text()},
                {"port", std::to_string(service->key.vip.port)},
                {"protocol", std::string(model::protocol_text(service->key.protocol))}};
    }
};

struct BackendRow {
    const std::string* service;
    const model::Backend* backend;
    std::array<double, of_backend.size()> values;

    Labels labels() const {
        return {{"service_name", *service},
                {"name", backend->name},
                {"host", backend->address.ip.text()},
                {"port", std::to_string(backend->address.port)}};
    }
};

template <class Row, size_t count>
void append(std::string& text, const std::array<Head, count>& heads, const std::vector<Row>& rows) {
    for (size_t i = 0; i < count; ++i) {
        std::vector<Family> one{family(heads[i].name, heads[i].help)};
        one[0].metric.reserve(rows.size());
        for (const Row& row : rows) {
            if (!std::isnan(row.values[i])) add(one[0], row.labels(), row.values[i]);
        }
        const std::string lines = prometheus::TextSerializer().Serialize(one);
        if (i == 0) text.reserve(text.size() + (count + 1) * lines.size());  // they differ little
        text += lines;
    }
}

// As long as the snapshot lives.
struct Rows {
    std::vector<ServiceRow> services;
    std::vector<BackendRow> backends;
    size_t unchecked = 0, not_applied = 0;

    void add_service(const control::Control& control, const model::ServiceEntry& service) {
        double sum = 0;
        service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            const BackendStatus now = status_of(control, service.spec, *backend);
            const bool trouble = now.health && now.health->trouble;
            if (trouble || !control.unchecked(*backend).empty()) ++unchecked;
            if (!now.weight.not_applied.empty()) ++not_applied;
            sum += add_backend(service.spec.name, *backend, now);
        });
        const control::PoolStatus pool = control.pool_of(service.spec);
        services.push_back(
            {&service.spec,
             {mean_health(sum, service.backends.size()), static_cast<double>(service.backends.size()),
              static_cast<double>(pool.assessment.state), pool.assessment.panic ? 1.0 : 0.0}});
    }

    // Gives back its health.
    double add_backend(const std::string& service, const model::BackendEntry& backend,
                       const BackendStatus& now) {
        const health::View view = now.health.value_or(health::View());
        const double left =
            now.drain && now.drain->counted
                ? static_cast<double>(now.drain->active + now.drain->inactive + now.drain->templates)
                : no_line;
        backends.push_back(
            {&service,
             &backend.spec,
             {static_cast<double>(view.uptime_ns) / 1e9, view.ratio,
              static_cast<double>(upstream_status(view.state)), static_cast<double>(now.weight.effective),
              static_cast<double>(now.weight.configured), view.warning.empty() ? 0.0 : 1.0,
              static_cast<double>(backend.spec.admin), left}});
        return view.ratio;
    }
};

// ---- what has few

void add_checks(std::vector<Family>& page, const health::Counters& counters) {
    Family checks = family("gorb_checks_total", "Checks that ended, by what they came to",
                           prometheus::MetricType::Counter);
    const auto result = [&](const char* name, uint64_t n) {
        add(checks, {{"result", name}}, static_cast<double>(n));
    };
    result("pass", counters.passed);
    result("fail", counters.failed);
    result("unknown", counters.unknown);
    page.push_back(std::move(checks));
    page.push_back(
        family("gorb_check_timeouts_total",
               "Checks that had no answer at their timeout; gorb_checks_total has them as well, by "
               "what they came to",
               prometheus::MetricType::Counter));
    add(page.back(), {}, static_cast<double>(counters.timed_out));
    const auto gauge = [&](const char* name, const char* help, uint64_t n) {
        page.push_back(family(name, help));
        add(page.back(), {}, static_cast<double>(n));
    };
    gauge("gorb_checks_held_back", "Checks that are due and wait for a cap", counters.held_back);
    gauge("gorb_checks_in_flight", "Checks that run now", counters.in_flight);
    gauge("gorb_check_probes", "Different targets and ways in which they are checked", counters.probes);

    Family lateness{"gorb_check_lateness_seconds",
                    "How much later than due a check started",
                    prometheus::MetricType::Histogram,
                    {}};
    prometheus::ClientMetric metric;
    uint64_t sum = 0;
    for (size_t i = 0; i < counters.late.size(); ++i) {
        sum += counters.late[i];
        const bool last = i == health::Counters::late_ms.size();
        metric.histogram.bucket.push_back(
            {sum, last ? std::numeric_limits<double>::infinity() : health::Counters::late_ms[i] / 1e3});
    }
    metric.histogram.sample_count = sum;
    metric.histogram.sample_sum = static_cast<double>(counters.late_ns) / 1e9;
    lateness.metric.push_back(std::move(metric));
    page.push_back(std::move(lateness));
}

void add_one(std::vector<Family>& page, const char* name, const char* help, double value,
             prometheus::MetricType type = prometheus::MetricType::Gauge) {
    page.push_back(family(name, help, type));
    add(page.back(), {}, value);
}

// What is kept of the desired state.
void add_store(std::vector<Family>& page, const control::StoreStatus& status, uint64_t revision) {
    const auto number = [](uint64_t n) { return static_cast<double>(n); };
    constexpr auto counter = prometheus::MetricType::Counter;
    const store::Database::Status& database = status.database;
    add_one(page, "gorb_revision", "Revision of the desired state", number(revision));
    add_one(page, "gorb_store_durable", "1 when the desired state is on disk, 0 when it is in memory only",
            status.durable ? 1 : 0);
    add_one(page, "gorb_store_writes_total", "Changes that were given to the store", number(database.writes),
            counter);
    add_one(page, "gorb_store_transactions_total", "Transactions that the changes became",
            number(database.transactions), counter);
    add_one(page, "gorb_store_refused_total", "Changes that the store could not write",
            number(database.refused), counter);
    add_one(page, "gorb_store_bytes", "Size of the store's file and its log", number(database.bytes));
    add_one(page, "gorb_store_trouble", "1 while the store can not be written: changes are refused",
            status.lost || !database.trouble.empty() ? 1 : 0);
}

// What has been found and done about the kernel's table.
void add_reconciliation(std::vector<Family>& page, const control::Totals& totals, size_t services,
                        size_t backends) {
    const auto number = [](uint64_t n) { return static_cast<double>(n); };
    constexpr auto counter = prometheus::MetricType::Counter;
    add_one(page, "gorb_reconcile_rounds_total", "Looks at the whole of what is ours in the kernel's table",
            number(totals.rounds), counter);
    add_one(page, "gorb_drift_total", "Entries of ours that somebody else had changed", number(totals.drift),
            counter);
    add_one(page, "gorb_reconcile_refused_total", "Repairs that the kernel refused", number(totals.refused),
            counter);
    add_one(page, "gorb_reconcile_last_timestamp_seconds", "When the last look ended, 0 before the first",
            static_cast<double>(totals.last_round_wall) / 1e9);
    add_one(page, "gorb_services_not_applied",
            "Virtual services that the kernel refused, or whose VIP: they are tried again", number(services));
    add_one(page, "gorb_backends_not_applied",
            "Backends of which the kernel refused the destination or its weight: they are tried again",
            number(backends));
}

}  // namespace

std::string metrics_page(const control::Control& control, const plugin::Metrics& metrics,
                         const std::string& version, size_t loops_blocked) {
    const auto& driver = control.driver_info();
    std::vector<Family> page;
    page.push_back(family("gorb_build_info", "Version of gorb and its driver; always 1"));
    add(page.back(), {{"version", version}, {"driver", driver.name}}, 1);
    add_one(page, "gorb_driver_forwards", "1 when the driver is the kernel, 0 when no packets flow",
            driver.forwards ? 1 : 0);
    std::string text = prometheus::TextSerializer().Serialize(page);
    page.clear();

    const model::SnapshotPtr snapshot = control.snapshot();
    size_t not_applied = 0;
    Rows rows;
    snapshot->services.for_each([&](const std::string&, const model::ServicePtr& service) {
        rows.add_service(control, *service);
        if (!control.refused(service->spec).empty()) ++not_applied;
    });
    append(text, of_service, rows.services);
    append(text, of_backend, rows.backends);

    add_one(page, "gorb_health_frozen", "1 while gorbd suspects this machine and holds weights as they were",
            control.suspicion().frozen ? 1 : 0);
    add_store(page, control.store(), snapshot->revision);
    add_reconciliation(page, control.totals(), not_applied, rows.not_applied);
    add_one(page, "gorb_declared_refused",
            "1 while the declarative files are not applied as they were read last, 0 also without such",
            control.declared_refused() ? 1 : 0);
    add_checks(page, control.health_counters());
    add_one(page, "gorb_backends_unchecked",
            "Backends with a check that could not be made last time, or whose plugin is gone since the last "
            "start",
            static_cast<double>(rows.unchecked));
    add_one(page, "gorb_check_loops_blocked",
            "Loops of checks that are blocked now: nothing is checked there",
            static_cast<double>(loops_blocked));
    add_one(page, "gorb_log_lines_lost_total",
            "Lines of the log that nobody read in time or that could not be written",
            static_cast<double>(base::log_lines_lost()), prometheus::MetricType::Counter);
    for (const auto& metric : metrics.read()) {
        page.push_back(
            family(metric.name, metric.help,
                   metric.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge));
        add(page.back(), {}, metric.value);
    }
    text += prometheus::TextSerializer().Serialize(page);
    return text;
}

}  // namespace gorb::rest
