#include "app/import.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "app/declared.h"
#include "app/installation.h"
#include "plugin/registry.h"

namespace gorb::app {

using base::Errc;
using base::Status;

namespace {

using Backends = std::map<std::string, const store::Loaded::BackendRow*>;

// Documents do not say that a service goes with its last backend. It goes on doing so where the document has
// all that is left of it as it is: on its way out.
bool goes_on_leaving(const model::ConfigService& service, const store::Loaded::ServiceRow& row) {
    const auto leaves = [&](const model::Backend& backend) {
        return backend.admin == model::Admin::drain && backend.drain_then == model::DrainThen::remove &&
               std::ranges::binary_search(
                   row.backends, backend.name, {}, [](const auto& b) -> const auto& { return b.spec.name; });
    };
    return row.spec.deleting && !service.backends.empty() && std::ranges::all_of(service.backends, leaves);
}

// BackendEntry::drain_since; 0: from the next start on.
int64_t drain_since(const model::Backend& wanted, const store::Loaded::BackendRow* old) {
    const bool goes_on =
        old && wanted.admin == model::Admin::drain && old->spec.admin == model::Admin::drain &&
        old->spec.drain_timeout == wanted.drain_timeout && old->spec.drain_then == wanted.drain_then;
    return goes_on ? old->drain_since : 0;
}

// Collects the rows of one import.
class Writer {
  public:
    Writer(const store::Loaded& present, const model::Config& wanted) : present_(&present), wanted_(&wanted) {
        out_.revision = present.revision + 1;
    }

    store::Write run() {
        std::map<std::string, const store::Loaded::ServiceRow*> rows;
        for (const auto& row : present_->services) rows.emplace(row.spec.name, &row);
        for (const model::ConfigService& service : wanted_->services) {
            const auto row = rows.find(service.spec.name);
            put(service, row == rows.end() ? nullptr : row->second);
            if (row != rows.end()) rows.erase(row);
        }
        for (const auto& row : rows) {
            out_.drop_services.push_back(row.first);
            leave(*row.second);
        }
        settle_leaving();
        if (no_object_changes()) out_.revision = 0;
        return std::move(out_);
    }

  private:
    void put(const model::ConfigService& service, const store::Loaded::ServiceRow* row) {
        if (row && row->spec.key != service.spec.key) leave(*row);
        model::Service spec = service.spec;
        spec.deleting = row && goes_on_leaving(service, *row);
        if (!row || !(row->spec == spec) || row->origin != model::Origin::api) {
            auto entry = std::make_shared<model::ServiceEntry>();
            entry->spec = std::move(spec);
            entry->revision = out_.revision;
            out_.put_services.push_back(std::move(entry));
        }
        Backends backends;
        if (row) {
            for (const auto& backend : row->backends) backends.emplace(backend.spec.name, &backend);
        }
        for (const model::Backend& backend : service.backends) {
            const auto at = backends.find(backend.name);
            const store::Loaded::BackendRow* old = at == backends.end() ? nullptr : at->second;
            if (old && old->spec.address != backend.address) {
                leaving_.insert({row->spec.key, old->spec.address});
                // What is known of health is known of an address.
                forget_health(service.spec.name, backend.name);
            } else if (old && old->health != store::Health{} &&
                       !(backend.admin != model::Admin::maint && old->spec.pulses.asks_as(backend.pulses))) {
                forget_health(service.spec.name, backend.name);
            }
            if (!old || !(old->spec == backend)) put(service.spec.name, backend, old);
            if (old) backends.erase(at);
        }
        for (const auto& gone : backends) {
            out_.drop_backends.push_back({service.spec.name, gone.first});
            leaving_.insert({row->spec.key, gone.second->spec.address});
        }
    }

    void forget_health(const std::string& service, const std::string& backend) {
        out_.health.emplace_back(store::BackendName{service, backend}, store::Health{});
    }

    void put(const std::string& service, const model::Backend& backend,
             const store::Loaded::BackendRow* old) {
        auto entry = std::make_shared<model::BackendEntry>();
        entry->spec = backend;
        entry->revision = out_.revision;
        entry->drain_since = drain_since(backend, old);
        out_.put_backends.emplace_back(service, std::move(entry));
    }

    void leave(const store::Loaded::ServiceRow& row) {
        leaving_.insert({row.spec.key, {}});
        for (const auto& backend : row.backends) leaving_.insert({row.spec.key, backend.spec.address});
    }

