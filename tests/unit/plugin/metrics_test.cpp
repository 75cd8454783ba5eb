#include "plugin/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>
#include <vector>

namespace gorb::plugin::metrics_test {
namespace {

TEST(Metrics, TheSameNameIsTheSameMetric) {
    Metrics metrics;
    const uint64_t a = metrics.counter("http", "requests", "sent");
    EXPECT_NE(a, 0U);
    EXPECT_EQ(metrics.counter("http", "requests", "again"), a);
    EXPECT_NE(metrics.counter("tcp", "requests", "sent"), a);
    metrics.add(a, 2);
    metrics.add(a, 0.5);
    const auto all = metrics.read();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].name, "gorb_plugin_http_requests");
    EXPECT_EQ(all[0].help, "sent");
    EXPECT_TRUE(all[0].counter);
    EXPECT_EQ(all[0].value, 2.5);
    EXPECT_EQ(all[1].name, "gorb_plugin_tcp_requests");
}

TEST(Metrics, ANameOfTheOtherKindOrOfOtherCharactersIsNone) {
    Metrics metrics;
    EXPECT_NE(metrics.gauge("my-plugin", "depth", ""), 0U);
    EXPECT_EQ(metrics.counter("my-plugin", "depth", ""), 0U);
    for (const char* name : {"", "Upper", "a-b", "a b", "ä"})
        EXPECT_EQ(metrics.counter("p", name, ""), 0U) << name;
    EXPECT_NE(metrics.counter("p", std::string(64, 'a'), ""), 0U);
    EXPECT_EQ(metrics.counter("p", std::string(65, 'a'), ""), 0U);
    EXPECT_EQ(metrics.read()[0].name, "gorb_plugin_my_plugin_depth");
}

TEST(Metrics, ACounterOnlyGrowsAndNonsenseIsIgnored) {
    Metrics metrics;
    const uint64_t counter = metrics.counter("p", "c", ""), gauge = metrics.gauge("p", "g", "");
    metrics.add(counter, 3);
    metrics.add(counter, -1);
    metrics.set(counter, 0);
    metrics.add(counter, std::numeric_limits<double>::quiet_NaN());
    metrics.set(gauge, 5);
    metrics.add(gauge, -2);
    metrics.set(gauge, std::numeric_limits<double>::infinity());
    for (const uint64_t none : {uint64_t{0}, uint64_t{3}, uint64_t{4097}, UINT64_MAX}) {
        metrics.add(none, 1);
        metrics.set(none, 1);
    }
    EXPECT_EQ(metrics.read()[0].value, 3);
    EXPECT_EQ(metrics.read()[1].value, 3);
}

TEST(Metrics, AreBoundedInNumber) {
    Metrics metrics;
    for (int i = 0; i < 4096; ++i) ASSERT_NE(metrics.counter("p", "m" + std::to_string(i), ""), 0U);
    EXPECT_EQ(metrics.counter("p", "one_more", ""), 0U);
    EXPECT_NE(metrics.counter("p", "m0", ""), 0U);
}

TEST(Metrics, CountFromManyThreads) {
    Metrics metrics;
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) metrics.add(metrics.counter("p", "c", ""), 1);
        });
    }
    for (int i = 0; i < 100; ++i) (void)metrics.read();
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(metrics.read()[0].value, 4000);
}

}  // namespace
}  // namespace gorb::plugin::metrics_test
