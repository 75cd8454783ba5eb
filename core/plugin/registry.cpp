#include "plugin/registry.h"

#ifndef BOOST_DLL_USE_STD_FS
#define BOOST_DLL_USE_STD_FS
#endif
#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <exception>
#include <list>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "plugin/entry.h"
#include "plugin/text.h"
#include "plugin/trial.h"

namespace gorb::plugin {
namespace {

namespace fs = std::filesystem;

// Libraries that were opened once stay mapped to the end of the process, also those that are refused:
// dlclose() is not dependable (thread-locals, unique symbols), and opening a replaced file again would give
// the old code.
boost::dll::shared_library& keep(boost::dll::shared_library library) {
    static std::mutex mutex;
    static auto* const all = new std::list<boost::dll::shared_library>;  // never destroyed
    std::lock_guard lock(mutex);
    return all->emplace_back(std::move(library));
}

// The loader's own words out of what Boost wraps around them.
std::string loader_words(std::string what) {
    constexpr std::string_view before = "dlerror system message: ";
    if (const size_t at = what.find(before); at != std::string::npos) what.erase(0, at + before.size());
    if (const size_t after = what.rfind("): "); after != std::string::npos) what.erase(after);
    return clean_text(what, 1024);
}

base::Result<const gorb_entry*> open(const fs::path& file) {
    const auto refuse = [](const std::string& why) {
        return base::fail(base::Errc::unsupported, "can not be loaded: " + loader_words(why));
    };
    if (auto survived = try_library(file); !survived) return base::fail(survived.error());
    try {
        // Now and not on first use: a symbol that is missing shall show here.
        auto& library = keep(boost::dll::shared_library(file, boost::dll::load_mode::rtld_now));
        if (!library.has(entry_symbol))
            return base::fail(base::Errc::unsupported, std::string("does not export ") + entry_symbol);
        return &library.get<const gorb_entry>(entry_symbol);
    } catch (const std::exception& e) {
        return refuse(e.what());
    } catch (...) {
        return refuse("something in it threw that is no std::exception");
    }
}

base::Status call_load(const gorb_entry& entry) {
    if (!entry.load) return {};
    gorb_error error{};
    try {
        const int32_t rc = entry.load(&error);
        if (rc == 0) return {};
        return base::fail(base::Errc::unavailable,
                          "its load() failed: " + words_of(error, "error " + std::to_string(rc)));
    } catch (const std::exception& e) {
        return base::fail(base::Errc::unavailable, "its load() threw: " + clean_text(e.what(), 256));
    } catch (...) {
        return base::fail(base::Errc::unavailable, "its load() threw something that is no std::exception");
    }
}

std::vector<fs::path> libraries_in(const fs::path& directory, std::error_code& error) {
    std::vector<fs::path> files;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
        if (it->path().extension() == ".so") files.push_back(it->path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

struct Registry::Impl {
    void load_file(const fs::path& file);
    void refuse(const fs::path& file, const std::string& why, const std::string& name = "") {
        refused.push_back({file, why, name});
    }

    std::map<std::pair<std::string, std::string>, std::unique_ptr<const Plugin>> plugins;  // by kind and name
    std::vector<Refused> refused;
    std::vector<std::pair<fs::path, void (*)()>>
        unloads;  // of the libraries whose load() went well, in that order
    std::set<fs::path> seen;
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}

Registry::~Registry() {
    unload();
}

void Registry::Impl::load_file(const fs::path& file) {
    const auto entry = open(file);
    if (!entry) return refuse(file, entry.error().sentence);
    auto offered = read_entry(**entry, file);
    if (!offered) return refuse(file, offered.error().sentence);
    for (const Offered::Bad& bad : offered->refused) refuse(file, bad.why, bad.name);
    std::map<std::pair<std::string, std::string>, std::unique_ptr<const Plugin>> fresh;
    for (Plugin& plugin : offered->plugins) {
        auto key = std::pair(plugin.kind, plugin.name);
        const auto known = plugins.find(key);
        if (known != plugins.end() || fresh.contains(key)) {
            const Plugin& first = known != plugins.end() ? *known->second : *fresh.at(key);
            refuse(file,
                   "plugin \"" + plugin.name + "\", version " + plugin.version +
                       ": there is one of this name already, which is used: version " + first.version +
                       ", from " + first.file.string(),
                   plugin.name);
            continue;
        }
        fresh.emplace(std::move(key), std::make_unique<const Plugin>(std::move(plugin)));
    }
    if (fresh.empty()) return;
    if (auto loaded = call_load(**entry); !loaded) return refuse(file, loaded.error().sentence);
    unloads.emplace_back(file, (*entry)->unload);
    for (const auto& [key, plugin] : fresh) {
        base::log_debug("plugin loaded", {{"kind", plugin->kind},
                                          {"name", plugin->name},
                                          {"version", plugin->version},
                                          {"file", file.string()}});
    }
    plugins.merge(fresh);
}

void Registry::load(const std::vector<fs::path>& directories) {
    for (const fs::path& directory : directories) {
        std::error_code error;
        const auto files = libraries_in(directory, error);
        if (error) {
            impl_->refuse(directory, "can not read this directory of plugins: " + error.message());
            continue;
        }
        for (const fs::path& file : files) {
            // The same file by another way (a link, a directory named twice) is nothing to complain about.
            std::error_code none;
            const fs::path real = fs::canonical(file, none);
            if (!none && !impl_->seen.insert(real).second) continue;
            impl_->load_file(file);
        }
    }
}

void Registry::unload() {
    for (auto it = impl_->unloads.rbegin(); it != impl_->unloads.rend(); ++it) {
        if (!it->second) continue;
        try {
            it->second();
        } catch (...) {
            base::log_error("unload() of a plugin library threw an exception",
                            {{"file", it->first.string()}});
        }
    }
    impl_->unloads.clear();
}

std::vector<const Plugin*> Registry::plugins() const {
    std::vector<const Plugin*> all;
    all.reserve(impl_->plugins.size());
    for (const auto& [key, plugin] : impl_->plugins) all.push_back(plugin.get());
    return all;
}

const std::vector<Refused>& Registry::refused() const {
    return impl_->refused;
}

const Plugin* Registry::pulse(const std::string& name) const {
    const auto it = impl_->plugins.find({GORB_KIND_PULSE, name});
    return it == impl_->plugins.end() ? nullptr : it->second.get();
}

base::Result<std::shared_ptr<const Config>> pulse_args(const Plugin& pulse,
                                                       const std::map<std::string, std::string>& args) {
    auto config = Config::make(pulse.args, args);
    const auto* ops = static_cast<const gorb_pulse_ops*>(pulse.entry->ops);
    if (!config || !ops->check) return config;
    gorb_error error{};
    std::string why;
    try {
        const int32_t rc = ops->check((*config)->c(), &error);
        if (rc == 0) return config;
        why = words_of(
            error, "pulse \"" + pulse.name + "\" refuses these arguments (error " + std::to_string(rc) + ")");
    } catch (const std::exception& e) {
        why = "pulse \"" + pulse.name + "\" can not check its arguments: " + clean_text(e.what(), 256);
    } catch (...) {
        why = "pulse \"" + pulse.name +
              "\" can not check its arguments: it threw something that is no std::exception";
    }
    return base::fail({base::Errc::invalid, why, {{"", why}}, 0});
}

}  // namespace gorb::plugin
