#include "ipvs/netlink_driver.h"
#include "unit/ipvs/driver_contract.h"

namespace gorb::ipvs {

INSTANTIATE_TEST_SUITE_P(Kernel, DriverContract,
                         testing::Values(DriverMaker{"kernel", [] { return open_netlink_driver(); }, true}),
                         [](const auto& instance) { return instance.param.name; });

// One operation in each send: the answers are the same.
NetlinkOptions one_by_one() {
    NetlinkOptions options;
    options.batch = 1;
    return options;
}
INSTANTIATE_TEST_SUITE_P(KernelOneByOne, DriverContract,
                         testing::Values(DriverMaker{"kernel",
                                                     [] { return open_netlink_driver(one_by_one()); }, true}),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace gorb::ipvs
