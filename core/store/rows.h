// Rows of the file <-> values: the statements that write, and reading everything.
//
// Cost: reading takes some 2 us a backend that is configured like others: equal settings are parsed once, and
// equal pulses are shared.
#pragma once
#include <string>

#include "base/result.h"
#include "store/database.h"
#include "store/sqlite.h"

namespace gorb::store {

// Prepared statements of one connection, which must outlive them. Give SQLite's codes.
class RowWriter {
  public:
    // For a connection whose tables are there.
    int prepare(Connection& file);

    // All of it but the revision. Stops at the first that fails; what was done before stays for the caller to
    // roll back.
    int apply(const Write& write);
    // What the rows of this or an earlier transaction said, and may not say any more.
    int raise_revision(uint64_t revision);
    // Gives the database another identity.
    int rename(const std::string& identity);
    // A new file's.
    int put_all(const Loaded& all);
    // Counts a transaction that the disk refused at its end. What that one left at the end of the WAL, where
    // a later start could find it whole, is overwritten by this.
    int count_refused();

    // Bytes of the texts written since the last call.
    size_t taken_bytes();

  private:
    int put(const model::Service& service, uint64_t revision, model::Origin origin);
    int put(const std::string& service, const model::Backend& backend, uint64_t revision,
            int64_t drain_since);
    int put(const std::string& service, const std::string& backend, const Health& health);
    int put(const Leaving& leaving);
    int put(const base::Ip& vip);

    struct Meta {
        std::string identity;
        uint64_t revision = 0, refused = 0;
    };
    int read_meta(Meta& meta);
    int write_meta(const Meta& meta);

    std::string settings_;
    size_t bytes_ = 0;
    Statement put_service_, put_backend_, put_health_, put_leaving_, put_vip_;
    Statement drop_service_, drop_backend_, drop_leaving_, drop_vip_;
    Statement get_meta_, set_meta_;
};

// Everything. Errc::io for a row that is damaged (what is wrong with it, not yet the sentence for the
// operator), else what SQLite gives.
base::Result<Loaded> read_rows(Connection& file, const std::string& path);

// 8 hexadecimal digits, at random.
std::string new_identity();

}  // namespace gorb::store
