#include "reconcile/table.h"

#include <algorithm>

namespace gorb::reconcile {

Dests dests_of(std::vector<ipvs::DestRecord> records) {
    const auto before = [](const ipvs::DestRecord& a, const ipvs::DestRecord& b) {
        return a.address < b.address;
    };
    if (!std::is_sorted(records.begin(), records.end(), before))
        std::stable_sort(records.begin(), records.end(), before);
    const auto same = [](const ipvs::DestRecord& a, const ipvs::DestRecord& b) {
        return a.address == b.address;
    };
    records.erase(std::unique(records.begin(), records.end(), same), records.end());
    Dests::sequence_type sequence;
    sequence.reserve(records.size());
    for (const ipvs::DestRecord& record : records) sequence.emplace_back(record.address, record);
    Dests dests;
    dests.adopt_sequence(boost::container::ordered_unique_range, std::move(sequence));
    return dests;
}

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
        table.emplace_hint(table.end(), key, TableService{std::move(record), dests_of(std::move(*dests))});
    }
    return table;
}

}  // namespace gorb::reconcile
