// The loaded plugin libraries and what is in them.
//
// Errors: a library that can not be used (missing symbol, other ABI major, newer minor, bad table, a load()
// that fails) is kept as a Refused with a sentence, and never stops the others.
//
// Threads: load() and unload() at start and end, on one thread; everything else by any thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gorb/abi.h"
#include "plugin/options.h"

namespace gorb::plugin {

// One plugin of one library, ready to be instantiated.
struct Plugin {
    std::string kind, name, version, summary, build;
    std::filesystem::path file;
    std::vector<OptionSpec> options;     // of an instance
    std::vector<OptionSpec> args;        // of a target; pulses only
    const gorb_plugin* entry = nullptr;  // plain data of the library, which is never unmapped
};

struct Refused {
    std::filesystem::path file;
    std::string why;
    // Of the plugin, where only that one is refused; "": of the library, or the folder, which may have had
    // any.
    std::string name;
};

class Registry {
  public:
    Registry();
    ~Registry();  // unload()
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // Opens every *.so of `directories`, in the order given, files sorted by name. A name that is there
    // already is refused (first one wins). A directory that can not be read is a Refused as well.
    void load(const std::vector<std::filesystem::path>& directories);
    // Calls every library's unload(), once.
    void unload();

    std::vector<const Plugin*> plugins() const;  // sorted by kind and name
    const std::vector<Refused>& refused() const;
    // The plugin of kind GORB_KIND_PULSE with that name, or nullptr.
    const Plugin* pulse(const std::string& name) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Typed arguments of one target, validated against the pulse's option table and its check(). What `args`
// (name -> JSON text) has wrong comes back as Faults with pointers "/NAME". Pure but for the plugin's
// check(). [any]
base::Result<std::shared_ptr<const Config>> pulse_args(const Plugin& pulse,
                                                       const std::map<std::string, std::string>& args);

}  // namespace gorb::plugin
