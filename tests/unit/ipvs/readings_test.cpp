// A table as the kernel hands it out, part by part, while others change it.
#include "ipvs/readings.h"

#include "unit/ipvs/records.h"

namespace gorb::ipvs::readings_test {
namespace {

constexpr size_t page = 4096, small = 1000, full = 3600;

std::vector<DestRecord> dests(const std::vector<int>& numbers) {
    std::vector<DestRecord> out;
    out.reserve(numbers.size());
    for (const int n : numbers) out.push_back(dest_of("10.1.0." + std::to_string(n) + ":80", 1));
    return out;
}

TEST(Readings, OnePartThatHadRoomForMoreIsTheWholeTable) {
    EXPECT_EQ(Readings<DestRecord>(page).add(dests({1, 2}), 1, small)->size(), 2U);
    EXPECT_TRUE(Readings<DestRecord>(page).add({}, 0, 0)->empty());
    for (const size_t bytes : {size_t{4097}, size_t{8000}, size_t{20'000}, size_t{30'000}})
        EXPECT_FALSE(may_be_full(bytes, page)) << bytes;
    EXPECT_FALSE(may_be_full(full, 65536));
    for (const size_t bytes : {size_t{3000}, size_t{3776}, size_t{31'000}, size_t{32'448}})
        EXPECT_TRUE(may_be_full(bytes, page)) << bytes;
    EXPECT_TRUE(may_be_full(7800, 65536));
}

// 1 to 9 are shown, then somebody removes 1: 10 stands where the kernel has looked already.
TEST(Readings, OfOneThatMayHaveBeenFullTheRestMayBeMissingSoItIsReadTwice) {
    Readings<DestRecord> readings(page);
    EXPECT_FALSE(readings.add(dests({1, 2, 3, 4, 5, 6, 7, 8, 9}), 1, full));
    EXPECT_FALSE(readings.add(dests({2, 3, 4, 5, 6, 7, 8, 9, 10}), 1, full)) << "1 has gone since";
    EXPECT_EQ(readings.add(dests({2, 3, 4, 5, 6, 7, 8, 9, 10}), 1, full)->size(), 9U);
}

TEST(Readings, SoAreMorePartsAndWhatShowsSomethingTwiceCountsForNothing) {
    Readings<DestRecord> readings(page);
    EXPECT_FALSE(readings.add(dests({1, 2, 3}), 2, small));
    EXPECT_FALSE(readings.add(dests({1, 2, 2, 3}), 2, small));
    EXPECT_FALSE(readings.add(dests({1, 2, 3}), 2, small));
    readings.disturbed();
    EXPECT_FALSE(readings.add(dests({1, 2, 3}), 2, small));
    EXPECT_FALSE(readings.add(dests({2, 1, 3}), 2, small)) << "in another order";
    EXPECT_EQ(readings.add(dests({4, 2, 1, 3}), 2, small)->size(), 4U);
}

}  // namespace
}  // namespace gorb::ipvs::readings_test
