// A drain goes by the time that has passed, whatever the time of day does meanwhile.
#include <gtest/gtest.h>

#include "control/drains.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "store/transitions.h"

namespace gorb::control::drain_clock_test {
namespace {

using base::second;

class JumpingClock final : public base::Clock {
  public:
    uint64_t now() const override { return steady.now(); }
    int64_t wall() const override { return steady.wall() + off; }

    base::ManualClock steady;
    int64_t off = 0;
};

TEST(DrainClockTest, ADrainTakesItsTimeHoweverTheTimeOfDayJumps) {
    constexpr auto day = static_cast<int64_t>(86'400 * second);
    for (const int64_t jump : {day, -day}) {
        model::Service service;
        service.name = "web";
        service.key.vip = *base::Endpoint::parse("10.0.0.1:80");
        model::BackendEntry entry;
        entry.spec.name = "b1";
        entry.spec.address = *base::Endpoint::parse("10.1.0.1:80");
        entry.spec.admin = model::Admin::drain;
        entry.spec.drain_timeout = model::drain_time(std::chrono::seconds(30));
        entry.id = model::BackendId{1};
        JumpingClock clock;
        entry.drain_since = clock.wall();
        store::Builder builder;
        builder.add(service, 1, model::Origin::api);
        builder.add(std::make_shared<const model::BackendEntry>(entry));
        const model::Snapshot now = builder.finish(1);
        ipvs::MemoryDriver driver;
        const auto record = reconcile::service_record(service);
        const auto dest = reconcile::dest_record(entry.spec, 0);
        for (const auto& status :
             driver.apply(std::vector{ipvs::Op::add(record), ipvs::Op::add(record.key, dest)}))
            ASSERT_TRUE(status);
        ASSERT_TRUE(driver.set_counters(record.key, dest.address, {1, 0}));  // a connection that stays

        const Slots slots;
        Drains drains(clock, slots);
        drains.follow("web", entry);
        clock.off = jump;
        clock.steady.advance(29 * second);
        EXPECT_EQ(drains.look(now, driver).size(), 0U) << jump;
        clock.off = 0;
        clock.steady.advance(second);
        EXPECT_EQ(drains.look(now, driver).size(), 1U) << jump;
    }
}

}  // namespace
}  // namespace gorb::control::drain_clock_test
