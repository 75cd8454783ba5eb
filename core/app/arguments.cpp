#include "app/arguments.h"

#include <Poco/Exception.h>
#include <Poco/NumberParser.h>
#include <Poco/Util/HelpFormatter.h>
#include <Poco/Util/Option.h>
#include <Poco/Util/OptionProcessor.h>
#include <Poco/Util/OptionSet.h>

#include <array>
#include <sstream>

namespace gorb::app {

using base::Errc;
using base::Result;
using Poco::Util::Option;

namespace {

// What the long option of a setting is, and the setting's key. Options without a value mean "true".
struct Flag {
    const char* name;
    const char* shorter;  // "" for none
    const char* value;    // the value's name, "" for none
    const char* key;      // "" for what is not a setting
    const char* help;
};

constexpr std::array flags = {
    Flag{"config", "", "FILE", "",
         "configuration file, then conf.d/*.ini beside it (default: etc/gorb/gorb.ini of the installation, "
         "else /etc/gorb/gorb.ini)"},
    Flag{"check-config", "", "", "", "check the configuration and exit"},
    Flag{"driver", "", "kernel|memory", "gorbd.driver",
         "where the IPVS table is: the kernel, or memory for trying the API (no packets flow)"},
    Flag{"listen", "l", "ADDRESS:PORT", "gorbd.listen", "where the REST API listens"},
    Flag{"flush", "f", "", "gorbd.flush-on-start",
         "remove every virtual service from the kernel's table at start, whoever made it"},
    Flag{"interface", "i", "NAME", "gorbd.interface", "interface whose address a service without one gets"},
    Flag{"vip-interface", "", "NAME", "gorbd.vip-interface", "interface to add VIPs to (also -vipi)"},
    Flag{"release-on-exit", "", "", "gorbd.release-on-exit",
         "at exit, remove from the kernel what this daemon made"},
    Flag{"state-directory", "", "DIR", "",
         "keep the desired state on disk, here (default: /var/lib/gorb; with --driver memory it is kept in "
         "memory unless this is given)"},
    Flag{"import", "", "FILE", "",
         "put the services of FILE into the store and exit; it has the form of GET /config, or is the output "
         "of ipvsadm -Sn"},
    Flag{"backup", "", "FILE", "", "write a copy of the store to FILE and exit; gorbd may be running"},
    Flag{"check-store", "", "", "", "check the store, every page and row, and exit"},
    Flag{"restore", "", "FILE", "", "put a copy that --backup wrote in place of the store and exit"},
    Flag{"force", "", "", "",
         "with --import: replace what the store has; at a start: remove more of the kernel's table than the "
         "guard against mass deletion allows"},
    Flag{"plugin-dir", "", "DIR", "",
         "look for plugins here instead of in the installation (may be given again)"},
    Flag{"plugins", "", "", "", "list the plugins and exit"},
    Flag{"verbose", "v", "", "", "log at level debug"},
    Flag{"version", "", "", "", "print the version and exit"},
    Flag{"help", "h", "", "", "print this and exit"},
};

// Flags of upstream gorb, as Go reads them: one or two dashes, "-name value" or "-name=value".
struct Upstream {
    const char* name;
    const char* meaning;  // our long option, or "" where `instead` is said
    const char* instead;
};

constexpr std::array upstream = {
    Upstream{"vipi", "vip-interface", ""},
    Upstream{"c", "",
             "-c (Consul): gorbd does not register with Consul; registrars are to come as plugins. A "
             "configuration file is given with --config FILE"},
    Upstream{"store", "",
             "-store: gorbd does not read services from an external store; put them through the REST API, or "
             "give files of them (--import, or [store] declared in the configuration)"},
    Upstream{"store-sync-time", "", "-store-sync-time: there is no external store to be read (see -store)"},
    Upstream{"store-service-path", "",
             "-store-service-path: there is no external store to be read (see -store)"},
    Upstream{"store-backend-path", "",
             "-store-backend-path: there is no external store to be read (see -store)"},
};

const Flag* find_flag(const std::string& name) {
    for (const Flag& flag : flags) {
        if (name == flag.name || (*flag.shorter && name == flag.shorter)) return &flag;
    }
    return nullptr;
}

// As --help writes those with a value: "-lADDRESS:PORT".
const Flag* find_glued(const std::string& word) {
    for (const Flag& flag : flags) {
        if (*flag.value && *flag.shorter && word.size() > 2 &&
            word.starts_with(std::string("-") + flag.shorter))
            return &flag;
    }
    return nullptr;
}

struct Word {
    std::string text;            // "--long" or "--long=value"
    const Flag* flag = nullptr;  // whose it is
    bool off = false;            // it is said not to be so: "-f=false"
};

// Every spelling becomes one. Of what is so or not the last word counts, as Go reads flags.
Result<std::vector<Word>> normalise(const std::vector<std::string>& words) {
    std::vector<Word> out;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word.size() < 2 || word[0] != '-') {
            return base::fail(Errc::invalid, "unexpected argument \"" + word + "\"; see gorbd --help");
        }
        const size_t start = word[1] == '-' ? 2 : 1;
        const size_t equals = word.find('=');
        std::string name = word.substr(start, equals == std::string::npos ? equals : equals - start);
        for (const Upstream& old : upstream) {
            if (name != old.name) continue;
            if (!*old.meaning) return base::fail(Errc::invalid, old.instead);
            name = old.meaning;
        }
        const Flag* flag = find_flag(name);
        const Flag* glued = flag ? nullptr : find_glued(word);
        if (glued) flag = glued;
        if (!flag) return base::fail(Errc::invalid, "unknown option \"" + word + "\"; see gorbd --help");
        std::string normal = std::string("--") + flag->name;
        bool yes = true;
        if (!*flag->value) {
            if (equals != std::string::npos &&
                !Poco::NumberParser::tryParseBool(word.substr(equals + 1), yes))
                return base::fail(Errc::invalid, "\"" + word + "\": it takes no value but true or false");
            std::erase_if(out, [&](const Word& before) { return before.flag == flag; });
        } else if (glued) {
            normal += "=" + word.substr(2);
        } else if (equals != std::string::npos) {
            normal += word.substr(equals);
        } else {
            if (++i == words.size()) {
                return base::fail(Errc::invalid, "option \"" + word + "\" needs a value: " + flag->value);
            }
            normal += "=" + words[i];
        }
        out.push_back({std::move(normal), flag, !yes});
    }
    return out;
}

