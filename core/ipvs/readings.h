// When a reading of a table that the kernel hands out in parts has all of it. Pure.
//
// The kernel lets others change the table between two parts. It goes on by position, so a removal makes it
// skip an object, an addition makes it show one twice, and IPVS does not even set NLM_F_DUMP_INTR. What came
// in one part is one state, and all of it where there was room for more: after a part that was full the
// kernel looks once more, and where as much as was left has gone from before it, it shows no second part.
// Anything else counts only when the next reading shows nothing twice, and all that it showed in the same
// order (new objects come first in the kernel's lists). What both miss, both must have missed in the same
// way; a caller that adds it then is told that it exists.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "ipvs/driver.h"

namespace gorb::ipvs {

// May a part of so many bytes have been full? af_netlink.c, netlink_dump(): it has room for 32 KiB, where
// memory is short for a page or 8 KiB, whichever is less (`page_bytes` is the machine's), less some 1 KiB of
// the kernel's own; and a record of IPVS takes less than another.
inline bool may_be_full(size_t part_bytes, size_t page_bytes) {
    constexpr size_t slack = 2048, large = 32 * 1024;
    const size_t small = std::min<size_t>(page_bytes, 8192);
    return part_bytes > large - slack || (part_bytes > small - slack && part_bytes <= small);
}

inline const ServiceKey& identity(const ServiceRecord& record) {
    return record.key;
}
inline const base::Endpoint& identity(const DestRecord& record) {
    return record.address;
}

template <class Record>
class Readings {
  public:
    explicit Readings(size_t page_bytes) : page_bytes_(page_bytes) {}

    // One more, in so many parts, the largest of so many bytes. All of the table, or nullopt: read once more.
    std::optional<std::vector<Record>> add(std::vector<Record> now, int parts, size_t largest_bytes) {
        if (parts <= 1 && !may_be_full(largest_bytes, page_bytes_)) return now;
        if (has_duplicates(now)) {
            before_.reset();
            return std::nullopt;
        }
        if (before_ && nothing_vanished(*before_, now)) return now;
        before_ = std::move(now);
        return std::nullopt;
    }
    // One of which a part was lost, or that the kernel says was disturbed.
    void disturbed() { before_.reset(); }

  private:
    // Whether `now` shows all that `before` showed, in the same order; it may show more.
    static bool nothing_vanished(const std::vector<Record>& before, const std::vector<Record>& now) {
        auto at = now.begin();
        for (const Record& wanted : before) {
            at =
                std::find_if(at, now.end(), [&](const Record& r) { return identity(r) == identity(wanted); });
            if (at == now.end()) return false;
            ++at;
        }
        return true;
    }

    static bool has_duplicates(const std::vector<Record>& records) {
        std::vector<std::remove_cvref_t<decltype(identity(records[0]))>> keys;
        keys.reserve(records.size());
        for (const Record& record : records) keys.push_back(identity(record));
        std::sort(keys.begin(), keys.end());
        return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
    }

    size_t page_bytes_;
    std::optional<std::vector<Record>> before_;
};

}  // namespace gorb::ipvs
