#include "app/settings.h"

#include <Poco/Exception.h>
#include <Poco/NumberParser.h>
#include <Poco/String.h>
#include <Poco/StringTokenizer.h>
#include <Poco/Util/IniFileConfiguration.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <sstream>

#include "app/text_file.h"
#include "base/duration.h"

namespace gorb::app {

using base::Errc;
using base::Status;

namespace {

// ---- texts to values; each error says what would be right

Status wrong(const std::string& right) {
    return base::fail(Errc::invalid, "must be " + right);
}

Status read(const std::string& text, bool& out) {
    if (!Poco::NumberParser::tryParseBool(text, out)) return wrong("true or false");
    return {};
}

Status read(const std::string& text, std::chrono::nanoseconds& out) {
    auto parsed = base::parse_duration(text);
    if (!parsed || *parsed < std::chrono::milliseconds(1) || *parsed > std::chrono::hours(24)) {
        return wrong("a duration from 1ms to 24h, such as \"10s\"");
    }
    out = *parsed;
    return {};
}

std::vector<std::string> list_of(const std::string& text, const std::string& separators) {
    const Poco::StringTokenizer parts(
        text, separators, Poco::StringTokenizer::TOK_IGNORE_EMPTY | Poco::StringTokenizer::TOK_TRIM);
    return {parts.begin(), parts.end()};
}

template <class Number>
Status read_number(const std::string& text, Number& out, unsigned min, unsigned max) {
    unsigned value = 0;
    const char* const last = text.data() + text.size();
    // Poco's parser passes over commas: "1,5" would be 15.
    const auto [end, error] = std::from_chars(text.data(), last, value);
    if (error != std::errc{} || end != last || value < min || value > max) {
        return wrong("a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    }
    out = value;
    return {};
}

Status read(const std::string& text, DriverKind& out) {
    if (text == "kernel") {
        out = DriverKind::kernel;
    } else if (text == "memory") {
        out = DriverKind::memory;
    } else {
        return wrong("kernel or memory");
    }
    return {};
}

template <class E>
Status read_either(const std::string& text, E first, const char* first_text, E second,
                   const char* second_text, E& out) {
    if (text != first_text && text != second_text)
        return wrong(std::string(first_text) + " or " + second_text);
    out = text == first_text ? first : second;
    return {};
}

// Of a folder: a relative one would mean another place for every start, and with a comment behind it the
// store would be a new one, with nothing in it.
Status read(const std::string& text, std::filesystem::path& out, bool may_be_empty) {
    const bool commented = text.find(" ;") != std::string::npos || text.find(" #") != std::string::npos;
    if (commented || (text.empty() ? !may_be_empty : text.front() != '/')) {
        return wrong(std::string("an absolute path") + (may_be_empty ? ", or empty" : "") +
                     (commented ? ", with no comment behind it: that has a line of its own" : ""));
    }
    out = text;
    return {};
}

// IFNAMSIZ of <net/if.h>: at most 15 characters, no slash and no space.
Status read_interface(const std::string& text, std::string& out) {
    if (text.size() > 15 || text.find_first_of("/ \t") != std::string::npos) {
        return wrong("the name of a network interface (at most 15 characters)");
    }
    out = text;
    return {};
}

// As browsers write them (RFC 6454, 6.2): scheme, host, and the port where it is not the scheme's own.
Status read_origins(const std::string& text, std::vector<std::string>& out) {
    out.clear();
    for (std::string& one : list_of(text, " \t,")) {
        const size_t host = one.find("://");
        if (host == std::string::npos || host == 0 || host + 3 == one.size() ||
            one.find('/', host + 3) != std::string::npos || Poco::toLower(one) != one) {
            return wrong(
                "origins of web pages as browsers write them, in small letters and with no slash at "
                "the end, such as \"https://lb.example.com\", with spaces between them");
        }
        out.push_back(std::move(one));
    }
    return {};
}

struct Setting {
    const char* key;
    std::function<Status(Settings&, const std::string&)> set;
};

const std::vector<Setting>& options() {
    static const std::vector<Setting> table = {
        {"gorbd.listen",
         [](Settings& s, const std::string& t) -> Status {
             if (auto parsed = listen_endpoint(t); !parsed) return base::fail(parsed.error());
             s.listen = t;
             return {};
         }},
        {"gorbd.driver", [](Settings& s, const std::string& t) { return read(t, s.driver); }},
        {"gorbd.interface", [](Settings& s, const std::string& t) { return read_interface(t, s.interface); }},
        {"gorbd.vip-interface",
         [](Settings& s, const std::string& t) { return read_interface(t, s.vip_interface); }},
        {"gorbd.flush-on-start", [](Settings& s, const std::string& t) { return read(t, s.flush_on_start); }},
        {"gorbd.release-on-exit",
         [](Settings& s, const std::string& t) { return read(t, s.release_on_exit); }},
        {"gorbd.log-level",
         [](Settings& s, const std::string& t) -> Status {
             auto level = base::parse_log_level(t);
             if (!level) return wrong("error, warning, info or debug");
             s.log_level = *level;
             return {};
         }},
        {"plugins.directories",
         [](Settings& s, const std::string& t) -> Status {
             const std::vector<std::string> parts = list_of(t, ":");
             s.plugin_directories.assign(parts.begin(), parts.end());
             return {};
         }},
        {"store.store",
         [](Settings& s, const std::string& t) -> Status {
             StoreKind kind{};
             auto ok = read_either(t, StoreKind::disk, "disk", StoreKind::memory, "memory", kind);
             if (ok) s.store = kind;
             return ok;
         }},
        {"store.directory", [](Settings& s, const std::string& t) { return read(t, s.directory, false); }},
        {"store.declared", [](Settings& s, const std::string& t) { return read(t, s.declared, true); }},
        {"reconcile.period", [](Settings& s, const std::string& t) { return read(t, s.period); }},
        {"reconcile.drift",
         [](Settings& s, const std::string& t) {
             return read_either(t, Drift::repair, "repair", Drift::report, "report", s.drift);
         }},
        {"reconcile.guard-share",
         [](Settings& s, const std::string& t) { return read_number(t, s.guard_share, 0, 100); }},
        {"reconcile.guard-least",
         [](Settings& s, const std::string& t) { return read_number(t, s.guard_least, 0, 1'000'000); }},
        {"health.loops", [](Settings& s, const std::string& t) { return read_number(t, s.loops, 1, 64); }},
        {"health.workers",
         [](Settings& s, const std::string& t) { return read_number(t, s.workers, 1, 256); }},
        {"health.worker-queue",
         [](Settings& s, const std::string& t) { return read_number(t, s.worker_queue, 1, 1'000'000); }},
        {"health.blocked-after", [](Settings& s, const std::string& t) { return read(t, s.blocked_after); }},
        {"health.max-in-flight",
         [](Settings& s, const std::string& t) { return read_number(t, s.max_in_flight, 0, 1'000'000); }},
        {"health.max-per-host",
         [](Settings& s, const std::string& t) { return read_number(t, s.max_per_host, 0, 1'000'000); }},
        {"health.suspicion", [](Settings& s, const std::string& t) { return read(t, s.suspicion); }},
        {"health.suspicion-threshold",
         [](Settings& s, const std::string& t) { return read_number(t, s.suspicion_threshold, 1, 100); }},
        {"health.suspicion-least",
         [](Settings& s, const std::string& t) { return read_number(t, s.suspicion_least, 2, 1'000'000); }},
        {"health.suspicion-thaw-after",
         [](Settings& s, const std::string& t) { return read_number(t, s.suspicion_thaw_after, 0, 10'000); }},
        {"rest.max-connections",
         [](Settings& s, const std::string& t) { return read_number(t, s.max_connections, 8, 100'000); }},
        {"rest.idle-timeout", [](Settings& s, const std::string& t) { return read(t, s.idle_timeout); }},
        {"rest.request-timeout",
         [](Settings& s, const std::string& t) { return read(t, s.request_timeout); }},
        {"rest.web-origins",
         [](Settings& s, const std::string& t) { return read_origins(t, s.web_origins); }},
    };
    return table;
}

// ---- files

std::string at(const std::filesystem::path& file, size_t line) {
    return file.string() + ":" + std::to_string(line);
}

// Poco::Util forgets lines, so they are found again here, by the same grammar: [section], key = value, # and
// ;.
struct LineOf {
    std::string key;
    size_t line;
};

base::Result<std::vector<LineOf>> places(const std::string& text, const std::filesystem::path& file) {
    std::vector<LineOf> found;
    std::map<std::string, size_t> first;
    std::istringstream lines(text);
    std::string section;
    std::string line;
    for (size_t number = 1; std::getline(lines, line); ++number) {
        Poco::trimInPlace(line);
        if (line.empty() || line[0] == ';' || line[0] == '#') continue;
        if (line[0] == '[') {
            const size_t end = line.find(']');
            if (end == std::string::npos)
                return base::fail(Errc::invalid, at(file, number) + ": \"]\" is missing");
            section = Poco::trim(line.substr(1, end - 1));
            const std::string rest = Poco::trim(line.substr(end + 1));
            if (!rest.empty() && rest[0] != ';' && rest[0] != '#') {
                return base::fail(Errc::invalid, at(file, number) + ": after [" + section +
                                                     "] there may be a comment only; a setting has a line "
                                                     "of its own");
            }
            continue;
        }
        const size_t equals = line.find('=');
        if (equals == std::string::npos) {
            return base::fail(Errc::invalid,
                              at(file, number) + ": must be \"key = value\", a [section] or a comment");
        }
        std::string key = section;
        if (!section.empty()) key += ".";
        key += Poco::trim(line.substr(0, equals));
        if (auto [it, is_new] = first.emplace(key, number); !is_new) {
            return base::fail(Errc::invalid, at(file, number) + ": " + key + " was given before, in line " +
                                                 std::to_string(it->second));
        }
        found.push_back({std::move(key), number});
    }
    return found;
}

Status read_file(Settings& settings, const std::filesystem::path& file) {
    const auto text = text_of_file(file);
    if (!text) {
        std::error_code error;
        const bool folder = std::filesystem::is_directory(file, error);
        return base::fail(Errc::io, "can not read the configuration file " + file.string() +
                                        (folder ? ": it is a folder" : ""));
    }
    if (text->starts_with("\xFF\xFE") || text->starts_with("\xFE\xFF"))
        return base::fail(Errc::invalid, file.string() + ": is in UTF-16; it must be in UTF-8");
    auto found = places(*text, file);
    if (!found) return base::fail(found.error());
    try {
        std::istringstream again(*text);
        const Poco::AutoPtr<Poco::Util::IniFileConfiguration> ini(
            new Poco::Util::IniFileConfiguration(again));
        for (const LineOf& place : *found) {
            if (auto set = set_option(settings, place.key, ini->getRawString(place.key, "")); !set) {
                return base::fail(Errc::invalid, at(file, place.line) + ": " + set.error().sentence);
            }
            settings.places[place.key] = at(file, place.line);
        }
    } catch (const Poco::Exception& e) {
        return base::fail(Errc::invalid, file.string() + ": " + e.displayText());
    }
    return {};
}

}  // namespace

StoreKind store_kind(const Settings& settings) {
    if (settings.store) return *settings.store;
    return settings.driver == DriverKind::memory ? StoreKind::memory : StoreKind::disk;
}

std::vector<std::string> option_keys() {
    std::vector<std::string> keys;
    for (const Setting& option : options()) keys.emplace_back(option.key);
    return keys;
}

Status set_option(Settings& settings, const std::string& key, const std::string& text) {
    auto option = std::ranges::find_if(options(), [&](const Setting& o) { return key == o.key; });
    constexpr std::string_view of_plugin = "plugin.";
    const size_t last_dot = key.rfind('.');
    if (option == options().end() && key.starts_with(of_plugin) && last_dot > of_plugin.size()) {
        const std::string plugin = key.substr(of_plugin.size(), last_dot - of_plugin.size());
        settings.plugin_options[plugin][key.substr(last_dot + 1)] = text;
        return {};
    }
    if (option == options().end()) {
        const size_t dot = key.find('.');
        const std::string section = dot == std::string::npos ? "" : key.substr(0, dot);
        std::string known;
        for (const std::string& k : option_keys()) {
            if (k.starts_with(section + "."))
                known += (known.empty() ? "" : ", ") + k.substr(section.size() + 1);
        }
        if (known.empty()) {
            return base::fail(
                Errc::invalid,
                "unknown key \"" + key +
                    "\"; known sections are [gorbd], [plugins], [plugin.NAME], [store], [reconcile], "
                    "[health] and [rest]");
        }
        return base::fail(Errc::invalid, "unknown key \"" + key.substr(dot + 1) + "\" in section [" +
                                             section + "]; known there are: " + known);
    }
    if (auto set = option->set(settings, text); !set) {
        return base::fail(Errc::invalid, key + " " + set.error().sentence + ", not \"" + text + "\"");
    }
    return {};
}

namespace {

base::Result<std::vector<std::filesystem::path>> files_beside(const std::filesystem::path& file) {
    std::error_code error;
    std::vector<std::filesystem::path> more;
    const std::filesystem::path folder = file.parent_path() / "conf.d";
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
        const std::filesystem::path& path = it->path();
        if (path.extension() == ".ini" && !path.filename().string().starts_with(".")) more.push_back(path);
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        return base::fail(
            Errc::io, "can not read the configuration folder " + folder.string() + ": " + error.message());
    }
    std::ranges::sort(more);
    return more;
}

bool may_be_there(const std::filesystem::path& file) {
    std::error_code error;
    return std::filesystem::exists(file, error) || error;
}

}  // namespace

bool is_configured(const std::filesystem::path& file) {
    const auto more = files_beside(file);
    return may_be_there(file) || !more || !more->empty();
}

Status read_files(Settings& settings, const std::filesystem::path& file, bool usual) {
    auto files = files_beside(file);
    const bool left_out = usual && files && !files->empty() && !may_be_there(file);
    if (!left_out) {
        if (auto ok = read_file(settings, file); !ok) return ok;
    }
    if (!files) return base::fail(std::move(files.error()));
    for (const std::filesystem::path& path : *files) {
        if (auto ok = read_file(settings, path); !ok) return ok;
    }
    return {};
}

base::Result<base::Endpoint> listen_endpoint(const std::string& text) {
    // Upstream's ":4672" is every address; "::" takes IPv4 as well.
    auto parsed = base::Endpoint::parse(text.starts_with(":") ? "[::]" + text : text);
    if (!parsed) {
        return base::fail(Errc::invalid,
                          "must be ADDRESS:PORT, such as 127.0.0.1:4672, [::1]:4672, or :4672 for all");
    }
    return parsed;
}

}  // namespace gorb::app
