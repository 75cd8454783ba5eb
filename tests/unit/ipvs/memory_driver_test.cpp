#include "ipvs/memory_driver.h"

#include <cerrno>
#include <chrono>

#include "unit/ipvs/driver_contract.h"

namespace gorb::ipvs::memory_driver_test {

INSTANTIATE_TEST_SUITE_P(Memory, DriverContract,
                         testing::Values(DriverMaker{"memory",
                                                     []() -> base::Result<std::unique_ptr<Driver>> {
                                                         return std::make_unique<MemoryDriver>();
                                                     },
                                                     false}),
                         [](const auto& instance) { return instance.param.name; });

namespace {

std::vector<Op> service_with_dests(const ServiceKey& key, uint32_t dests) {
    std::vector<Op> ops = {Op::add(service_of(key))};
    for (uint32_t i = 0; i < dests; ++i) ops.push_back(Op::add(key, numbered_dest(i)));
    return ops;
}

TEST(MemoryDriver, FailsTheOperationsThatItWasToldToFail) {
    MemoryDriver driver;
    driver.fail_op(1, ENOMEM);
    const auto ops = service_with_dests(tcp("10.0.0.1:80"), 2);
    const auto answers = driver.apply(ops);
    EXPECT_TRUE(ok(answers[0]));
    EXPECT_TRUE(refused(answers[1], base::Errc::refused, ops[1]));
    EXPECT_EQ(answers[1].error().os_error, ENOMEM);
    EXPECT_TRUE(ok(answers[2]));
    EXPECT_EQ(driver.dests(tcp("10.0.0.1:80"))->size(), 1U);
    EXPECT_EQ(driver.ops(), 3U);
}

TEST(MemoryDriver, FailsAllUntilToldOtherwise) {
    MemoryDriver driver;
    driver.fail_all(EPERM);
    const Op op = Op::add(service_of(tcp("10.0.0.1:80")));
    EXPECT_TRUE(refused(driver.apply(std::span(&op, 1))[0], base::Errc::forbidden, op));
    EXPECT_EQ(driver.flush().error().code, base::Errc::forbidden);
    const std::vector<std::string_view> names = {"rr"};
    EXPECT_FALSE(driver.probe_schedulers(names));
    driver.fail_all(0);
    EXPECT_TRUE(ok(driver.apply(std::span(&op, 1))[0]));
}

TEST(MemoryDriver, FailsReadings) {
    MemoryDriver driver;
    driver.fail_reads(ENOBUFS);
    EXPECT_EQ(driver.services().error().code, base::Errc::unavailable);
    EXPECT_EQ(driver.service(mark(1)).error().os_error, ENOBUFS);
    EXPECT_FALSE(driver.dests(mark(1)));
    EXPECT_FALSE(driver.info());
    driver.fail_reads(0);
    EXPECT_TRUE(ok(driver.services()));
}

TEST(MemoryDriver, AHookDecidesAndMayUseTheDriver) {
    MemoryDriver driver;
    std::vector<std::string> seen;
    driver.set_hook([&](const Op& op, uint64_t number) {
        seen.push_back(std::to_string(number) + " " + op.text() + " " +
                       std::to_string(driver.services()->size()));
        return op.kind == Op::Kind::add_dest ? ENOSPC : 0;
    });
    const auto answers = driver.apply(service_with_dests(tcp("10.0.0.1:80"), 1));
    EXPECT_TRUE(ok(answers[0]));
    EXPECT_EQ(answers[1].error().os_error, ENOSPC);
    EXPECT_EQ(seen, (std::vector<std::string>{"0 add virtual service 10.0.0.1:80/tcp 0",
                                              "1 add destination 10.64.0.0:80 to 10.0.0.1:80/tcp 1"}));
}

TEST(MemoryDriver, CountersAreTheTablesOwn) {
    MemoryDriver driver;
    const ServiceKey key = tcp("10.0.0.1:80");
    DestRecord d = dest_of("10.1.0.1:80", 4);
    d.active = 77;
    ASSERT_TRUE(all_ok(driver.apply(std::vector{Op::add(service_of(key)), Op::add(key, d)})));
    EXPECT_EQ(driver.dests(key)->front().active, 0U);
    EXPECT_FALSE(driver.set_counters(key, at("10.1.0.2:80"), {1, 1}));
    ASSERT_TRUE(driver.set_counters(key, d.address, {3, 5, 2}, {9, 8, 7, 6, 5}));
    ASSERT_TRUE(all_ok(driver.apply(std::vector{Op::edit(key, dest_of("10.1.0.1:80", 0))})));
    const DestRecord now = driver.dests(key)->front();
    EXPECT_EQ(now.active, 3U);
    EXPECT_EQ(now.inactive, 5U);
    EXPECT_EQ(now.persistent, 2U);
    EXPECT_EQ(now.stats, (Stats{9, 8, 7, 6, 5}));
    EXPECT_EQ(now.weight, 0U);
}

TEST(MemoryDriver, KnowsTheSchedulersItWasMadeWith) {
    MemoryDriver driver({"rr"});
    const std::vector<std::string_view> names = {"rr", "wrr"};
    EXPECT_EQ(*driver.probe_schedulers(names), std::vector<std::string>{"rr"});
    const Op op = Op::add(service_of(tcp("10.0.0.1:80"), "wrr"));
    EXPECT_TRUE(refused(driver.apply(std::span(&op, 1))[0], base::Errc::unsupported, op));
}

TEST(MemoryDriver, HoldsAHundredThousandDestinations) {
    MemoryDriver driver;
    std::vector<Op> ops = service_with_dests(tcp("10.0.0.1:80"), 50'000);
    for (const Op& op : service_with_dests(tcp("10.0.0.2:80"), 50'000)) ops.push_back(op);
    ASSERT_TRUE(all_ok(driver.apply(ops)));
    EXPECT_EQ(driver.dests(tcp("10.0.0.1:80"))->size() + driver.dests(tcp("10.0.0.2:80"))->size(), 100'000U);
}

}  // namespace
}  // namespace gorb::ipvs::memory_driver_test
