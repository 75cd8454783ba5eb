#include "app/plugin_options.h"

#include <algorithm>

#include "base/json.h"

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

}  // namespace

base::Result<health::PulseOptions> pulse_options(const plugin::Registry& registry, const Settings& settings) {
    health::PulseOptions found;
    for (const auto& [name, given] : settings.plugin_options) {
        const std::string section = "[plugin." + name + "]";
        const plugin::Plugin* plugin = registry.pulse(name);
        if (!plugin) {
            return base::fail(Errc::invalid,
                              section + ": no plugin of that name is loaded; gorbd --plugins lists them");
        }
        std::map<std::string, std::string> values;
        for (const auto& [key, words] : given) values.emplace(key, json_text(*plugin, key, words));
        auto config = plugin::Config::make(plugin->options, values);
        if (!config) {
            std::string sentence = section + ": ";
            if (config.error().faults.empty()) {
                sentence += config.error().sentence;
            } else {
                const base::Fault& fault = config.error().faults.front();
                sentence += fault.pointer.substr(fault.pointer.starts_with("/") ? 1 : 0);
                sentence += " ";
                sentence += fault.what;
            }
            return base::fail(Errc::invalid, sentence);
        }
        found.emplace(name, std::move(*config));
    }
    return found;
}

}  // namespace gorb::app
