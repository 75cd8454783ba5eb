// What a stop with release_on_exit leaves in the kernel's table.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "unit/control/fake_database.h"
#include "unit/control/objects.h"
#include "unit/control/shared_table.h"

namespace gorb::control::release_test {
namespace {

using ipvs::Op;

constexpr char vip[] = "10.0.0.1:80";

TEST(Release, TakesABackendAlongThatIsOutAndThatSomebodyPutBack) {
    ipvs::MemoryDriver table;
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    Options options;
    options.reconcile_period_ns = 0;
    options.release_on_exit = true;
    Control control(std::make_unique<SharedTable>(table), nullptr, registry, options);
    ASSERT_TRUE(control.start());
    // Not checked yet, so it has no place there.
    model::Service web = service("web", vip);
    web.scheduler = "dh";
    ASSERT_TRUE(submit(control, PutService{web, {}}).get());
    ASSERT_TRUE(submit(control, PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}).get());
    ASSERT_TRUE(table.dests(key(vip))->empty());
    const auto record = reconcile::dest_record(backend("", "10.1.0.1:80"), 33);
    ASSERT_TRUE(table.apply(std::vector{Op::add(key(vip), record)}).back());
    control.stop();
    EXPECT_TRUE(table.services()->empty());
}

TEST(Release, OfALargeTableIsNoTurnThatIsStuck) {
    base::ManualClock clock;
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    auto* table = new ipvs::MemoryDriver;
    Options options;
    options.reconcile_period_ns = 0;
    options.release_on_exit = true;
    options.clock = &clock;
    Control control(std::unique_ptr<ipvs::Driver>(table), nullptr, registry, options);
    ASSERT_TRUE(control.start());
    model::Config config;
    for (int i = 0; i < 1'000; ++i) {  // in the order of their names, as a Config is
        const std::string n = std::to_string(1'000 + i);
        model::ConfigService one{service("s" + n, "10.0.0.1:" + n), {}};
        one.backends = {backend("b1", "10.1.0.1:80"), backend("b2", "10.1.0.2:80")};
        config.services.push_back(std::move(one));
    }
    ASSERT_TRUE(submit(control, PutConfig{config, {}, false}).get());
    const uint64_t begin = clock.now();
    uint64_t longest = 0;
    table->set_hook([&](const Op&, uint64_t) {
        clock.advance(10'000'000);
        longest = std::max(longest, clock.now() - control.busy_since());
        return 0;
    });
    control.stop();
    EXPECT_GE(clock.now() - begin, 30 * base::second);
    EXPECT_LT(longest, 10 * base::second);
}

// The next step of its ramp is due while the end waits for the disk, and there is no destination to set any
// more.
TEST(Release, PutsNothingBackWhileItWaitsForTheDisk) {
    ipvs::MemoryDriver table;
    Disk disk;
    base::ManualClock clock;
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    Options options;
    options.reconcile_period_ns = 0;
    options.release_on_exit = true;
    options.clock = &clock;
    Control control(std::make_unique<SharedTable>(table), nullptr, registry, options,
                    std::make_unique<FakeDatabase>(disk));
    ASSERT_TRUE(control.start());
    model::Service web = service("web", vip);
    web.pool.recovery = model::Recovery::ramp;
    web.pool.slow_start = std::chrono::seconds(20);
    ASSERT_TRUE(submit(control, PutService{web, {}}).get());
    ASSERT_TRUE(submit(control, PutBackend{"web", backend("b1", "10.1.0.1:80"), {}}).get());
    const auto id = (*(*control.snapshot()->services.find("web"))->backends.find("b1"))->id;
    const health::Changed changed{id, health::State::up, 100, 1, clock.now(), "as the test says"};
    control.health_changed({&changed, 1});
    ASSERT_TRUE(look(control));  // after the weights
    ASSERT_EQ(table.dests(key(vip))->front().weight, 10U);
    disk.hold();
    std::thread stop([&] { control.stop(); });
    while (disk.queued() == 0) std::this_thread::yield();
    EXPECT_TRUE(table.services()->empty());
    clock.advance(10 * base::second);
    disk.release();
    stop.join();
    EXPECT_TRUE(table.services()->empty());
}

// A service that is not looked at can not be seen to be empty, and it would take along what others have in
// it.
class Unreadable final : public SharedTable {
  public:
    using SharedTable::SharedTable;
    base::Result<std::vector<ipvs::DestRecord>> dests(const ipvs::ServiceKey& of) override {
        if (of == key(vip)) return base::fail(base::Errc::refused, "not now");
        return SharedTable::dests(of);
    }
};

// What the log has of a stop, and the table's services after it.
std::pair<std::string, size_t> stopped(ipvs::MemoryDriver& table, std::unique_ptr<ipvs::Driver> driver,
                                       const std::function<void()>& meanwhile) {
    plugin::Registry registry;
    registry.load({GORB_PLUGINS});
    Options options;
    options.reconcile_period_ns = 0;
    options.release_on_exit = true;
    Control control(std::move(driver), nullptr, registry, options);
    EXPECT_TRUE(control.start());
    EXPECT_TRUE(submit(control, PutService{service("web", vip), {}}).get());
    EXPECT_TRUE(submit(control, PutService{service("api", "10.0.0.2:80"), {}}).get());
    meanwhile();
    testing::internal::CaptureStderr();
    control.stop();
    return {testing::internal::GetCapturedStderr(), table.services()->size()};
}

TEST(Release, SaysWhatStaysForTheSakeOfOthers) {
    ipvs::MemoryDriver table;
    const auto [log, services] = stopped(table, std::make_unique<SharedTable>(table), [&] {
        const auto record = reconcile::dest_record(backend("", "10.1.0.1:80"), 33);
        ASSERT_TRUE(table.apply(std::vector{Op::add(key(vip), record)}).back());
    });
    EXPECT_EQ(services, 1U);
    EXPECT_NE(log.find("but for virtual services that have somebody else's destinations"), std::string::npos)
        << log;
    EXPECT_NE(log.find("10.0.0.1:80"), std::string::npos) << log;
}

TEST(Release, SaysWhatStaysBecauseItCouldNotBeLookedAt) {
    ipvs::MemoryDriver table;
    const auto [log, services] = stopped(table, std::make_unique<Unreadable>(table), [] {});
    EXPECT_EQ(services, 1U);
    EXPECT_NE(log.find("not everything could be removed from the kernel"), std::string::npos) << log;
    EXPECT_NE(log.find("not now"), std::string::npos) << log;
}

}  // namespace
}  // namespace gorb::control::release_test
