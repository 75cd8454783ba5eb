#include "app/declared.h"

#include <algorithm>
#include <map>

#include "app/installation.h"
#include "app/text_file.h"
#include "base/json.h"
#include "control/pulse_pool.h"

namespace gorb::app {

using base::Errc;
using base::Result;

namespace {

Result<std::string> text_of(const std::filesystem::path& file) {
    std::error_code error;
    if (const auto status = std::filesystem::status(file, error); !std::filesystem::is_regular_file(status)) {
        return base::fail(Errc::io,
                          "can not read " + file.string() + ": " +
                              (std::filesystem::exists(status) ? "it is no file" : "there is none"));
    }
    auto text = text_of_file(file);
    if (!text) return base::fail(Errc::io, "can not read " + file.string());
    return std::move(*text);
}

tl::unexpected<base::Error> fail_in(const std::filesystem::path& file, base::Error error) {
    error.sentence = file.string() + ": " + error.sentence;
    return base::fail(std::move(error));
}

std::string plural(size_t n, const std::string& one) {
    return std::to_string(n) + " " + one + (n == 1 ? "" : "s");
}

Result<std::vector<std::filesystem::path>> files_of(const std::filesystem::path& folder) {
    std::error_code error;
    std::vector<std::filesystem::path> files;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
        const std::filesystem::path& file = it->path();
        if (file.extension() == ".json" && !file.filename().string().starts_with(".")) files.push_back(file);
    }
    if (error) {
        return base::fail(Errc::io, "can not read the folder of declarative files " + folder.string() + ": " +
                                        error.message());
    }
    std::ranges::sort(files);
    return files;
}

// Where what came first is.
struct Place {
    std::string name;
    std::filesystem::path file;
};

}  // namespace

model::Defaults document_defaults(const Settings& settings) {
    model::Defaults defaults;
    if (!settings.interface.empty()) defaults.address = interface_address(settings.interface);
    return defaults;
}

Result<Document> read_document(const std::filesystem::path& file, const model::Defaults& defaults) {
    const auto text = text_of(file);
    if (!text) return base::fail(text.error());
    const size_t first = text->find_first_not_of(" \t\r\n");
    const bool document = first != std::string::npos && (*text)[first] == '{';
    auto config = document ? model::read_config(*text, defaults) : model::read_ipvsadm(*text);
    if (!config) return fail_in(file, std::move(config.error()));
    const bool blank = !document && config->services.empty();
    return Document{std::move(*config), blank};
}

Result<Declared> read_declared(const std::filesystem::path& folder, const model::Defaults& defaults) {
    const auto files = files_of(folder);
    if (!files) return base::fail(files.error());
    model::Config all;
    Files names;
    std::map<model::ServiceKey, Place> keys;
    for (const std::filesystem::path& file : *files) {
        const auto text = text_of(file);
        if (!text) return base::fail(text.error());
        auto config = model::read_config(*text, defaults);
        if (!config) return fail_in(file, std::move(config.error()));
        for (model::ConfigService& service : config->services) {
            const std::string& name = service.spec.name;
            const auto [named, first] = names.emplace(name, file);
            const auto [placed, alone] = keys.emplace(service.spec.key, Place{name, file});
            std::string what;
            if (!first) {
                what = "is in " + named->second.string() + " already";
            } else if (!alone) {
                what = "has the address, port and protocol " + service.spec.key.text() + " that service \"" +
                       placed->second.name + "\" in " + placed->second.file.string() + " has";
            }
            if (!what.empty())
                return fail_in(file, base::faults_error({{"/services/" + name, std::move(what)}}));
            all.services.push_back(std::move(service));
        }
    }
    std::ranges::sort(all.services, {}, [](const model::ConfigService& s) { return s.spec.name; });
    return Declared{std::move(all), std::move(names), files->size()};
}

base::Status refuse_nothing(const Declared& declared, const std::filesystem::path& folder,
                            const model::Snapshot& now) {
    if (declared.documents > 0) return {};
    bool files = false;
    now.services.for_each([&](const std::string&, const model::ServicePtr& service) {
        files = files || service->origin == model::Origin::file;
    });
    if (!files) return {};
    return base::fail(Errc::invalid, "there is no *.json in " + folder.string() +
                                         "; to remove all that came of files put one with {\"services\": {}} "
                                         "there");
}

base::Error with_files(base::Error error, const Files& files) {
    constexpr std::string_view services = "/services/";
    bool named = false;
    for (base::Fault& fault : error.faults) {
        if (!fault.pointer.starts_with(services)) continue;
        const std::string name = fault.pointer.substr(services.size());
        const auto file = files.find(name.substr(0, name.find('/')));
        if (file == files.end()) continue;
        fault.pointer = file->second.string() + ": " + fault.pointer;
        named = true;
    }
    // Its sentence is that of the first fault.
    return named ? base::faults_error(std::move(error.faults)) : error;
}

base::Status check_pulses(const model::Config& config, const plugin::Registry& registry) {
    control::PulsePool pool(registry);
    constexpr size_t most = 64;
    std::vector<base::Fault> faults;
    for (const model::ConfigService& service : config.services) {
        for (const model::Backend& backend : service.backends) {
            const auto pulses = pool.get(backend.pulses);
            if (pulses) continue;
            for (const base::Fault& fault : pulses.error().faults) {
                if (faults.size() == most) return base::fail(base::faults_error(std::move(faults)));
                faults.push_back(
                    {"/services/" + service.spec.name + "/backends/" + backend.name + fault.pointer,
                     fault.what});
            }
        }
    }
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return {};
}

std::string count_text(size_t services, size_t backends) {
    return plural(services, "virtual service") + ", " + plural(backends, "backend");
}

std::string count_text(const model::Config& config) {
    size_t backends = 0;
    for (const model::ConfigService& service : config.services) backends += service.backends.size();
    return count_text(config.services.size(), backends);
}

}  // namespace gorb::app
