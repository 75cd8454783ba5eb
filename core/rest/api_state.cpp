// The desired state as a whole, the kernel's table, and what was found and done: the handlers of their
// routes.
#include <memory>
#include <utility>

#include "model/config.h"
#include "rest/api_impl.h"
#include "rest/config_resource.h"
#include "rest/kernel_resource.h"

namespace gorb::rest {

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
        std::string note;
        auto put = model::read_config(call->request->body, defaults())
                       .map([&, force = call->query.force](model::Config&& config) {
                           note = note_on_removed(*context_.control.snapshot(), config);
                           return control::PutConfig{std::move(config), {}, force};
                       });
        if (ending()) {  // that may have taken long
            call->respond(error_response(503, stopping));
            return;
        }
        change(std::move(*call), std::move(put), [this, note](const control::Outcome& o) {
            std::string notes = o.counts.removed > 0 ? note : "";
            if (!notes.empty() && !o.note.empty()) notes += "; ";
            notes += o.note;
            Response out = json_response(512, [&](base::JsonWriter& w) {
                write_counts(w, o.counts, context_.control.etag(o.snapshot->revision), notes);
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

// Whose what is, is asked before the table is read and after that: changes go on meanwhile.
void Api::get_kernel(Call&& call) {
    using Whose = base::Result<control::Ownership>;
    context_.control.ownership(
        [self = shared_from_this(), respond = std::move(call.respond)](const Whose& before) {
            if (!before) {
                respond(error_response(before.error()));
                return;
            }
            // The worker is joined before the API goes, so its jobs do not keep that; nor does what they ask.
            self->on_worker_later(respond, [api = self.get(), respond, before = *before] {
                const auto reading = std::make_shared<KernelReading>(
                    KernelReading{before, api->context_.control.wanted(*before.snapshot), {}});
                auto table = api->read_kernel();
                if (!table) {
                    respond(error_response(table.error()));
                    return;
                }
                reading->table = std::move(*table);
                api->context_.control.ownership(
                    [weak = api->weak_from_this(), respond, reading](const Whose& after) {
                        const auto still = weak.lock();
                        if (!after || !still) {
                            respond(after ? error_response(503, stopping) : error_response(after.error()));
                            return;
                        }
                        still->on_worker(respond, [api = still.get(), reading, after = *after] {
                            return kernel_response(api->context_.control, *reading, after);
                        });
                    });
            });
        });
}

base::Result<reconcile::Table> Api::read_kernel() const {
    if (context_.read_kernel) return context_.read_kernel();
    return base::fail(base::Errc::unavailable, "the kernel's table can not be read here");
}

void Api::adopt(Call&& call) {
    auto adopt = read_adopt(call.request->body);
    if (!adopt) {
        call.respond(error_response(adopt.error()));
        return;
    }
    context_.control.submit(std::move(*adopt), [self = shared_from_this(), respond = std::move(call.respond)](
                                                   const base::Result<control::Outcome>& outcome) {
        self->answer_change(respond, outcome, [self = self.get()](const control::Outcome& o) {
            return self->service_response(*o.service, Backends::names, o.note);
        });
    });
}

void Api::reconcile(Call&& call) {
    if (!call.request->body.empty()) {
        call.respond(error_response(400, "POST /reconcile looks at everything and takes no body"));
        return;
    }
    context_.control.reconcile(
        [respond = std::move(call.respond)](const base::Result<control::SyncCounts>& counts) {
            respond(guarded([&] {
                if (!counts) return error_response(counts.error());
                return json_response(256, [&](base::JsonWriter& w) { write_round(w, *counts); });
            }));
        },
        call.query.force);
}

Response Api::events(const Call& call) {
    const auto events = context_.control.events(call.query.after);
    return json_response(64 + 256 * events.size(), [&](base::JsonWriter& w) { write_events(w, events); });
}

}  // namespace gorb::rest
