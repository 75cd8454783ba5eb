// When what others do to the kernel's table is looked for: by the clock, whatever else goes on.
#include <gtest/gtest.h>

#include <future>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::drift_clock_test {
namespace {

using base::second;

struct DriftClockTest : testing::Test {
    ipvs::MemoryDriver table;
    base::ManualClock clock;
    plugin::Registry registry;
    std::unique_ptr<Control> control;

    void start(uint64_t period) {
        Options options;
        options.clock = &clock;
        options.reconcile_period_ns = period;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options);
        ASSERT_TRUE(control->start());
        ASSERT_TRUE(submit(*control, PutService{service("web", "10.0.0.1:80"), {}}).get());
    }
    // What the clock makes due is done when this returns.
    void pass(uint64_t ns) {
        clock.advance(ns);
        for (int i = 0; i < 3; ++i) {
            std::promise<void> asked;
            control->ownership([&asked](const base::Result<Ownership>&) { asked.set_value(); });
            asked.get_future().wait();
        }
    }
    void remove_from_outside() {
        ASSERT_TRUE(table.apply(std::vector{ipvs::Op::remove(key("10.0.0.1:80"))})[0]);
        ASSERT_FALSE(there());
    }
    bool there() { return table.service(key("10.0.0.1:80"))->has_value(); }
};

TEST_F(DriftClockTest, IsRepairedWithinThePeriod) {
    start(30 * second);
    for (uint64_t n = 1; n <= 5; ++n) {
        pass(30 * second);  // a round has just been
        remove_from_outside();
        pass(29 * second);
        EXPECT_FALSE(there()) << "before its time";
        pass(1 * second);
        EXPECT_TRUE(there()) << n;
        EXPECT_EQ(control->totals().drift, n);
    }
}

TEST_F(DriftClockTest, IsRepairedWithinAnotherPeriod) {
    start(5 * second);
    pass(5 * second);
    remove_from_outside();
    pass(5 * second);
    EXPECT_TRUE(there());
}

TEST_F(DriftClockTest, IsLookedForOnlyWhenAskedWhereThereIsNoPeriod) {
    start(0);
    remove_from_outside();
    pass(3600 * second);
    EXPECT_FALSE(there());
    std::promise<void> asked;
    control->reconcile([&asked](const base::Result<SyncCounts>&) { asked.set_value(); });
    asked.get_future().wait();
    EXPECT_TRUE(there());
}

}  // namespace
}  // namespace gorb::control::drift_clock_test