std::optional<Action> action_of(const std::string& name) {
    if (name == "import") return Action::import;
    if (name == "backup") return Action::backup;
    if (name == "restore") return Action::restore;
    if (name == "check-config") return Action::check_config;
    if (name == "check-store") return Action::check_store;
    if (name == "plugins") return Action::list_plugins;
    return std::nullopt;
}

bool takes_file(const std::string& name) {
    return name == "import" || name == "backup" || name == "restore";
}

Poco::Util::OptionSet option_set() {
    Poco::Util::OptionSet set;
    for (const Flag& flag : flags) {
        Option option(flag.name, flag.shorter, flag.help);
        option.repeatable(std::string(flag.name) == "plugin-dir");
        if (*flag.value) option.argument(flag.value);
        set.addOption(option);
    }
    return set;
}

}  // namespace

Result<Arguments> read_arguments(const std::vector<std::string>& words) {
    auto normal = normalise(words);
    if (!normal) return base::fail(normal.error());
    const Poco::Util::OptionSet set = option_set();
    Poco::Util::OptionProcessor processor(set);
    processor.setUnixStyle(true);
    Arguments arguments;
    std::string plugin_dirs;
    std::string asked;  // the option that says what is to be done
    for (const auto& [word, flag, off] : *normal) {
        if (off) {
            if (*flag->key) arguments.options.emplace_back(flag->key, "false");
            continue;
        }
        std::string name;
        std::string value;
        try {
            processor.process(word, name, value);
        } catch (const Poco::Exception& e) {
            return base::fail(Errc::invalid, e.displayText() + " in \"" + word + "\"; see gorbd --help");
        }
        if (name == "config") arguments.config = value;
        if (name == "force") arguments.force = true;
        if (const auto action = action_of(name)) {
            // Who asks for a check beside a restore does not want the restore alone.
            if (!asked.empty()) {
                std::string sentence = "only one of --";
                sentence.append(asked).append(" and --").append(name).append(" can be done");
                return base::fail(Errc::invalid, std::move(sentence));
            }
            asked = name;
            arguments.action = *action;
        }
        if (takes_file(name)) {
            if (value.empty()) return base::fail(Errc::invalid, "--" + name + " needs the name of a file");
            arguments.file = value;
        }
        if (name == "state-directory") {
            arguments.options.emplace_back("store.store", "disk");
            arguments.options.emplace_back("store.directory", value);
        }
        if (name == "version") arguments.action = Action::version;
        if (name == "help") arguments.action = Action::help;
        if (name == "verbose") arguments.options.emplace_back("gorbd.log-level", "debug");
        if (name == "plugin-dir") plugin_dirs += (plugin_dirs.empty() ? "" : ":") + value;
        if (*flag->key) arguments.options.emplace_back(flag->key, *flag->value ? value : "true");
    }
    if (!plugin_dirs.empty()) arguments.options.emplace_back("plugins.directories", plugin_dirs);
    return arguments;
}

std::string help_text() {
    const Poco::Util::OptionSet set = option_set();
    Poco::Util::HelpFormatter formatter(set);
    formatter.setUnixStyle(true);
    formatter.setWidth(100);
    formatter.setCommand("gorbd");
    formatter.setUsage("[OPTIONS]");
    formatter.setHeader("IPVS control plane: virtual services and backends over REST, with health checks.");
    std::ostringstream text;
    formatter.format(text);
    return text.str();
}

}  // namespace gorb::app
