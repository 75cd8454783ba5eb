// The command line: pure, from words to settings and what to do with them.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace gorb::app {

enum class Action : uint8_t {
    run,
    check_config,
    list_plugins,
    import,       // file
    backup,       // to file
    check_store,  //
    restore,      // from file
    version,
    help
};

struct Arguments {
    Action action = Action::run;
    std::optional<std::filesystem::path> config;  // --config
    std::filesystem::path file;                   // of import, backup and restore
    // Of import: what the store has already is replaced. Of a start: past the guard against mass deletion.
    bool force = false;
    std::vector<std::pair<std::string, std::string>>
        options;  // "section.key" -> text, in order; they win over files
};

// `words` without the program's name. Upstream gorb's single-dash flags are understood (-vipi IF, -l=:4672);
// those that have no meaning here (-c, -store...) are Errc::invalid with the sentence that says what to do
// instead.
base::Result<Arguments> read_arguments(const std::vector<std::string>& words);

// The text of --help.
std::string help_text();

}  // namespace gorb::app
