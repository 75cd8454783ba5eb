// The IPVS table as a value: what is wanted of it, or what was found in it.
#pragma once
#include <map>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "ipvs/driver.h"

namespace gorb::reconcile {

struct TableService {
    ipvs::ServiceRecord record;
    std::map<base::Endpoint, ipvs::DestRecord> dests;
};
using Table = std::map<ipvs::ServiceKey, TableService>;

// The whole table of the driver. A service that goes while it is read is not in it; any other error is the
// result.
base::Result<Table> read_table(ipvs::Driver& driver);

// The same of these services only, whose records are known already.
base::Result<Table> read_table(ipvs::Driver& driver, std::vector<ipvs::ServiceRecord> services);

}  // namespace gorb::reconcile
