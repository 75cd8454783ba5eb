#include "rest/api.h"

#include <exception>
#include <memory>
#include <utility>
#include <variant>

#include "base/log.h"
#include "io/workers.h"
#include "model/codec.h"
#include "rest/backend_resource.h"
#include "rest/config_resource.h"
#include "rest/error.h"
#include "rest/kernel_resource.h"
#include "rest/metrics_page.h"
#include "rest/openapi.h"
#include "rest/plugin_resource.h"
#include "rest/request_headers.h"
#include "rest/service_resource.h"
#include "rest/status_resource.h"

namespace gorb::rest {
namespace {

// A service with more backends than this is written by a worker; up to it, writing costs less than handing
// over.
constexpr size_t many = 256;

// A request on its way to its answer.
struct Call {
    std::shared_ptr<const Request> request;
    Responder respond;
    std::array<std::string, Router::max_names> names;
    Query query;

    const std::string& service() const { return names[0]; }
    const std::string& backend() const { return names[1]; }
};

// The answer that `write` writes with the writer it is given.
template <class Write>
Response json_response(size_t size_hint, Write&& write) {
    Response out;
    out.body.reserve(size_hint);
    base::StringSink sink(out.body);
    base::JsonWriter writer(sink);
    write(writer);
    return out;
}

// What `make` gives back, or 500 where it throws: a defect of ours.
template <class Make>
Response guarded(Make&& make) {
    const char* what = "unknown exception";
    try {
        return make();
    } catch (const std::exception& e) {
        what = e.what();
        base::log_error("the API failed to answer a request", {{"exception", what}});
    } catch (...) {
        base::log_error("the API failed to answer a request", {{"exception", what}});
    }
    return error_response(500, "this is a defect of gorb; its log has more");
}

// It has begun, and the answer shows how things stand meanwhile.
Response accepted(Response response) {
    response.status = 202;
    return response;
}

class Api : public std::enable_shared_from_this<Api> {
  public:
    explicit Api(Context context);
    void serve(std::shared_ptr<const Request> request, Responder respond);

    // A route is answered either at once or later.
    using Now = Response (Api::*)(const Call&);
    using Later = void (Api::*)(Call&&);
    struct Entry {
        Route route;
        std::variant<Now, Later> handler;
    };
    static const std::vector<Entry>& table();

  private:
    Response health_probe(const Call&) { return probe_response(context_.not_healthy); }
    Response ready_probe(const Call&) { return probe_response(context_.not_ready); }
    Response openapi(const Call&);
    Response plugins(const Call&);
    Response get_log(const Call&);
    Response put_log(const Call& call);
    Response get_backend(const Call& call);
    void root(Call&& call);
    void metrics(Call&& call);
    void list_services(Call&& call);
    void get_service(Call&& call);
    void put_service(Call&& call);
    void put_backend(Call&& call);
    void patch_service(Call&& call);
    void patch_backend(Call&& call);
    void delete_service(Call&& call);
    void delete_backend(Call&& call);
    void push_pulse(Call&& call);
    void get_config(Call&& call);
    void put_config(Call&& call);
    void plan(Call&& call);
    void get_kernel(Call&& call);
    void adopt(Call&& call);
    void reconcile(Call&& call);
    Response events(const Call& call);

    std::optional<Response> refusal(const Call& call, const Route& route) const;
    void on_worker(const Responder& respond, std::function<Response()> make);
    // For what answers later.
    void on_worker_later(const Responder& respond, std::function<void()> work);
    model::Defaults defaults() const {
        return {context_.default_address ? context_.default_address() : std::nullopt};
    }
    // Submits it; the answer is what `show` makes of the object that came of it.
    using Show = std::function<Response(const control::Outcome&)>;
    template <class Change>
    void change(Call&& call, base::Result<Change> what, Show show);
    void answer_change(const Responder& respond, const base::Result<control::Outcome>& outcome,
                       const Show& show);
    Show show_service() const;
    Show show_backend() const;
    Response service_response(const model::ServiceEntry& service, Backends backends) const;
    Response backend_response(const model::Service& service, const model::BackendEntry& backend,
                              const BackendStatus& status) const;

