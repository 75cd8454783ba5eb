#include "ipvs/vip.h"

#include "unit/ipvs/namespaces.h"
#include "unit/ipvs/vip_bodies.h"

namespace gorb::ipvs::vip_test {
namespace {

void run(const std::function<void()>& body) {
    switch (in_new_network_namespace(body)) {
        case InNamespace::passed:
            break;
        case InNamespace::failed:
            ADD_FAILURE() << "see above";
            break;
        case InNamespace::forbidden:
            GTEST_SKIP() << "network namespaces are forbidden here; ipvs_kernel_test runs this test too";
    }
}

TEST(VipTable, AddsHostAddressesAndRemovesThem) {
    run(vip_is_added_as_host_address_and_removed);
}
TEST(VipTable, AnAddressThatIsThereIsNotAddedAgain) {
    run(vip_that_is_there_is_not_added_again);
}
TEST(VipTable, NoConnectionComesFromAVip) {
    run(vip_is_no_source_of_connections);
}
TEST(VipTable, AMissingInterfaceIsNamed) {
    run(vip_needs_its_interface);
}
TEST(VipTable, AnExchangeThatBreaksOffIsTriedOnceMore) {
    run(vip_exchange_that_breaks_off_is_tried_again);
}
TEST(VipTable, WhatAFailureLeftInTheSocketIsNotTakenForTheNextAnswer) {
    run(vip_failure_spoils_nothing_after_it);
}

}  // namespace
}  // namespace gorb::ipvs::vip_test
