// What a stop with release_on_exit leaves in the kernel's table.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gorb::control::release_test
