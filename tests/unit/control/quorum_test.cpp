// A quorum with hysteresis over a restart: what it was is not stored, and is seen by what the backups have in
// the kernel.
#include <gtest/gtest.h>

#include <algorithm>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::quorum_test {
namespace {

using ipvs::Op;

constexpr char vip[] = "10.0.0.1:80";

// Three primaries, of which two make the quorum, give or take one; and b4, a backup that is up.
struct QuorumTest : testing::Test {
    ipvs::MemoryDriver table;
    Disk disk;
    plugin::Registry registry;
    std::unique_ptr<Control> control;
    model::Service web = service("web", vip);

    QuorumTest() {
        registry.load({GORB_PLUGINS});
        web.pool.quorum = 2;
        web.pool.hysteresis = 1;
    }
    // A start with so many primaries up, where the kernel has this weight of the backup.
    void start(int up, uint32_t weight) {
        ASSERT_TRUE(done(Op::add(reconcile::service_record(web))));
        store::Loaded::ServiceRow row;
        row.spec = web;
        for (int n = 1; n <= 4; ++n) {
            model::Backend spec = backend("b" + std::to_string(n), "10.1.0." + std::to_string(n) + ":80");
            spec.backup = n == 4;
            const bool is_up = spec.backup || n <= up;
            const uint32_t has = spec.backup ? weight : is_up ? 100 : 0;
            ASSERT_TRUE(done(Op::add(key(vip), reconcile::dest_record(spec, has))));
            store::Loaded::BackendRow& out = row.backends.emplace_back();
            out.spec = spec;
            out.health.state = is_up ? store::Health::State::up : store::Health::State::down;
        }
        disk.content.services = {row};
        restart();
    }
    void restart() {
        control.reset();
        Options options;
        options.reconcile_period_ns = 0;
        control = std::make_unique<Control>(std::make_unique<SharedTable>(table), nullptr, registry, options,
                                            std::make_unique<FakeDatabase>(disk));
        ASSERT_TRUE(control->start());
    }
    bool done(const Op& op) { return bool(table.apply(std::vector{op}).front()); }
    uint32_t backup() {
        const auto dests = table.dests(key(vip));
        const auto address = *base::Endpoint::parse("10.1.0.4:80");
        return std::ranges::find(*dests, address, &ipvs::DestRecord::address)->weight;
    }
    bool met() { return control->pool_of(web).assessment.quorum_met; }
};

TEST_F(QuorumTest, OneThatIsNotLostYetIsNotLostByAStart) {
    start(1, 0);
    EXPECT_TRUE(met());
    EXPECT_EQ(backup(), 0U);
}

TEST_F(QuorumTest, OneThatIsNotReachedAgainYetIsNotReachedByAStart) {
    start(2, 100);
    EXPECT_FALSE(met());
    EXPECT_EQ(backup(), 100U);
}

TEST_F(QuorumTest, OutsideOfItsHysteresisWhatIsUpDecides) {
    start(3, 100);
    EXPECT_TRUE(met());
    EXPECT_EQ(backup(), 0U);
}

TEST_F(QuorumTest, WhereTheTableWasLostItBeginsAnew) {
    start(2, 100);
    ASSERT_TRUE(done(Op::remove(key(vip))));
    restart();
    EXPECT_TRUE(met());
    EXPECT_EQ(backup(), 0U);
}

// By the batch of the change it keeps its weight; the other backup comes in after it.
TEST_F(QuorumTest, TheLastPrimaryServesOnAsABackup) {
    start(1, 0);
    ASSERT_TRUE(met());
    bool without = false;
    table.set_hook([&](const Op& op, uint64_t) {
        without =
            without || (op.dest.address == *base::Endpoint::parse("10.1.0.1:80") && op.dest.weight == 0);
        return 0;
    });
    ASSERT_TRUE(submit(*control, PatchBackend{"web", "b1", R"({"backup": true})", {}}).get());
    table.set_hook({});
    EXPECT_FALSE(without);
    EXPECT_FALSE(met());
    EXPECT_EQ(backup(), 100U);
}

}  // namespace
}  // namespace gorb::control::quorum_test
