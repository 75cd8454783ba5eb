// The tables of the file, its version, and how an older file is brought up to date.
//
// Each row carries the CRC-32 of what it says, since SQLite has none: a flipped bit is found when the row is
// read. 0 stands for "not checked", for the operator who changes a row by hand.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/files.h"
#include "store/sqlite.h"

namespace gorb::store {

// PRAGMA application_id of the file: "gorb".
inline constexpr int64_t application_id = 0x676f7262;

// What brings a file of version `from` to the next one. Statements, in one transaction with the others.
struct Step {
    int64_t from;
    const char* sql;
};

// The product's is schema(); tests of the steps bring their own.
struct Schema {
    int64_t version;
    std::span<const Step> steps;  // ascending
    const char* tables;           // of `version`
};
const Schema& schema();

// Makes the tables in an empty file.
base::Status make_tables(Connection& file, const Schema& schema);

// The version of the file: errors are unsupported (of another program, of a newer version) and what reading
// gives.
base::Result<int64_t> read_version(Connection& file, const std::string& path, const Schema& schema);

// Takes the steps that a file of an older version needs, all or none. For copies: no other copy is made.
base::Status upgrade(Connection& file, const std::string& path, const Schema& schema);

// Does nothing for a file of this version. An older one is copied to gorb.db.schema-VERSION first.
base::Status bring_up_to_date(Connection& file, const Paths& paths, const Schema& schema);

// What the WAL keeps of its size, in bytes: its first commit after a checkpoint cuts off what is beyond this
// and beyond that commit.
inline constexpr int64_t wal_kept = 16 << 20;

// Sets, and asks whether they are set, WAL, synchronous=FULL, foreign keys.
base::Status set_pragmas(Connection& file, const std::string& path);

// The sentence for a file that is damaged, with what to do.
base::Error damaged(const std::string& path, const std::string& what);

}  // namespace gorb::store
