// Services and backends: the handlers of their routes.
#include <utility>

#include "control/words.h"
#include "rest/api_impl.h"

namespace gorb::rest {
namespace {

base::Error no_service(const std::string& name) {
    return {base::Errc::not_found, "there is no service \"" + name + "\"", {}, 0};
}

}  // namespace

// ---- services and backends, as they are

Response Api::service_response(const model::ServiceEntry& service, Backends backends,
                               std::string_view note) const {
    const size_t each = backends == Backends::names ? 24 : 1024;
    Response out = json_response(512 + service.backends.size() * each, [&](base::JsonWriter& w) {
        write_service(w, context_.control, service, backends, note);
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
    if ((*service)->backends.size() > many_backends) {
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

// In a turn of the control: what takes long is a worker's, unless too much waits for that one already. What
// has been done is never refused: that would say that it has not.
void Api::answer_change(const Responder& respond, const base::Result<control::Outcome>& outcome,
                        const Show& show) {
    if (!outcome) {
        respond(error_response(outcome.error()));
        return;
    }
    const bool is_long =
        !outcome->backend && outcome->service && outcome->service->backends.size() > many_backends;
    if (is_long &&
        workers_.submit([respond, show, o = *outcome] { respond(guarded([&] { return show(o); })); }))
        return;
    respond(guarded([&] { return show(*outcome); }));
}

Api::Show Api::show_service() const {
    return [this](const control::Outcome& o) {
        return service_response(*o.service, Backends::names, control::is_said_again(*o.service).value_or(""));
    };
}

Api::Show Api::show_backend() const {
    return [this](const control::Outcome& o) {
        BackendStatus status = status_of(context_.control, o.service->spec, *o.backend);
        status.note = control::is_said_again(*o.service).value_or("");
        return backend_response(o.service->spec, *o.backend, status);
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
    std::optional<ServiceStatus> was;
    const model::SnapshotPtr snapshot = context_.control.snapshot();
    if (const auto* service = snapshot->services.find(call.service()))
        was = status_of(context_.control, **service);
    base::Result<control::DeleteService> gone{{call.service(), {}, call.query.drain}};
    change(std::move(call), std::move(gone), [this, was](const control::Outcome& o) {
        if (o.later) return accepted(service_response(*o.service, Backends::names));
        return json_response(512 + o.service->backends.size() * 24, [&](base::JsonWriter& w) {
            write_service(w, context_.control, *o.service, Backends::names,
                          control::comes_back(*o.service).value_or(""), was ? &*was : nullptr);
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
        const std::string note(control::comes_back(*o.service).value_or(""));
        if (o.later) {
            BackendStatus now = status_of(context_.control, o.service->spec, *o.backend);
            now.note = note;
            return accepted(backend_response(o.service->spec, *o.backend, now));
        }
        BackendStatus unseen;
        unseen.weight.configured = o.backend->spec.weight;
        unseen.weight.why = "the backend is gone";
        BackendStatus was = status.value_or(unseen);
        was.note = note;
        Response out = backend_response(o.service->spec, *o.backend, was);
        out.etag.clear();  // of nothing that is there
        return out;
    });
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

}  // namespace gorb::rest
