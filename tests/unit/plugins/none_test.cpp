#include "loaded.h"

namespace plugin_test {
namespace {

TEST(PulseNone, PassesAtOnceWithoutTouchingTheTarget) {
    Instance none("none");
    auto* probe = none.pulse.add(gorb::testing::address("192.0.2.1", 9));
    const gorb_run run = none.pulse.start(probe);
    const auto reports = none.host.reports_of(run);
    ASSERT_EQ(reports.size(), 1u) << "answered within start()";
    EXPECT_EQ(reports[0].verdict, GORB_PASS);
    EXPECT_EQ(reports[0].detail, "not checked");
    EXPECT_TRUE(none.host.held().empty());
}

TEST(PulseNone, TakesNoArguments) {
    EXPECT_THROW(gorb::testing::PulseRunner::check(plugin("none"), {{"port", "80"}}), std::invalid_argument);
}

TEST(PulseNone, WorksOnAHostWithoutAnyService) {
    gorb::testing::FakeHost host;
    for (const char* id : {GORB_SERVICE_LOOP, GORB_SERVICE_NET, GORB_SERVICE_WORK, GORB_SERVICE_METRICS})
        host.without(id);
    gorb::testing::PulseRunner pulse(host, plugin("none"));
    EXPECT_EQ(pulse.run(pulse.add(gorb::testing::address("::1", 1)))->verdict, GORB_PASS);
}

}  // namespace
}  // namespace plugin_test
