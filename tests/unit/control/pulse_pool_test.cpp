// One copy of equal lists of pulses, and what it costs to find it.
#include "control/pulse_pool.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <ctime>
#include <functional>

namespace gorb::control {
namespace {

struct PulsePoolTest : testing::Test {
    PulsePoolTest() { registry.load({GORB_PLUGINS}); }

    plugin::Registry registry;
    PulsePool pool{registry};
};

model::PulseSpec one() {
    model::PulseSpec pulse;
    pulse.type = "none";
    return pulse;
}

TEST_F(PulsePoolTest, EqualListsAreOneForAsLongAsSomebodyHasThem) {
    const auto first = pool.get(model::PulseList({one()})), second = pool.get(model::PulseList({one()}));
    ASSERT_TRUE(first && second);
    EXPECT_EQ(*first, *second);
    model::PulseSpec other = one();
    other.address = *base::Ip::parse("10.9.0.1");
    EXPECT_NE(*pool.get(model::PulseList({other})), *first);
}

// Management addresses are one for each backend.
TEST_F(PulsePoolTest, ListsThatDifferInOneMemberAloneAreFoundAsQuicklyAsOthers) {
    const auto ns_of = [&](const std::function<void(model::PulseSpec&, int)>& tell_apart) {
        std::vector<std::shared_ptr<const Pulses>> in_use;
        timespec begin{}, end{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
        for (int i = 0; i < 5'000; ++i) {
            model::PulseSpec pulse = one();
            tell_apart(pulse, i);
            in_use.push_back(pool.get(model::PulseList({pulse})).value());
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        return static_cast<double>(end.tv_sec - begin.tv_sec) * 1e9 +
               static_cast<double>(end.tv_nsec - begin.tv_nsec);
    };
    const double by_interval =
        ns_of([](auto& pulse, int i) { pulse.interval = std::chrono::milliseconds(100 + i); });
    EXPECT_LT(
        ns_of([](auto& pulse, int i) {
            const uint8_t bytes[] = {10, 1, static_cast<uint8_t>(i / 256), static_cast<uint8_t>(i % 256)};
            pulse.address = base::Ip::from_bytes(AF_INET, bytes);
        }),
        10 * by_interval);
    EXPECT_LT(ns_of([](auto& pulse, int i) { pulse.timeout = std::chrono::milliseconds(100 + i); }),
              10 * by_interval);
}

}  // namespace
}  // namespace gorb::control
