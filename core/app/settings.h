// The daemon's settings: defaults, then the .ini files, then the command line.
//
// Files are read with Poco::Util; every unknown key, wrong value and key given twice is an error with file
// and line.
#pragma once
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "base/result.h"

namespace gorb::app {

enum class DriverKind : uint8_t { kernel, memory };
enum class StoreKind : uint8_t { disk, memory };
enum class Drift : uint8_t { repair, report };

struct Settings {
    std::filesystem::path config;  // the file that was read, "" for none
    std::filesystem::path unread;  // one that is there too, in its usual place, and was not; "" for none
    bool force = false;            // --force: past the guard against mass deletion at the start
    // [gorbd]
    std::string listen = "127.0.0.1:4672";  // ADDRESS:PORT; without an address all of them
    DriverKind driver = DriverKind::kernel;
    std::string interface;      // where services without an address get theirs from, "" for none
    std::string vip_interface;  // where VIPs are added, "" for nowhere
    bool flush_on_start = false;
    bool release_on_exit = false;
    base::LogLevel log_level = base::LogLevel::info;
    // [plugins]
    std::vector<std::filesystem::path> plugin_directories;  // empty: those of this installation
    // [plugin.NAME]: the options of a plugin's instances, as written, for plugin_options.h
    std::map<std::string, std::map<std::string, std::string>> plugin_options;
    std::map<std::string, std::string> places;  // of what files set: "section.key" -> "FILE:LINE", the last
    // [store]
    std::optional<StoreKind> store;  // as chosen; store_kind() decides
    std::filesystem::path directory = "/var/lib/gorb";
    std::filesystem::path declared;  // folder of declarative *.json files, "" for none
    // [reconcile]
    std::chrono::nanoseconds period = std::chrono::seconds(30);
    Drift drift = Drift::repair;
    unsigned guard_share = 50;  // per cent, 100: no guard
    size_t guard_least = 20;
    // [health]
    unsigned loops = 1;
    unsigned workers = 4;
    unsigned worker_queue = 1024;
    std::chrono::nanoseconds blocked_after = std::chrono::seconds(1);
    unsigned max_in_flight = 0;          // checks of one loop at once, 0: what the descriptor limit allows
    unsigned max_per_host = 64;          // of one loop to one address, 0: no limit
    bool suspicion = true;               // does the engine suspect this machine when most fails at once
    unsigned suspicion_threshold = 70;   // per cent
    unsigned suspicion_least = 10;       // unrelated targets
    unsigned suspicion_thaw_after = 10;  // intervals, 0: never
    // [rest]
    size_t max_connections = 4096;
    std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);
    std::chrono::nanoseconds request_timeout = std::chrono::seconds(10);
    std::vector<std::string> web_origins;  // of web pages that may change something
};

// Where the desired state is kept: as chosen, else on disk; but with the memory driver in memory, so that
// trying out needs no directory to write to.
StoreKind store_kind(const Settings& settings);

// Sets one option, "section.key", to what its text says. Errc::invalid names what would be right, or the
// known keys.
base::Status set_option(Settings& settings, const std::string& key, const std::string& text);

// Every key that set_option knows, in the order of conf/gorb.ini.
std::vector<std::string> option_keys();

// Reads `file` and then the *.ini (but hidden ones) of the folder conf.d beside it, in the order of their
// names; later ones win. `usual`: nobody has named it, and where there are others it need not be there.
base::Status read_files(Settings& settings, const std::filesystem::path& file, bool usual = false);
// Is there anything that read_files() would read of the usual `file`? What can not be looked at may be there;
// to start without it would be to start as somebody else.
bool is_configured(const std::filesystem::path& file);

// "127.0.0.1:4672", "[::1]:4672", ":4672" (all addresses).
base::Result<base::Endpoint> listen_endpoint(const std::string& text);

}  // namespace gorb::app
