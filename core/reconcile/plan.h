// What has to be done to the kernel's table so that what is ours in it is as wanted: pure.
//
// Ours is what is wanted, and what is leaving: it was wanted once and its removal has not been confirmed.
// Everything else is foreign and never appears in a plan, whether it is a service or a destination in a
// service of ours.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ipvs/driver.h"
#include "reconcile/table.h"

namespace gorb::reconcile {

// A service, or one destination of a service.
struct Entry {
    ipvs::ServiceKey service;
    std::optional<base::Endpoint> dest;
    auto operator<=>(const Entry&) const = default;
};

// What an operation is for.
Entry entry_of(const ipvs::Op& op);

struct Plan {
    // Additions of services, edits of services, additions and edits of destinations, removals of
    // destinations, removals of services: nothing goes before what replaces it is there.
    std::vector<ipvs::Op> ops;
    std::vector<Entry> gone;  // leaving entries that the table does not have any more
    size_t ours = 0;          // entries of the table that are ours
    size_t removals = 0;  // of those, entries that the plan removes (destinations of removed services count)
};

// `found` may have more than what is ours. Entries are written whole: what gorb has no word for is a
// difference like any other. An entry that is both wanted and leaving is wanted. A leaving service goes with
// whatever is in it; a leaving destination goes out of any service that stays, also out of one that is
// foreign. Destinations the kernel made local (LOCALNODE) because their address is this host's count as what
// was asked for.
//
// Cost: O(n + l log n), without copies but those in the operations.
Plan plan(const Table& wanted, const Table& found, const std::set<Entry>& leaving);

// Settings in words, "" where there is or will be none; of edits what differs.
struct Words {
    std::string before, after;
};
// Of an operation that plan() gave for this `found`.
Words words_of(const ipvs::Op& op, const Table& found);

// The guard against mass deletion.
struct Guard {
    unsigned share = 50;  // per cent of ours that one change may remove; 100: no guard
    size_t least = 20;    // so many may always be removed
};
// "" when the plan may be done, else a sentence that says how much it would remove of how much.
std::string too_much(const Plan& plan, const Guard& guard);

// "wrr, persistent 300 s", "nat, weight 100": settings for people.
std::string settings_text(const ipvs::ServiceRecord& record);
std::string settings_text(const ipvs::DestRecord& record);

}  // namespace gorb::reconcile
