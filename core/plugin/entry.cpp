#include "plugin/entry.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "gorb/sdk/accepts.hpp"
#include "plugin/text.h"

namespace gorb::plugin {
namespace {

using base::Errc;

namespace accepts = sdk::accepts;

// Enough to tell the version.
constexpr size_t entry_head = offsetof(gorb_entry, abi_minor) + sizeof(gorb_entry::abi_minor);

std::string too_small(const std::string& what, size_t is, size_t wanted) {
    return what + " is " + std::to_string(is) + " bytes and ABI 1.0 wants " + std::to_string(wanted) +
           " (is struct_size set?)";
}

bool good_plugin_name(const std::string& name) {
    return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

tl::unexpected<base::Error> refuse(std::string why) {
    return base::fail(Errc::unsupported, std::move(why));
}

base::Status read_pulse(const gorb_plugin& plugin, Plugin& out) {
    const auto* ops = static_cast<const gorb_pulse_ops*>(plugin.ops);
    if (ops->struct_size < accepts::pulse_ops)
        return refuse(too_small("its gorb_pulse_ops", ops->struct_size, accepts::pulse_ops));
    const std::pair<bool, const char*> wanted[] = {
        {ops->create != nullptr, "create"}, {ops->destroy != nullptr, "destroy"},
        {ops->add != nullptr, "add"},       {ops->remove != nullptr, "remove"},
        {ops->start != nullptr, "start"},   {ops->cancel != nullptr, "cancel"}};
    for (const auto& [there, name] : wanted) {
        if (!there) return refuse(std::string("its gorb_pulse_ops has no ") + name + "()");
    }
    auto args = read_options(ops->args);
    if (!args) return refuse("its table of arguments: " + args.error().sentence);
    out.args = std::move(*args);
    return {};
}

base::Result<Plugin> read_plugin(const gorb_plugin& plugin) {
    if (plugin.struct_size < accepts::plugin)
        return refuse(too_small("its gorb_plugin", plugin.struct_size, accepts::plugin));
    Plugin out;
    out.entry = &plugin;
    out.kind = text_of(plugin.kind, 64);
    out.name = text_of(plugin.name, 64);
    out.version = text_of(plugin.version, 64);
    out.summary = text_of(plugin.summary);
    if (!good_plugin_name(out.name)) return refuse("the name must be 1 to 32 characters of [a-z0-9-]");
    if (out.kind.empty()) return refuse("it names no kind");
    if (!plugin.ops) return refuse("it has no table of functions (ops is NULL)");
    if (out.kind != GORB_KIND_PULSE) {
        return refuse("this gorbd does not run plugins of kind " + out.kind + " (it runs " + GORB_KIND_PULSE +
                      ")");
    }
    auto options = read_options(plugin.options);
    if (!options) return refuse("its table of options: " + options.error().sentence);
    out.options = std::move(*options);
    if (auto pulse = read_pulse(plugin, out); !pulse) return base::fail(pulse.error());
    return out;
}

}  // namespace

base::Result<Offered> read_entry(const gorb_entry& entry, const std::filesystem::path& file) {
    if (entry.struct_size < entry_head)
        return refuse(too_small("gorb_plugin_entry", entry.struct_size, accepts::entry));
    // Before anything else: another major may mean another layout.
    if (entry.abi_major != GORB_ABI_MAJOR) {
        return refuse("it is built for ABI " + std::to_string(entry.abi_major) + "." +
                      std::to_string(entry.abi_minor) + ", this gorbd has ABI " +
                      std::to_string(GORB_ABI_MAJOR) + "." + std::to_string(GORB_ABI_MINOR));
    }
    if (entry.abi_minor > GORB_ABI_MINOR) {
        return refuse("it needs ABI " + std::to_string(entry.abi_major) + "." +
                      std::to_string(entry.abi_minor) + " or later, this gorbd has ABI " +
                      std::to_string(GORB_ABI_MAJOR) + "." + std::to_string(GORB_ABI_MINOR));
    }
    if (entry.struct_size < accepts::entry)
        return refuse(too_small("gorb_plugin_entry", entry.struct_size, accepts::entry));
    if (!entry.plugins) return refuse("it has no list of plugins (plugins is NULL)");
    Offered offered;
    for (size_t i = 0; entry.plugins[i]; ++i) {
        if (i == accepts::most_plugins)
            return refuse("its list of plugins has no end within " + std::to_string(accepts::most_plugins) +
                          " entries");
        auto plugin = read_plugin(*entry.plugins[i]);
        if (!plugin) {
            const bool named = entry.plugins[i]->struct_size >= accepts::plugin;
            const std::string name = named ? text_of(entry.plugins[i]->name, 64) : std::to_string(i + 1);
            offered.refused.push_back(
                {named ? name : "", "plugin \"" + name + "\": " + plugin.error().sentence});
            continue;
        }
        plugin->build = text_of(entry.build, 256);
        plugin->file = file;
        offered.plugins.push_back(std::move(*plugin));
    }
    if (offered.plugins.empty() && offered.refused.empty()) return refuse("its list of plugins is empty");
    return offered;
}

}  // namespace gorb::plugin
