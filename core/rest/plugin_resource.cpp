#include "rest/plugin_resource.h"

namespace gorb::rest {
namespace {

void member(base::JsonWriter& out, std::string_view name, std::string_view text) {
    base::key(out, name);
    base::value(out, text);
}

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
        member(out, "name", option.name);
        member(out, "type", option.type_text());
        base::key(out, "required");
        out.Bool((option.flags & GORB_REQUIRED) != 0);
        base::key(out, "secret");
        out.Bool((option.flags & GORB_SECRET) != 0);
        text_or_null(out, "default", option.fallback);
        text_or_null(out, "range", option.range);
        member(out, "help", option.help);
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
        member(out, "name", plugin->name);
        member(out, "kind", plugin->kind);
        member(out, "version", plugin->version);
        member(out, "summary", plugin->summary);
        member(out, "file", plugin->file.native());
        member(out, "build", plugin->build);
        write_options(out, "options", plugin->options);
        write_options(out, "args", plugin->args);
        out.EndObject();
    }
    out.EndArray();
    base::key(out, "refused");
    out.StartArray();
    for (const auto& r : refused) {
        out.StartObject();
        member(out, "file", r.file.native());
        member(out, "reason", r.why);
        out.EndObject();
    }
    out.EndArray();
    out.EndObject();
}

}  // namespace gorb::rest
