// The containers under the records: SlotTable, Chunks, Specs.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "health/chunks.h"
#include "health/slot_table.h"
#include "health/spec.h"

namespace gorb::health::store_test {
namespace {

TEST(SlotTable, FindsWhatWasPutInThroughARandomLife) {
    std::mt19937_64 random(7);
    SlotTable table;
    std::map<uint32_t, uint32_t> known;  // slot -> hash
    for (int step = 0; step < 100'000; ++step) {
        if (random() % 5 < 3 || known.empty()) {
            const auto slot = static_cast<uint32_t>(random() % 3000);
            if (known.contains(slot)) continue;
            const auto hash = static_cast<uint32_t>(random() % 500);  // many alike
            table.insert(hash, slot);
            known[slot] = hash;
        } else {
            auto it = known.lower_bound(static_cast<uint32_t>(random() % 3000));
            if (it == known.end()) it = known.begin();
            table.erase(it->second, it->first);
            known.erase(it);
        }
        ASSERT_EQ(table.size(), known.size());
        const auto slot = static_cast<uint32_t>(random() % 3000);
        const auto it = known.find(slot);
        const auto is = [&](uint32_t s) { return s == slot; };
        if (it != known.end()) {
            ASSERT_EQ(table.find(it->second, is), slot);
        } else {
            ASSERT_EQ(table.find(static_cast<uint32_t>(random() % 500), is), SlotTable::none);
        }
    }
}

TEST(SlotTable, AnEmptyOneFindsNothing) {
    const SlotTable table;
    EXPECT_EQ(table.find(1, [](uint32_t) { return true; }), SlotTable::none);
}

TEST(Chunks, KeepTheirElementsInPlaceWhileTheyGrow) {
    Chunks<uint64_t> chunks;
    chunks.reach(0);
    uint64_t* const first = &chunks[0];
    *first = 42;
    chunks.reach(100'000);
    EXPECT_EQ(&chunks[0], first);
    EXPECT_EQ(chunks[0], 42U);
    EXPECT_EQ(chunks[100'000], 0U);
    EXPECT_GT(chunks.size(), 100'000U);
}

TEST(Specs, EqualPulsesAreOneAndAnyDifferenceMakesAnother) {
    Specs specs;
    model::PulseSpec pulse;
    const auto of = [&](const model::PulseSpec& p) { return specs.of(model::PulseList({p}), 0, nullptr); };
    const SpecPtr first = of(pulse);
    EXPECT_EQ(of(pulse), first);
    model::PulseSpec other = pulse;
    other.damping.forget = std::chrono::seconds(1);
    const SpecPtr second = of(other);
    EXPECT_NE(second, first);
    EXPECT_EQ(of(pulse), first);
    other.initial = model::Initial::up;
    EXPECT_NE(of(other), second);
}

TEST(Specs, ThoseThatNobodyHasAreForgotten) {
    Specs specs;
    for (uint32_t i = 1; i < 1000; ++i) {
        model::PulseSpec pulse;
        pulse.rise = i;
        const std::weak_ptr<const Spec> weak = specs.of(model::PulseList({pulse}), 0, nullptr);
        EXPECT_TRUE(weak.expired());
    }
}

}  // namespace
}  // namespace gorb::health::store_test
