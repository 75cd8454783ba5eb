// The IPVS table as a value: what is wanted of it, or what was found in it.
#pragma once
#include <boost/container/flat_map.hpp>
#include <map>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "ipvs/driver.h"

namespace gorb::reconcile {

using Dests = boost::container::flat_map<base::Endpoint, ipvs::DestRecord>;

struct TableService {
    ipvs::ServiceRecord record;
    Dests dests;
};
using Table = std::map<ipvs::ServiceKey, TableService>;

// Destinations that stand in any order, at once: one by one they would be moved again and again. Of two with
// one address the first counts.
Dests dests_of(std::vector<ipvs::DestRecord> records);

// The whole table of the driver. A service that goes while it is read is not in it; any other error is the
// result.
base::Result<Table> read_table(ipvs::Driver& driver);

// The same of these services only, whose records are known already.
base::Result<Table> read_table(ipvs::Driver& driver, std::vector<ipvs::ServiceRecord> services);

}  // namespace gorb::reconcile
