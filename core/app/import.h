// gorbd --import, --backup, --check-store and --restore: the store without a daemon.
#pragma once
#include <filesystem>
#include <string>

#include "app/settings.h"
#include "base/result.h"
#include "model/config.h"
#include "store/database.h"

namespace gorb::app {

// What makes `wanted` of all that the store has: pure. What stops being wanted is leaving, so that the daemon
// takes it out of the kernel when it starts. Empty when it is so already.
store::Write import_write(const store::Loaded& present, const model::Config& wanted);

// Puts `wanted` into the store, in one write, and waits until it is durable. Errc::exists when the store has
// services already and `force` is not given.
base::Status import_config(store::Database& database, const model::Config& wanted, bool force);

// ---- The command line's actions: each prints what it did. Errors are sentences for the operator.

base::Status import_file(const Settings& settings, const std::filesystem::path& file, bool force);
base::Status backup_store(const Settings& settings, const std::filesystem::path& to);
base::Status check_store(const Settings& settings);
base::Status restore_store(const Settings& settings, const std::filesystem::path& from);

}  // namespace gorb::app
