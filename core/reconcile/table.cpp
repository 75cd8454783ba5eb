#include "reconcile/table.h"

#include <algorithm>

namespace gorb::reconcile {
namespace {

TableService service_of(ipvs::ServiceRecord record, std::vector<ipvs::DestRecord> dests) {
    TableService service{std::move(record), {}};
    std::sort(dests.begin(), dests.end(),
              [](const ipvs::DestRecord& a, const ipvs::DestRecord& b) { return a.address < b.address; });
    for (const ipvs::DestRecord& dest : dests)
        service.dests.emplace_hint(service.dests.end(), dest.address, dest);
    return service;
}

}  // namespace

base::Result<Table> read_table(ipvs::Driver& driver) {
    auto services = driver.services();
    if (!services) return base::fail(std::move(services.error()));
    return read_table(driver, std::move(*services));
}

base::Result<Table> read_table(ipvs::Driver& driver, std::vector<ipvs::ServiceRecord> services) {
    std::sort(services.begin(), services.end(),
              [](const ipvs::ServiceRecord& a, const ipvs::ServiceRecord& b) { return a.key < b.key; });
    Table table;
    for (ipvs::ServiceRecord& record : services) {
        auto dests = driver.dests(record.key);
        if (!dests) {
            if (dests.error().code == base::Errc::not_found) continue;
            return base::fail(std::move(dests.error()));
        }
        const ipvs::ServiceKey key = record.key;
        table.emplace_hint(table.end(), key, service_of(std::move(record), std::move(*dests)));
    }
    return table;
}

}  // namespace gorb::reconcile