    // An address may go from one object to another: what is wanted is not leaving.
    void settle_leaving() {
        std::set<store::Leaving> wanted;
        for (const model::ConfigService& service : wanted_->services) {
            wanted.insert({service.spec.key, {}});
            for (const model::Backend& backend : service.backends)
                wanted.insert({service.spec.key, backend.address});
        }
        for (const store::Leaving& entry : leaving_) {
            if (!wanted.contains(entry)) out_.leaving.push_back(entry);
        }
        for (const store::Leaving& entry : present_->leaving) {
            if (wanted.contains(entry)) out_.left.push_back(entry);
        }
    }

    bool no_object_changes() const {
        return out_.drop_services.empty() && out_.drop_backends.empty() && out_.put_services.empty() &&
               out_.put_backends.empty();
    }

    const store::Loaded* present_;
    const model::Config* wanted_;
    store::Write out_;
    std::set<store::Leaving> leaving_;
};

std::string counted(const store::Loaded& rows) {
    size_t backends = 0;
    for (const auto& service : rows.services) backends += service.backends.size();
    return count_text(rows.services.size(), backends);
}

Status need_disk(const Settings& settings) {
    if (store_kind(settings) == StoreKind::disk) return {};
    return base::fail(Errc::invalid,
                      "the store is in memory as configured, so there is nothing on disk; give "
                      "--state-directory DIR, or [store] store = disk");
}

// What a command that failed has left of its output must not replace a store by nothing.
Status need_empty(store::Database& database, const std::filesystem::path& file) {
    const auto present = database.load();
    if (!present) return base::fail(present.error());
    if (present->services.empty()) return {};
    return base::fail(Errc::invalid, file.string() + ": there is no virtual service in it, and the store " +
                                         database.status().path + " has " + counted(*present) +
                                         "; to remove them all import the document {\"services\": {}}");
}

}  // namespace

store::Write import_write(const store::Loaded& present, const model::Config& wanted) {
    return Writer(present, wanted).run();
}

Status import_config(store::Database& database, const model::Config& wanted, bool force) {
    const auto present = database.load();
    if (!present) return base::fail(present.error());
    if (!present->services.empty() && !force) {
        return base::fail(Errc::exists, "the store " + database.status().path + " has " + counted(*present) +
                                            " already; --force replaces them by what is imported");
    }
    store::Write write = import_write(*present, wanted);
    if (write.empty()) return {};
    return store::write_now(database, std::move(write));
}

Status import_file(const Settings& settings, const std::filesystem::path& file, bool force) {
    if (auto disk = need_disk(settings); !disk) return disk;
    const auto config = read_document(file, document_defaults(settings));
    if (!config) return base::fail(config.error());
    plugin::Registry registry;
    registry.load(plugin_directories(settings));
    if (auto pulses = check_pulses(*config, registry); !pulses) {
        pulses.error().sentence = file.string() + ": " + pulses.error().sentence;
        return pulses;
    }
    auto database = store::open_database(settings.directory);
    if (!database) return base::fail(database.error());
    if (config->blank) {
        if (auto harmless = need_empty(**database, file); !harmless) return harmless;
    }
    if (auto done = import_config(**database, *config, force); !done) return done;
    std::printf("imported %s from %s into %s\n", count_text(*config).c_str(), file.c_str(),
                settings.directory.c_str());
    return {};
}

Status backup_store(const Settings& settings, const std::filesystem::path& to) {
    if (auto disk = need_disk(settings); !disk) return disk;
    if (auto done = store::backup(settings.directory, to); !done) return done;
    std::printf("wrote a copy of the store in %s to %s\n", settings.directory.c_str(), to.c_str());
    return {};
}

Status check_store(const Settings& settings) {
    if (auto disk = need_disk(settings); !disk) return disk;
    const auto wrong = store::check(settings.directory);
    if (!wrong) return base::fail(wrong.error());
    if (!wrong->empty()) return base::fail(Errc::io, *wrong);
    std::printf("the store in %s is good\n", settings.directory.c_str());
    return {};
}

Status restore_store(const Settings& settings, const std::filesystem::path& from) {
    if (auto disk = need_disk(settings); !disk) return disk;
    if (auto done = store::restore(settings.directory, from); !done) return done;
    std::printf("restored the store in %s from %s\n", settings.directory.c_str(), from.c_str());
    return {};
}

}  // namespace gorb::app
