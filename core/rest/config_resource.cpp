#include "rest/config_resource.h"

#include "base/clock.h"
#include "model/config.h"

namespace gorb::rest {
namespace {

void counts_of(base::JsonWriter& out, const control::Counts& counts) {
    base::member(out, "added", counts.added);
    base::member(out, "changed", counts.changed);
    base::member(out, "removed", counts.removed);
}

}  // namespace

void write_config(base::JsonWriter& out, const model::Snapshot& snapshot) {
    out.StartObject();
    base::member(out, "revision", snapshot.revision);
    model::write_config_services(out, snapshot);
    out.EndObject();
}

void write_counts(base::JsonWriter& out, const control::Counts& counts, const std::string& etag) {
    out.StartObject();
    base::member(out, "etag", etag);
    counts_of(out, counts);
    base::member(out, "refused", counts.refused);
    out.EndObject();
}

void write_preview(base::JsonWriter& out, const control::Preview& preview) {
    out.StartObject();
    counts_of(out, preview.counts);
    base::key(out, "objects");
    out.StartArray();
    for (const auto& object : preview.objects) {
        out.StartObject();
        base::member(out, "action", object.action);
        base::member(out, "service", object.service);
        if (!object.backend.empty()) base::member(out, "backend", object.backend);
        out.EndObject();
    }
    out.EndArray();
    base::key(out, "operations");
    out.StartArray();
    for (const std::string& operation : preview.operations) base::value(out, operation);
    out.EndArray();
    base::member(out, "guard", preview.guard);
    out.EndObject();
}

void write_round(base::JsonWriter& out, const control::SyncCounts& counts) {
    out.StartObject();
    base::member(out, "services", counts.services);
    base::member(out, "drift", counts.drift);
    base::member(out, "added", counts.added);
    base::member(out, "edited", counts.edited);
    base::member(out, "removed", counts.removed);
    base::member(out, "refused", counts.refused);
    out.EndObject();
}

void write_events(base::JsonWriter& out, const std::vector<control::Event>& events) {
    out.StartObject();
    base::key(out, "events");
    out.StartArray();
    for (const control::Event& event : events) {
        out.StartObject();
        base::member(out, "number", event.number);
        base::member(out, "at", base::wall_text(event.wall));
        base::member(out, "kind", event.kind);
        base::member(out, "entry", event.entry);
        base::member(out, "before", event.before);
        base::member(out, "after", event.after);
        base::member(out, "text", event.text);
        out.EndObject();
    }
    out.EndArray();
    out.EndObject();
}

}  // namespace gorb::rest
