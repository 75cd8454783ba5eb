// When rounds through the kernel's table begin.
#include "control/rounds.h"

#include <gtest/gtest.h>

#include "ipvs/memory_driver.h"
#include "unit/control/shared_table.h"

namespace gorb::control::rounds_test {
namespace {

using base::second;

// A table whose reading takes its time.
class Slow final : public SharedTable {
  public:
    Slow(ipvs::MemoryDriver& table, base::ManualClock& clock, uint64_t takes)
        : SharedTable(table), clock_(&clock), takes_(takes) {}
    base::Result<std::optional<ipvs::ServiceRecord>> service(const ipvs::ServiceKey& key) override {
        clock_->advance(takes_);
        return SharedTable::service(key);
    }

  private:
    base::ManualClock* clock_;
    uint64_t takes_;
};

// When the next round begins, after the begin of one that takes so long and is due at once.
uint64_t next_after_one_of(uint64_t takes) {
    base::ManualClock clock;
    ipvs::MemoryDriver table;
    Slow driver(table, clock, takes);
    LeavingSet leaving{{{model::Protocol::tcp, *base::Endpoint::parse("10.0.0.1:80")}, {}}};
    Sync::Ports ports;
    ports.driver = &driver;
    ports.leaving = &leaving;
    ports.clock = &clock;
    ports.left = [](const store::Leaving&) {};
    Sync sync(std::move(ports));
    Rounds rounds(sync, clock, 30 * second, [] { return size_t{0}; });
    rounds.ask([](const base::Result<SyncCounts>&) {});
    const uint64_t begin = clock.now();
    EXPECT_FALSE(rounds.step({}));
    EXPECT_EQ(clock.now(), begin + takes);
    return rounds.next() - begin;
}

TEST(Rounds, ThePeriodIsFromBeginToBegin) {
    EXPECT_EQ(next_after_one_of(0), 30 * second);
    EXPECT_EQ(next_after_one_of(7 * second), 30 * second);
    // With a pause, however long it takes.
    EXPECT_EQ(next_after_one_of(40 * second), 43 * second);
}

}  // namespace
}  // namespace gorb::control::rounds_test
