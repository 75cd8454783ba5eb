// What a change means for the desired state: the steps to take, and the rows that make them durable.
//
// Nothing is changed here; a change that is not allowed comes back as its Error. Functions of their
// arguments, but for the check() of the pulses' plugins.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/change.h"
#include "control/pulse_pool.h"
#include "model/snapshot.h"

namespace gorb::control {

// One object of the desired state before and after.
struct Step {
    enum class Kind : uint8_t { put_service, put_backend, drop_service, drop_backend };
    Kind kind{};
    std::string service, backend;  // names; backend is "" for steps of a service
    // As it is to be: null for drops. A service's row has no backends in it.
    model::ServicePtr service_row;
    model::BackendPtr backend_row;
    // Of put_backend. Null: it is to be checked as before, and can not be, because its plugin is missing.
    std::shared_ptr<const Pulses> pulses;
    // As it was, null for what is new. Of steps of a backend the service as it was, null where that is new
    // too.
    model::ServicePtr old_service;
    model::BackendPtr old_backend;
    uint64_t revision = 0;
    bool adopt = false;
};

struct Resolved {
    std::vector<Step> steps;       // none: the state is so already
    std::string service, backend;  // of changes of one object
    bool deletion = false;
    bool later = false;  // a deletion that waits
    bool many = false;   // refusals of the kernel are not undone but tried again
    std::string log;     // "virtual service created"
    std::string note;    // Outcome::note
    Counts counts;
};

// What a change is checked against.
struct Present {
    const model::Snapshot& snapshot;
    std::function<base::Result<std::shared_ptr<const Pulses>>(const model::PulseList&)> pulses;
    std::function<std::string(uint64_t revision)> etag;
    std::function<model::BackendId()> new_id;
    std::function<uint64_t()> new_revision;
    int64_t wall;  // now, ns
    // Of a service that is to be new: is its key in the kernel, and not ours.
    // An error: it can not be said.
    std::function<base::Result<bool>(const model::ServiceKey&)> foreign;
    // Of a backend that is to be new in a service of ours: the same.
    std::function<base::Result<bool>(const model::ServiceKey&, const base::Endpoint&)> foreign_backend;
    // Of a service, or a backend in one, that is to be taken over: what it has that gorb has no word for, ""
    // where there is none such.
    std::function<base::Result<std::string>(const model::ServiceKey&, const std::optional<base::Endpoint>&)>
        unspoken;
    // In a service with fewer backends than this to look for one costs little beside what making it durable
    // costs; 0: nothing is made durable.
    size_t few = 0;
    // Of Adopt: what the kernel has. Errc::not_found if there is none.
    std::function<base::Result<model::ConfigService>(const Adopt&)> found;
};

base::Result<Resolved> resolve(const Change& change, const Present& present);

}  // namespace gorb::control
