#include "rest/api.h"

#include <algorithm>
#include <utility>

#include "rest/api_impl.h"
#include "rest/metrics_page.h"
#include "rest/openapi.h"
#include "rest/plugin_resource.h"
#include "rest/web_page.h"

namespace gorb::rest {

// ---- routes

const std::vector<Api::Entry>& Api::table() {
    static const std::vector<Entry> entries{
        {{"GET", "/", "getRoot", ""}, &Api::root},
        {{"GET", "/service", "listServices", "expand=services"}, &Api::list_services},
        {{"GET", "/service/{service}", "getService", "expand=backends"}, &Api::get_service},
        {{"PUT", "/service/{service}", "putService", "adopt", true}, &Api::put_service},
        {{"PATCH", "/service/{service}", "patchService", "", true}, &Api::patch_service},
        {{"DELETE", "/service/{service}", "deleteService", "drain", true}, &Api::delete_service},
        {{"GET", "/service/{service}/{backend}", "getBackend", ""}, &Api::get_backend},
        {{"PUT", "/service/{service}/{backend}", "putBackend", "adopt", true}, &Api::put_backend},
        {{"PATCH", "/service/{service}/{backend}", "patchBackend", "", true}, &Api::patch_backend},
        {{"DELETE", "/service/{service}/{backend}", "deleteBackend", "drain", true}, &Api::delete_backend},
        {{"PUT", "/service/{service}/{backend}/pulse", "pushPulse", ""}, &Api::push_pulse},
        {{"GET", "/config", "getConfig", ""}, &Api::get_config},
        {{"PUT", "/config", "putConfig", "force", true}, &Api::put_config},
        {{"POST", "/plan", "postPlan", ""}, &Api::plan},
        {{"GET", "/kernel", "getKernel", ""}, &Api::get_kernel},
        {{"POST", "/kernel/adopt", "adopt", ""}, &Api::adopt},
        {{"POST", "/reconcile", "reconcile", "force"}, &Api::reconcile},
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
    if (r.method == "OPTIONS" && r.path == "*") {
        Response out;
        out.status = 204;
        out.headers.emplace_back("Allow", router_.methods());
        respond(std::move(out));
        return;
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

// What every request that changes something must keep, before anybody reads it.
std::optional<Response> Api::refusal(const Call& call, const Route& route) const {
    if (route.method == "GET") return std::nullopt;
    const Request& r = *call.request;
    if (auto why = page_refusal(r.method, r.origin, context_.web_origins)) return error_response(403, *why);
    if (!route.conditional && (!r.if_match.empty() || r.if_none_match)) {
        return error_response(400,
                              "this request takes no condition, and would be done whatever If-Match or "
                              "If-None-Match says: leave them out");
    }
    if (route.method == "DELETE" && !r.body.empty()) {
        return error_response(400,
                              "DELETE takes no body, and would be done whatever that says; to wait for the "
                              "connections that are open: ?drain=30s");
    }
    if (route.method == "DELETE") return std::nullopt;
    if (r.body.empty() && route.method == "POST") return std::nullopt;
    if (route.method == "PATCH" && is_json_patch(r.content_type)) {
        Response out = error_response(415,
                                      "what PATCH takes here is a merge patch (RFC 7396), not a list of "
                                      "operations (RFC 6902)");
        out.headers.emplace_back("Accept-Patch", "application/merge-patch+json, application/json");
        return out;
    }
    if (is_json(r.content_type, r.body)) return std::nullopt;
    return error_response(415, "the body must be JSON (Content-Type: application/json); it is said to be " +
                                   shown(r.content_type));
}

// The worker is joined by who destroys this, so its jobs do not keep it.
void Api::on_worker(const Responder& respond, std::function<Response()> make) {
    const bool taken = workers_.submit([this, respond, make = std::move(make)] {
        respond(ending() ? error_response(503, stopping) : guarded(make));
    });
    if (!taken) respond(error_response(503, "too many long answers are being written at once; try again"));
}

void Api::on_worker_later(const Responder& respond, std::function<void()> work) {
    const bool taken = workers_.submit([this, respond, work = std::move(work)] {
        try {
            if (ending()) {
                respond(error_response(503, stopping));
            } else {
                work();
            }
        } catch (...) {
            respond(guarded([]() -> Response { throw; }));
        }
    });
    if (!taken) respond(error_response(503, "too many long requests are being read at once; try again"));
}

// ---- the daemon itself

void Api::root(Call&& call) {
    context_.control.schedulers([self = shared_from_this(), respond = std::move(call.respond)](
                                    const base::Result<std::vector<std::string>>& schedulers) {
        respond(guarded([&] {
            return json_response(1024, [&](base::JsonWriter& w) {
                write_root(w, self->context_.version, self->context_.control, schedulers);
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
        out.body = metrics_page(context_.control, context_.metrics, context_.version,
                                context_.loops_blocked ? context_.loops_blocked() : 0);
        return out;
    });
}

Handler make_api(Context context) {
    return [api = std::make_shared<Api>(std::move(context))](std::shared_ptr<const Request> request,
                                                             Responder respond) {
        api->serve(std::move(request), std::move(respond));
    };
}

bool takes_large_body(std::string_view method, std::string_view path) {
    return (method == "PUT" && path == "/config") || (method == "POST" && path == "/plan");
}

std::vector<Route> api_routes() {
    std::vector<Route> routes;
    for (const auto& entry : Api::table()) routes.push_back(entry.route);
    return routes;
}

}  // namespace gorb::rest
