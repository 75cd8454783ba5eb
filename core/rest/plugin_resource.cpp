#include "rest/plugin_resource.h"

namespace gorb::rest {
namespace {

void text_or_null(base::JsonWriter& out, std::string_view name, const std::optional<std::string>& text) {
    base::key(out, name);
    if (text) {
        base::value(out, *text);
    } else {
        out.Null();
    }
}

void write_options(base::JsonWriter& out, std::string_view name,
                   const std::vector<plugin::OptionSpec>& options) {
    base::key(out, name);
    out.StartArray();
    for (const auto& option : options) {
        out.StartObject();
        base::member(out, "name", option.name);
        base::member(out, "type", option.type_text());
        base::key(out, "required");
        out.Bool((option.flags & GORB_REQUIRED) != 0);
        base::key(out, "secret");
        out.Bool((option.flags & GORB_SECRET) != 0);
        text_or_null(out, "default", option.fallback);
        text_or_null(out, "range", option.range);
        base::member(out, "help", option.help);
        out.EndObject();
    }
    out.EndArray();
}

}  // namespace

void write_plugins(base::JsonWriter& out, std::span<const plugin::Plugin* const> plugins,
                   std::span<const plugin::Refused> refused) {
    out.StartObject();
    base::key(out, "plugins");
    out.StartArray();
    for (const plugin::Plugin* plugin : plugins) {
        out.StartObject();
        base::member(out, "name", plugin->name);
        base::member(out, "kind", plugin->kind);
        base::member(out, "version", plugin->version);
        base::member(out, "summary", plugin->summary);
        base::member(out, "file", plugin->file.native());
        base::member(out, "build", plugin->build);
        write_options(out, "options", plugin->options);
        write_options(out, "args", plugin->args);
        out.EndObject();
    }
    out.EndArray();
    base::key(out, "refused");
    out.StartArray();
    for (const auto& r : refused) {
        out.StartObject();
        base::member(out, "file", r.file.native());
        base::member(out, "reason", r.why);
        out.EndObject();
    }
    out.EndArray();
    out.EndObject();
}

}  // namespace gorb::rest
