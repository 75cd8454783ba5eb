// What a stop with release_on_exit leaves in the kernel's table.
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "control/control.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
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
