#include "control/rows.h"

#include <algorithm>

#include "store/transitions.h"

namespace gorb::control {
namespace {

using Kind = Step::Kind;

void all_of(const model::ServiceEntry& service, std::vector<store::Leaving>& out) {
    out.push_back({service.spec.key, {}, true});
    service.backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
        out.push_back({service.spec.key, backend->spec.address, true});
    });
}

}  // namespace

bool moves(const Step& step) {
    return step.kind == Kind::put_backend && step.old_backend &&
           step.old_backend->spec.address != step.backend_row->spec.address;
}

bool rekeys(const Step& step) {
    return step.kind == Kind::put_service && step.old_service &&
           step.old_service->spec.key != step.service_row->spec.key;
}

model::Snapshot after(const model::Snapshot& now, const Step& step) {
    switch (step.kind) {
        case Kind::put_service:
            return store::with_service(now, *step.service_row);
        case Kind::put_backend:
            return store::with_backend(now, step.service, step.backend_row);
        case Kind::drop_service:
            return store::without_service(now, step.service, step.revision);
        case Kind::drop_backend:
            return store::without_backend(now, step.service, step.backend, step.revision);
    }
    return now;
}

std::vector<store::Leaving> leaving_of(const Step& step) {
    std::vector<store::Leaving> out;
    const bool gone = step.kind == Kind::drop_service || step.kind == Kind::drop_backend;
    if (step.kind == Kind::put_service || step.kind == Kind::drop_service) {
        if (step.old_service && (gone || rekeys(step))) all_of(*step.old_service, out);
    } else if (step.old_backend && (gone || moves(step))) {
        out.push_back({step.old_service->spec.key, step.old_backend->spec.address, true});
    }
    return out;
}

void write(store::Write& out, const Step& step) {
    out.revision = std::max(out.revision, step.revision);
    for (const store::Leaving& entry : leaving_of(step)) out.leaving.push_back(entry);
    switch (step.kind) {
        case Kind::put_service:
            out.put_services.push_back(step.service_row);
            out.left.push_back({step.service_row->spec.key, {}});
            break;
        case Kind::put_backend:
            out.put_backends.emplace_back(step.service, step.backend_row);
            if (moves(step))
                out.health.emplace_back(store::BackendName{step.service, step.backend}, store::Health{});
            break;
        case Kind::drop_service:
            out.drop_services.push_back(step.service);
            break;
        case Kind::drop_backend:
            out.drop_backends.push_back({step.service, step.backend});
            break;
    }
}

void unwrite(store::Write& out, const Step& step) {
    out.revision = std::max(out.revision, step.revision);
    for (const store::Leaving& entry : leaving_of(step)) out.left.push_back(entry);
    if (step.kind == Kind::put_service || step.kind == Kind::drop_service) {
        if (!step.old_service) {
            out.drop_services.push_back(step.service);
            return;
        }
        out.put_services.push_back(step.old_service);
        if (step.kind == Kind::put_service) return;
        step.old_service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            out.put_backends.emplace_back(step.service, backend);
        });
    } else if (step.old_backend) {
        out.put_backends.emplace_back(step.service, step.old_backend);
    } else {
        out.drop_backends.push_back({step.service, step.backend});
    }
}

}  // namespace gorb::control
