// Inside of api.cpp, api_objects.cpp and api_state.cpp: the handlers of the routes, and what they share.
//
// Threads: see api.h. Handlers run on the server's loop; what they submit answers in a turn of the control or
// on the API's worker.
#pragma once
#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "io/workers.h"
#include "model/codec.h"
#include "rest/api.h"
#include "rest/backend_resource.h"
#include "rest/error.h"
#include "rest/request_headers.h"
#include "rest/route.h"
#include "rest/service_resource.h"
#include "rest/status_resource.h"

namespace gorb::rest {

// A service with more backends than this is written by a worker; up to it, writing costs less than handing
// over.
inline constexpr size_t many_backends = 256;

inline constexpr char stopping[] = "the daemon is stopping";

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
inline Response accepted(Response response) {
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
    base::Result<reconcile::Table> read_kernel() const;
    void adopt(Call&& call);
    void reconcile(Call&& call);
    Response events(const Call& call);

    // What takes long is not begun any more. [any]
    bool ending() const { return weak_from_this().expired() || (context_.ending && context_.ending()); }
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
    Response service_response(const model::ServiceEntry& service, Backends backends,
                              std::string_view note = "") const;
    Response backend_response(const model::Service& service, const model::BackendEntry& backend,
                              const BackendStatus& status) const;

    Context context_;
    Router router_;
    // Last: its jobs use what stands above.
    io::Workers workers_{1, 64, "rest-worker", io::Workers::Priority::gives_way};
};

template <class Change>
void Api::change(Call&& call, base::Result<Change> what, Show show) {
    if (!what) {
        call.respond(error_response(what.error()));
        return;
    }
    auto match = read_condition(call.request->if_match, call.request->if_none_match);
    if (!match) {
        call.respond(error_response(match.error()));
        return;
    }
    if constexpr (requires { what->match; }) what->match = std::move(*match);
    context_.control.submit(
        std::move(*what), [weak = weak_from_this(), respond = std::move(call.respond),
                           show = std::move(show)](const base::Result<control::Outcome>& outcome) {
            // Who is refused at once may be the worker: it does not keep what is destroyed by who joins it.
            const auto self = outcome ? weak.lock() : nullptr;
            if (self) {
                self->answer_change(respond, outcome, show);
            } else {
                respond(outcome ? error_response(503, stopping) : error_response(outcome.error()));
            }
        });
}

}  // namespace gorb::rest
