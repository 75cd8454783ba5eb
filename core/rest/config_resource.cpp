#include "rest/config_resource.h"

#include <algorithm>

#include "base/clock.h"
#include "control/words.h"

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

std::string note_on_removed(const model::Snapshot& now, const model::Config& config) {
    std::string first, sentence;
    size_t count = 0;
    const auto goes = [&](const model::ServiceEntry& service, const std::string& what) {
        if (count++ > 0) return;
        first = what;
        sentence = control::comes_back(service).value_or("");
    };
    now.services.for_each([&](const std::string& name, const model::ServicePtr& service) {
        if (!control::comes_back(*service)) return;
        const auto by_name = [](const model::ConfigService& s) -> const std::string& { return s.spec.name; };
        const auto stays = std::ranges::lower_bound(config.services, name, {}, by_name);
        if (stays == config.services.end() || stays->spec.name != name) {
            goes(*service, control::words(name));
            return;
        }
        service->backends.for_each([&](const std::string& backend, const model::BackendPtr&) {
            if (!std::ranges::binary_search(stays->backends, backend, {}, &model::Backend::name))
                goes(*service, control::words(name, backend));
        });
    });
    if (count == 0) return "";
    if (count > 1) first += " (and " + std::to_string(count - 1) + " more)";
    return first + ": " + sentence;
}

void write_counts(base::JsonWriter& out, const control::Counts& counts, const std::string& etag,
                  const std::string& note) {
    out.StartObject();
    base::member(out, "etag", etag);
    counts_of(out, counts);
    base::member(out, "refused", counts.refused);
    if (!note.empty()) base::member(out, "note", note);
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
