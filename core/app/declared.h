// Whole desired states from files: those of --import, and the folder of declarative files.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "app/settings.h"
#include "base/result.h"
#include "model/config.h"
#include "plugin/registry.h"

namespace gorb::app {

// What documents may leave open: the address of [gorbd] interface.
model::Defaults document_defaults(const Settings& settings);

// What is in one file.
struct Document : model::Config {
    // Nothing: the output of ipvsadm of an empty table, or of a command that failed.
    bool blank = false;
};

// With "{" as its first character the file is a document as GET /config gives it, else the output of
// ipvsadm -Sn. Errors begin with the file's name.
base::Result<Document> read_document(const std::filesystem::path& file, const model::Defaults& defaults);

// Every *.json of `folder` but hidden ones, in the order of their names, as one state. A service that is in
// two files, or two services of one address, port and protocol, are errors as well. Errors name file and
// pointer, and nothing is half read.
using Files = std::map<std::string, std::filesystem::path>;  // by the services that are in them
struct Declared {
    model::Config config;
    Files files;
    size_t documents = 0;  // how many were read
};
base::Result<Declared> read_declared(const std::filesystem::path& folder, const model::Defaults& defaults);

// An empty folder is the state of who has declared nothing yet. Where something came of files (`now`) it is
// more likely one that was not mounted, or not written yet, and is no word on what was in them.
base::Status refuse_nothing(const Declared& declared, const std::filesystem::path& folder,
                            const model::Snapshot& now);

// The error with the file before the pointer of each fault of one of their services.
base::Error with_files(base::Error error, const Files& files);

// Are all pulses of loaded plugins, with arguments that these take? Faults as those of read_config().
base::Status check_pulses(const model::Config& config, const plugin::Registry& registry);

// "2 virtual services, 1 backend"
std::string count_text(size_t services, size_t backends);
std::string count_text(const model::Config& config);

}  // namespace gorb::app
