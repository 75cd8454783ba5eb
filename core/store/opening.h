// Making, opening and judging the file.
//
// Errors: as open_database().
#pragma once
#include <memory>
#include <string>

#include "base/result.h"
#include "store/database.h"
#include "store/files.h"
#include "store/schema.h"
#include "store/sqlite.h"

namespace gorb::store {

// Makes `paths.made` anew with all of this, whole and synced.
base::Status make_database(const Paths& paths, const Loaded& all, const OpenOptions& options,
                           const Schema& schema);

// Ends a replacement that was cut short, and makes a database where none was.
base::Status prepare_files(const Paths& paths, const OpenOptions& options, const Schema& schema);

// The file, for writing: it is ours, of this version, and the pragmas are set. When it is closed, its WAL
// stays until the caller says otherwise (Connection::keep_wal()).
base::Result<Connection> open_file(const Paths& paths, const OpenOptions& options, const Schema& schema);

// The file as it is, of any version that is known, for backup, check and restore. It is not written.
base::Result<Connection> open_to_read(const std::filesystem::path& file, const Schema& schema);

// Everything of a file of any version that is known. What is read of an older one is a copy in memory that
// was brought up to date. Errors as those of read_rows(), and those of the steps.
base::Result<Loaded> read_any(Connection& file, const std::string& path, const Schema& schema);

// "", or what is wrong in words: pages, indexes, references, every row. Stops at `most` findings.
base::Result<std::string> findings(Connection& file, const std::string& path, unsigned most);

// As open_database(), for steps that are not the product's.
base::Result<std::unique_ptr<Database>> open_with(const std::filesystem::path& directory,
                                                  const OpenOptions& options, const Schema& schema);

}  // namespace gorb::store
