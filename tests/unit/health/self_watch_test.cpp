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
