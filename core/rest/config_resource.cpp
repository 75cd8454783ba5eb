#include "rest/config_resource.h"

#include "base/clock.h"
#include "model/config.h"

namespace gorb::rest {
namespace {

void number(base::JsonWriter& out, std::string_view key, uint64_t value) {
    base::key(out, key);
    out.Uint64(value);
}

void text(base::JsonWriter& out, std::string_view key, std::string_view value) {
    base::key(out, key);
    base::value(out, value);
}

void counts_of(base::JsonWriter& out, const control::Counts& counts) {
    number(out, "added", counts.added);
    number(out, "changed", counts.changed);
    number(out, "removed", counts.removed);
}

}  // namespace

void write_config(base::JsonWriter& out, const model::Snapshot& snapshot) {
    out.StartObject();
    number(out, "revision", snapshot.revision);
    model::write_config_services(out, snapshot);
    out.EndObject();
}

void write_counts(base::JsonWriter& out, const control::Counts& counts, const std::string& etag) {
    out.StartObject();
    text(out, "etag", etag);
    counts_of(out, counts);
    number(out, "refused", counts.refused);
    out.EndObject();
}

void write_preview(base::JsonWriter& out, const control::Preview& preview) {
    out.StartObject();
    counts_of(out, preview.counts);
    base::key(out, "objects");
    out.StartArray();
    for (const auto& object : preview.objects) {
        out.StartObject();
        text(out, "action", object.action);
        text(out, "service", object.service);
        if (!object.backend.empty()) text(out, "backend", object.backend);
        out.EndObject();
    }
    out.EndArray();
    base::key(out, "operations");
    out.StartArray();
    for (const std::string& operation : preview.operations) base::value(out, operation);
    out.EndArray();
    text(out, "guard", preview.guard);
    out.EndObject();
}

void write_round(base::JsonWriter& out, const control::SyncCounts& counts) {
    out.StartObject();
    number(out, "services", counts.services);
    number(out, "drift", counts.drift);
    number(out, "added", counts.added);
    number(out, "edited", counts.edited);
    number(out, "removed", counts.removed);
    number(out, "refused", counts.refused);
    out.EndObject();
}

void write_events(base::JsonWriter& out, const std::vector<control::Event>& events) {
    out.StartObject();
    base::key(out, "events");
    out.StartArray();
    for (const control::Event& event : events) {
        out.StartObject();
        number(out, "number", event.number);
        text(out, "at", base::wall_text(event.wall));
        text(out, "kind", event.kind);
        text(out, "entry", event.entry);
        text(out, "before", event.before);
        text(out, "after", event.after);
        text(out, "text", event.text);
        out.EndObject();
    }
    out.EndArray();
    out.EndObject();
}

}  // namespace gorb::rest
