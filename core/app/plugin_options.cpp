#include "app/plugin_options.h"

#include <algorithm>
#include <set>

#include "base/json.h"
#include "io/loop.h"
#include "io/workers.h"
#include "plugin/metrics.h"
#include "plugin/pulse.h"

namespace gorb::app {

using base::Errc;

namespace {

// An .ini value as the JSON text that option tables read: the value itself for JSON options, else a string.
std::string json_text(const plugin::Plugin& plugin, const std::string& key, const std::string& words) {
    const auto option = std::ranges::find(plugin.options, key, &plugin::OptionSpec::name);
    if (option != plugin.options.end() && option->type == GORB_JSON) return words;
    std::string text;
    base::StringSink sink(text);
    base::JsonWriter writer(sink);
    base::value(writer, words);
    return text;
}

// What a complaint about a plugin's options begins with: where `key` stands, else all places of the section,
// and the section itself.
std::string section_text(const Settings& settings, const std::string& name, const std::string& key = "") {
    const std::string prefix = "plugin." + name + ".";
    std::set<std::string> found;
    for (const auto& [option, text] : settings.plugin_options.at(name)) {
        const auto place = settings.places.find(prefix + option);
        if (place != settings.places.end() && (key.empty() || key == option)) found.insert(place->second);
    }
    std::string out;
    for (const std::string& place : found) out += (out.empty() ? "" : ", ") + place;
    return out + (out.empty() ? "" : ": ") + "[plugin." + name + "]: ";
}

// May a plugin of this name be one that is refused? A start goes on without it, so it does without its
// options. A library has any file name, and may have several plugins: of one that can not be read nobody
// knows which.
bool may_be_refused(const plugin::Registry& registry, const std::string& name) {
    return std::ranges::any_of(registry.refused(), [&](const plugin::Refused& refused) {
        return refused.name.empty() || refused.name == name;
    });
}

}  // namespace

base::Result<health::PulseOptions> pulse_options(const plugin::Registry& registry, const Settings& settings) {
    health::PulseOptions found;
    for (const auto& [name, given] : settings.plugin_options) {
        const plugin::Plugin* plugin = registry.pulse(name);
        if (!plugin && may_be_refused(registry, name)) continue;
        if (!plugin) {
            return base::fail(Errc::invalid,
                              section_text(settings, name) +
                                  "no plugin of that name is loaded; gorbd --plugins lists them");
        }
        std::map<std::string, std::string> values;
        for (const auto& [key, words] : given) values.emplace(key, json_text(*plugin, key, words));
        auto config = plugin::Config::make(plugin->options, values);
        if (!config) {
            if (config.error().faults.empty())
                return base::fail(Errc::invalid, section_text(settings, name) + config.error().sentence);
            const base::Fault& fault = config.error().faults.front();
            const std::string key = fault.pointer.substr(fault.pointer.starts_with("/") ? 1 : 0);
            return base::fail(Errc::invalid, section_text(settings, name, key) + key + " " + fault.what);
        }
        found.emplace(name, std::move(*config));
    }
    return found;
}

std::vector<std::string> option_warnings(const plugin::Registry& registry, const Settings& settings) {
    std::vector<std::string> warnings;
    for (const auto& [name, given] : settings.plugin_options) {
        if (registry.pulse(name) || !may_be_refused(registry, name)) continue;
        warnings.push_back(
            section_text(settings, name) +
            "no plugin of that name is loaded. It may be one of those that are refused, so this "
            "is passed over");
    }
    for (const plugin::Plugin* plugin : registry.plugins()) {
        if (settings.plugin_options.contains(plugin->name)) continue;
        if (auto usable = health::instance_options(*plugin, {}); !usable)
            warnings.push_back(usable.error().sentence + ". Backends with this pulse can not be checked");
    }
    return warnings;
}

base::Status check_directories(const Settings& settings) {
    for (const std::filesystem::path& directory : settings.plugin_directories) {
        std::error_code error;
        if (std::filesystem::is_directory(directory, error)) continue;
        const auto place = settings.places.find("plugins.directories");
        return base::fail(Errc::invalid, (place == settings.places.end() ? "" : place->second + ": ") +
                                             "plugins.directories: " + directory.string() +
                                             (error && error != std::errc::no_such_file_or_directory
                                                  ? " can not be looked at: " + error.message()
                                                  : " is no folder"));
    }
    return {};
}

base::Status try_options(const plugin::Registry& registry, const Settings& settings,
                         const health::PulseOptions& options) {
    io::Loop loop("trial");
    io::Workers workers(1, 1);
    plugin::Metrics metrics;
    for (const auto& [name, config] : options) {
        const auto made = plugin::PulseInstance::create(*registry.pulse(name), config, loop, workers, metrics,
                                                        [](auto, const auto&) {});
        if (!made) return base::fail(Errc::invalid, section_text(settings, name) + made.error().sentence);
    }
    return {};
}

}  // namespace gorb::app
