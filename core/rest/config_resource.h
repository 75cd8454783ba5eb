// The desired state as one document, what a change of it would do or has done, and what happened: as JSON.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "control/control.h"
#include "model/config.h"
#include "model/snapshot.h"

namespace gorb::rest {

// {"revision": 7, "services": {...}}: what PUT /config reads back.
void write_config(base::JsonWriter& out, const model::Snapshot& snapshot);
// What is to be said of those objects of declarative files that `config`, in place of `now`, would remove; ""
// when it has all of them.
std::string note_on_removed(const model::Snapshot& now, const model::Config& config);
// {"etag": "...", "added": 1, "changed": 2, "removed": 3, "refused": 0}, and `note` unless it is "".
void write_counts(base::JsonWriter& out, const control::Counts& counts, const std::string& etag,
                  const std::string& note);
// {"added", "changed", "removed", "objects": [{"action", "service", "backend"}], "operations": [...],
// "guard": ""}
void write_preview(base::JsonWriter& out, const control::Preview& preview);
// {"services", "drift", "added", "edited", "removed", "refused"}
void write_round(base::JsonWriter& out, const control::SyncCounts& counts);
// {"events": [{"number", "at", "kind", "entry", "before", "after", "text"}]}
void write_events(base::JsonWriter& out, const std::vector<control::Event>& events);

}  // namespace gorb::rest
