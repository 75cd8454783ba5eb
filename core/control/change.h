// What can be asked of the desired state, and what comes of it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "ipvs/driver.h"
#include "model/config.h"
#include "model/snapshot.h"

namespace gorb::control {

// The condition of an If-Match header, or of If-None-Match (RFC 9110, 13.1.1 and 13.1.2).
struct Match {
    bool any = false;               // "*"
    std::vector<std::string> tags;  // entity tags without quotes
    bool absent = false;            // "*" of If-None-Match: nothing has the name
};

// `adopt`: a kernel entry with this address that gorb did not make is taken over instead of being in the way.
struct PutService {
    model::Service service;
    std::optional<Match> match;
    bool adopt = false;
};
struct PutBackend {
    std::string service;
    model::Backend backend;
    std::optional<Match> match;
    bool adopt = false;
};
struct PatchService {
    std::string service;
    std::string body;  // JSON text
    std::optional<Match> match;
};
struct PatchBackend {
    std::string service, backend;
    std::string body;
    std::optional<Match> match;
};
// `drain`: how long to wait for the connections to end; 0: not at all. Then it is drained first, and goes
// when none is left or the time is over.
struct DeleteService {
    std::string service;
    std::optional<Match> match;
    base::Nanos drain{0};
};
struct DeleteBackend {
    std::string service, backend;
    std::optional<Match> match;
    base::Nanos drain{0};
};
// A service that is being removed stays, since none of its backends leaves any more: what the control itself
// makes of that.
struct KeepService {
    std::string service;
};

// The whole desired state becomes this. `match` is of the state as a whole.
struct PutConfig {
    model::Config config;
    std::optional<Match> match;
    bool force = false;  // past the guard against mass deletion
};
// The same for the services of Origin::file alone.
struct Declare {
    model::Config config;
    bool force = false;
};
// A virtual service of the kernel that is not ours, with all its destinations, becomes one.
struct Adopt {
    ipvs::ServiceKey key;
    std::string name;                             // "" for one made of the key
    std::optional<model::PulseList> pulses = {};  // of its backends; else pulses_for_found()
};

using Change = std::variant<PutService, PutBackend, PatchService, PatchBackend, DeleteService, DeleteBackend,
                            KeepService, PutConfig, Declare, Adopt>;

// The names of the service and of the backend that a change is about, "" for changes of many; the latter is
// "" for changes of a service.
const std::string& service_name(const Change& change);
const std::string& backend_name(const Change& change);
// Is it of a single backend?
bool concerns_a_backend(const Change& change);
// Does it stand alone in its batch?
bool concerns_many(const Change& change);

// How many objects a change of many has made, changed and removed.
struct Counts {
    size_t added = 0, changed = 0, removed = 0;
    size_t refused = 0;  // by the kernel: they are tried again
};

// What became of a change. For a deletion, the object as it was.
struct Outcome {
    model::SnapshotPtr snapshot;  // the state with the change in it
    model::ServicePtr service;    // null for PutConfig and Declare
    model::BackendPtr backend;    // null for changes of a service
    bool changed = false;         // false: it was so already
    bool later = false;           // a deletion that waits for connections has begun
    Counts counts;                // of PutConfig, Declare and Adopt
    // Of PutConfig: what was not done as the document says; of Adopt: note_on_adopted(). "" for nothing.
    std::string note;
};

using Done = std::function<void(base::Result<Outcome>)>;

}  // namespace gorb::control