    Context context_;
    Router router_;
    io::Workers workers_{1, 64};  // last: its jobs use what stands above
};

base::Error no_service(const std::string& name) {
    return {base::Errc::not_found, "there is no service \"" + name + "\"", {}, 0};
}

// ---- routes

const std::vector<Api::Entry>& Api::table() {
    static const std::vector<Entry> entries{
        {{"GET", "/", "getRoot", ""}, &Api::root},
        {{"GET", "/service", "listServices", "expand=services"}, &Api::list_services},
        {{"GET", "/service/{service}", "getService", "expand=backends"}, &Api::get_service},
        {{"PUT", "/service/{service}", "putService", "adopt"}, &Api::put_service},
        {{"PATCH", "/service/{service}", "patchService", ""}, &Api::patch_service},
        {{"DELETE", "/service/{service}", "deleteService", "drain"}, &Api::delete_service},
        {{"GET", "/service/{service}/{backend}", "getBackend", ""}, &Api::get_backend},
        {{"PUT", "/service/{service}/{backend}", "putBackend", "adopt"}, &Api::put_backend},
        {{"PATCH", "/service/{service}/{backend}", "patchBackend", ""}, &Api::patch_backend},
        {{"DELETE", "/service/{service}/{backend}", "deleteBackend", "drain"}, &Api::delete_backend},
        {{"PUT", "/service/{service}/{backend}/pulse", "pushPulse", ""}, &Api::push_pulse},
        {{"GET", "/config", "getConfig", ""}, &Api::get_config},
        {{"PUT", "/config", "putConfig", "force"}, &Api::put_config},
        {{"POST", "/plan", "postPlan", ""}, &Api::plan},
        {{"GET", "/kernel", "getKernel", ""}, &Api::get_kernel},
        {{"POST", "/kernel/adopt", "adopt", ""}, &Api::adopt},
        {{"POST", "/reconcile", "reconcile", ""}, &Api::reconcile},
        {{"GET", "/events", "listEvents", "after"}, &Api::events},
        {{"GET", "/plugins", "listPlugins", ""}, &Api::plugins},
        {{"GET", "/log", "getLog", ""}, &Api::get_log},
        {{"PUT", "/log", "putLog", ""}, &Api::put_log},
        {{"GET", "/metrics", "getMetrics", ""}, &Api::metrics},
        {{"GET", "/healthz", "getHealthz", ""}, &Api::health_probe},
        {{"GET", "/readyz", "getReadyz", ""}, &Api::ready_probe},
        {{"GET", "/openapi.json", "getOpenapi", ""}, &Api::openapi},
    };
    return entries;
}

Api::Api(Context context) : context_(std::move(context)), router_(api_routes()) {}

void Api::serve(std::shared_ptr<const Request> request, Responder respond) {
    const Request& r = *request;
    if (base::log_wants(base::LogLevel::debug)) {
        base::log_debug("request", {{"peer", r.peer}, {"method", r.method}, {"path", r.path}});
    }
    if (r.method == "OPTIONS") {
        if (auto allow = router_.allow(r.path); !allow.empty()) {
            Response out = json_response(96, [&](base::JsonWriter& w) {
                w.StartObject();
                base::key(w, "allow");
                base::value(w, allow);
                w.EndObject();
            });
            out.headers.emplace_back("Allow", std::move(allow));
            respond(std::move(out));
            return;
        }
    }
    auto target = router_.find(r.method, r.path);
    if (const auto* missed = std::get_if<Router::Missed>(&target)) {
        Response out = error_response(missed->status, missed->sentence);
        if (!missed->allow.empty()) out.headers.emplace_back("Allow", missed->allow);
        respond(std::move(out));
        return;
    }
    auto& found = std::get<Router::Found>(target);
    const Entry& entry = table()[found.route];
    Call call{std::move(request), std::move(respond), std::move(found.names), {}};
    const auto query = read_query(r.query, entry.route.takes);
    if (!query) {
        call.respond(error_response(query.error()));
        return;
    }
    call.query = *query;
    if (auto no = refusal(call, entry.route)) {
        call.respond(std::move(*no));
        return;
    }
    if (const auto* now = std::get_if<Now>(&entry.handler)) {
        call.respond(guarded([&] { return (this->**now)(call); }));
    } else {
        (this->*std::get<Later>(entry.handler))(std::move(call));
    }
}

// What every request with a body must keep, before anybody reads it.
std::optional<Response> Api::refusal(const Call& call, const Route& route) const {
    if (route.method != "PUT" && route.method != "PATCH" && route.method != "POST") return std::nullopt;
    const Request& r = *call.request;
    if (r.body.empty() && route.method == "POST") return std::nullopt;
    if (is_json(r.content_type, r.body)) return std::nullopt;
    return error_response(415, "the body must be JSON (Content-Type: application/json); it is said to be " +
                                   shown(r.content_type));
}

void Api::on_worker(const Responder& respond, std::function<Response()> make) {
    const bool taken = workers_.submit([respond, make = std::move(make)] { respond(guarded(make)); });
    if (!taken) respond(error_response(503, "too many long answers are being written at once; try again"));
}

void Api::on_worker_later(const Responder& respond, std::function<void()> work) {
    if (!workers_.submit(std::move(work)))
        respond(error_response(503, "too many long requests are being read at once; try again"));
}

// ---- the daemon itself

void Api::root(Call&& call) {
    context_.control.schedulers([self = shared_from_this(), respond = std::move(call.respond)](
                                    const base::Result<std::vector<std::string>>& schedulers) {
        respond(guarded([&] {
            return json_response(1024, [&](base::JsonWriter& w) {
                write_root(w, self->context_.version, self->context_.control.driver_info(), schedulers);
            });
        }));
    });
}

Response Api::openapi(const Call&) {
    Response out;
    out.body = openapi_json();
    return out;
}

Response Api::plugins(const Call&) {
    return json_response(4096, [&](base::JsonWriter& w) {
        write_plugins(w, context_.registry.plugins(), context_.registry.refused());
    });
}

Response Api::get_log(const Call&) {
    return json_response(32, [](base::JsonWriter& w) { write_log_level(w, base::log_level()); });
}

Response Api::put_log(const Call& call) {
    const auto level = read_log_level(call.request->body);
    if (!level) return error_response(level.error());
    base::set_log_level(*level);
    base::log_info("log level changed",
                   {{"level", std::string(base::log_level_text(*level))}, {"peer", call.request->peer}});
    return get_log(call);
}

void Api::metrics(Call&& call) {
    on_worker(call.respond, [this] {
        Response out;
        out.content_type = metrics_content_type;
        out.body = metrics_page(context_.control, context_.metrics, context_.version);
        return out;
    });
}

// ---- services and backends, as they are

Response Api::service_response(const model::ServiceEntry& service, Backends backends) const {
    const size_t each = backends == Backends::names ? 24 : 1024;
    Response out = json_response(512 + service.backends.size() * each, [&](base::JsonWriter& w) {
        write_service(w, context_.control, service, backends);
    });
    out.etag = context_.control.etag(service.revision);
    return out;
}

Response Api::backend_response(const model::Service& service, const model::BackendEntry& backend,
                               const BackendStatus& status) const {
    std::string etag = context_.control.etag(backend.revision);
    Response out = json_response(
        1024, [&](base::JsonWriter& w) { write_backend(w, service.name, backend, status, etag); });
    out.etag = std::move(etag);
    return out;
}

void Api::list_services(Call&& call) {
    const model::SnapshotPtr snapshot = context_.control.snapshot();
    if (call.query.expanded) {
        on_worker(call.respond, [this, snapshot] {
            return json_response(512 * snapshot->services.size(), [&](base::JsonWriter& w) {
                write_services(w, context_.control, *snapshot);
            });
        });
        return;
    }
    call.respond(guarded([&] {
        return json_response(2 + 24 * snapshot->services.size(),
                             [&](base::JsonWriter& w) { write_service_names(w, *snapshot); });
    }));
}

void Api::get_service(Call&& call) {
    const model::SnapshotPtr snapshot = context_.control.snapshot();
    const model::ServicePtr* service = snapshot->services.find(call.service());
    if (!service) {
        call.respond(error_response(no_service(call.service())));
        return;
    }
    const Backends backends = call.query.expanded ? Backends::objects : Backends::names;
    if ((*service)->backends.size() > many) {
        on_worker(call.respond, [this, s = *service, backends] { return service_response(*s, backends); });
    } else {
        call.respond(guarded([&] { return service_response(**service, backends); }));
    }
}

Response Api::get_backend(const Call& call) {
    const model::SnapshotPtr snapshot = context_.control.snapshot();
    const model::ServicePtr* service = snapshot->services.find(call.service());
    if (!service) return error_response(no_service(call.service()));
    const model::BackendPtr* backend = (*service)->backends.find(call.backend());
    if (!backend) {
        return error_response(
            404, "the service \"" + call.service() + "\" has no backend \"" + call.backend() + "\"");
    }
    return backend_response((*service)->spec, **backend,
                            status_of(context_.control, (*service)->spec, **backend));
}

// ---- and as they are to be

template <class Change>
void Api::change(Call&& call, base::Result<Change> what, Show show) {
    if (!what) {
        call.respond(error_response(what.error()));
        return;
    }
    auto match = parse_if_match(call.request->if_match);
    if (!match) {
        call.respond(error_response(match.error()));
        return;
    }
    if constexpr (requires { what->match; }) what->match = std::move(*match);
    context_.control.submit(
        std::move(*what),
        [self = shared_from_this(), respond = std::move(call.respond), show = std::move(show)](
            const base::Result<control::Outcome>& outcome) { self->answer_change(respond, outcome, show); });
}

// On the control thread: what takes long is a worker's.
void Api::answer_change(const Responder& respond, const base::Result<control::Outcome>& outcome,
                        const Show& show) {
    if (!outcome) {
        respond(error_response(outcome.error()));
    } else if (!outcome->backend && outcome->service && outcome->service->backends.size() > many) {
        on_worker(respond, [o = *outcome, show] { return show(o); });
    } else {
        respond(guarded([&] { return show(*outcome); }));
    }
}

Api::Show Api::show_service() const {
    return [this](const control::Outcome& o) { return service_response(*o.service, Backends::names); };
}

Api::Show Api::show_backend() const {
    return [this](const control::Outcome& o) {
        return backend_response(o.service->spec, *o.backend,
                                status_of(context_.control, o.service->spec, *o.backend));
    };
}

void Api::put_service(Call&& call) {
    auto put = model::read_service(call.service(), call.request->body, defaults())
                   .map([adopt = call.query.adopt](model::Service&& s) {
                       return control::PutService{std::move(s), {}, adopt};
                   });
    change(std::move(call), std::move(put), show_service());
}

void Api::put_backend(Call&& call) {
    const std::string service = call.service();
    auto put = model::read_backend(call.backend(), call.request->body).map([&](model::Backend&& b) {
        return control::PutBackend{service, std::move(b), {}, call.query.adopt};
    });
    change(std::move(call), std::move(put), show_backend());
}

void Api::patch_service(Call&& call) {
    base::Result<control::PatchService> patch{{call.service(), call.request->body, {}}};
    change(std::move(call), std::move(patch), show_service());
}

void Api::patch_backend(Call&& call) {
    const std::string service = call.service();
    base::Result<control::PatchBackend> patch{{service, call.backend(), call.request->body, {}}};
    change(std::move(call), std::move(patch), show_backend());
}

// What is gone is shown as it was when it was asked to go: nobody knows its health and weight any more.

void Api::delete_service(Call&& call) {
    std::optional<double> health;
    const model::SnapshotPtr snapshot = context_.control.snapshot();
    if (const auto* service = snapshot->services.find(call.service()))
        health = health_of(context_.control, **service);
    base::Result<control::DeleteService> gone{{call.service(), {}, call.query.drain}};
    change(std::move(call), std::move(gone), [this, health](const control::Outcome& o) {
        if (o.later) return accepted(service_response(*o.service, Backends::names));
        return json_response(512 + o.service->backends.size() * 24, [&](base::JsonWriter& w) {
            write_service(w, context_.control, *o.service, Backends::names, health);
        });
    });
}

void Api::delete_backend(Call&& call) {
    std::optional<BackendStatus> status;
    const model::SnapshotPtr snapshot = context_.control.snapshot();
    if (const auto* service = snapshot->services.find(call.service())) {
        if (const auto* backend = (*service)->backends.find(call.backend()))
            status = status_of(context_.control, (*service)->spec, **backend);
    }
    base::Result<control::DeleteBackend> gone{{call.service(), call.backend(), {}, call.query.drain}};
    change(std::move(call), std::move(gone), [this, status](const control::Outcome& o) {
        if (o.later) return accepted(show_backend()(o));
        BackendStatus unseen;
        unseen.weight.configured = o.backend->spec.weight;
        unseen.weight.why = "the backend is gone";
        Response out = backend_response(o.service->spec, *o.backend, status.value_or(unseen));
        out.etag.clear();  // of nothing that is there
        return out;
    });
}

// ---- the state as a whole

void Api::get_config(Call&& call) {
    on_worker(call.respond, [this, snapshot = context_.control.snapshot()] {
        Response out = json_response(512 + 512 * snapshot->services.size(),
                                     [&](base::JsonWriter& w) { write_config(w, *snapshot); });
        out.etag = context_.control.etag(snapshot->revision);
        return out;
    });
}

// Many objects take a while to be read: a worker does it.
void Api::put_config(Call&& call) {
    const Responder respond = call.respond;
    on_worker_later(respond, [this, call = std::make_shared<Call>(std::move(call))] {
        auto put = model::read_config(call->request->body, defaults())
                       .map([force = call->query.force](model::Config&& config) {
                           return control::PutConfig{std::move(config), {}, force};
                       });
        change(std::move(*call), std::move(put), [this](const control::Outcome& o) {
            Response out = json_response(256, [&](base::JsonWriter& w) {
                write_counts(w, o.counts, context_.control.etag(o.snapshot->revision));
            });
            out.etag = context_.control.etag(o.snapshot->revision);
            return out;
        });
    });
}

void Api::plan(Call&& call) {
    const Responder respond = call.respond;
    on_worker_later(respond, [this, respond, request = call.request] {
        auto config = model::read_config(request->body, defaults());
        if (!config) {
            respond(error_response(config.error()));
            return;
        }
        context_.control.preview(
            std::move(*config), [respond](const base::Result<control::Preview>& preview) {
                respond(guarded([&] {
                    if (!preview) return error_response(preview.error());
                    return json_response(512 + 128 * preview->operations.size(),
                                         [&](base::JsonWriter& w) { write_preview(w, *preview); });
                }));
            });
    });
}

// ---- the kernel's table

void Api::get_kernel(Call&& call) {
    context_.control.ownership([self = shared_from_this(), respond = std::move(call.respond)](
                                   const base::Result<control::Ownership>& ownership) {
        if (!ownership) {
            respond(error_response(ownership.error()));
            return;
        }
        self->on_worker(respond, [self, whose = *ownership] {
            return kernel_response(self->context_.control, self->context_.read_kernel, whose);
        });
    });
}

void Api::adopt(Call&& call) {
    auto adopt = read_adopt(call.request->body);
    if (!adopt) {
        call.respond(error_response(adopt.error()));
        return;
    }
    change(std::move(call), base::Result<control::Adopt>{std::move(*adopt)}, show_service());
}

void Api::reconcile(Call&& call) {
    context_.control.reconcile(
        [respond = std::move(call.respond)](const base::Result<control::SyncCounts>& counts) {
            respond(guarded([&] {
                if (!counts) return error_response(counts.error());
                return json_response(256, [&](base::JsonWriter& w) { write_round(w, *counts); });
            }));
        });
}

Response Api::events(const Call& call) {
    const auto events = context_.control.events(call.query.after);
    return json_response(64 + 256 * events.size(), [&](base::JsonWriter& w) { write_events(w, events); });
}

// ---- health, as somebody else knows it

void Api::push_pulse(Call&& call) {
    const auto push = read_push(call.request->body);
    if (!push) {
        call.respond(error_response(push.error()));
        return;
    }
    context_.control.push(call.service(), call.backend(), *push,
                          [respond = call.respond](const base::Status& done) {
                              if (!done) {
                                  // No pulse of it takes reports: its state is in the way, as with 409
                                  // elsewhere.
                                  const bool takes_none = done.error().code == base::Errc::unsupported;
                                  respond(takes_none ? error_response(409, done.error().sentence)
                                                     : error_response(done.error()));
                                  return;
                              }
                              Response out;
                              out.body = R"({"status":"ok"})";
                              respond(std::move(out));
                          });
}

}  // namespace

Handler make_api(Context context) {
    return [api = std::make_shared<Api>(std::move(context))](std::shared_ptr<const Request> request,
                                                             Responder respond) {
        api->serve(std::move(request), std::move(respond));
    };
}

std::vector<Route> api_routes() {
    std::vector<Route> routes;
    for (const auto& entry : Api::table()) routes.push_back(entry.route);
    return routes;
}

}  // namespace gorb::rest
