// What several loops find out at the same time is told in the order in which it came about.
#include "health/self_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace gorb::health::self_watch_test {
namespace {

constexpr uint64_t second = 1'000'000'000;

// Loops look at their clocks once in a turn.
TEST(SelfWatch, LoopsWhoseClocksAreSomeTimeApartFreezeAndStayFrozen) {
    for (const uint64_t apart : {uint64_t{0}, uint64_t{1'000}, uint64_t{30'000'000}}) {
        std::vector<bool> told;
        SelfWatch watch({.on = true, .threshold = 70, .least = 10, .thaw_after = 10},
                        [&](const Suspicion& suspicion) { told.push_back(suspicion.frozen); });
        const auto turn = [&](uint8_t host, Detector::Sign before, Detector::Sign after, uint64_t now) {
            base::Ip ip = *base::Ip::parse("10.1.0.0");
            ip.bytes[3] = host;
            watch.turned(ip, before, after, second, now);
        };
        for (uint8_t host = 0; host < 12; ++host)
            turn(host, Detector::Sign::none, Detector::Sign::good, second);
        for (uint8_t host = 0; host < 12; ++host)
            turn(host, Detector::Sign::good, Detector::Sign::bad, 100 * second - host % 2 * apart);
        EXPECT_EQ(told, std::vector<bool>{true}) << apart;
        watch.tick(100 * second - apart);
        EXPECT_TRUE(watch.frozen()) << apart;
    }
}

TEST(SelfWatch, AThawIsNotToldBeforeTheFreezeThatItEnds) {
    SelfSuspicion settings;
    settings.on = true;
    settings.least = 4;
    std::vector<bool> told;
    std::promise<void> freezing, thawed;
    SelfWatch watch(settings, [&](const Suspicion& suspicion) {
        if (suspicion.frozen) {
            freezing.set_value();
            // Time enough for the other thread to overtake this one, if it could.
            thawed.get_future().wait_for(std::chrono::milliseconds(200));
        }
        told.push_back(suspicion.frozen);
        if (!suspicion.frozen) thawed.set_value();
    });
    const auto turn = [&](uint8_t host, Detector::Sign before, Detector::Sign after, uint64_t now) {
        base::Ip ip = *base::Ip::parse("10.1.0.0");
        ip.bytes[3] = host;
        watch.turned(ip, before, after, second, now);
    };
    for (uint8_t host = 0; host < 10; ++host) turn(host, Detector::Sign::none, Detector::Sign::good, second);
    std::thread thaws([&] {
        freezing.get_future().wait();
        watch.tick(1000 * second);
        watch.tick(2000 * second);
    });
    for (uint8_t host = 0; host < 10 && !watch.frozen(); ++host)
        turn(host, Detector::Sign::good, Detector::Sign::bad, 2 * second);
    thaws.join();
    EXPECT_FALSE(watch.frozen());
    EXPECT_EQ(told, (std::vector<bool>{true, false}));
}

}  // namespace
}  // namespace gorb::health::self_watch_test
