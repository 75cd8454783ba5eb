#include "health/pool.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gorb::health::pool_words_test {
namespace {

std::vector<std::string> warnings(model::Protocol protocol, uint32_t persistence_s, model::OnDown on_down,
                                  const char* scheduler = "rr", State second = State::down) {
    model::Service service;
    service.key.protocol = protocol;
    service.scheduler = scheduler;
    service.persistence_s = persistence_s;
    service.pool.on_down = on_down;
    Member members[2];
    members[0].id = 1;
    members[1].id = 2;
    for (Member& member : members) member.configured = 100;
    members[0].state = State::up;
    members[1].state = second;
    return pool_warnings(service, assess(service, members, nullptr));
}

// What the kernel does with them: tests/kernel/test_persistence.py.
TEST(PoolWarnings, SayWhichClientsStayWithABackendThatIsDown) {
    using model::OnDown;
    using model::Protocol;
    EXPECT_TRUE(warnings(Protocol::tcp, 0, OnDown::weight_zero).empty());
    EXPECT_EQ(warnings(Protocol::tcp, 300, OnDown::weight_zero).size(), 1U);
    EXPECT_EQ(warnings(Protocol::udp, 0, OnDown::weight_zero).size(), 1U);
    EXPECT_EQ(warnings(Protocol::udp, 300, OnDown::weight_zero).size(), 2U);
    EXPECT_TRUE(warnings(Protocol::udp, 300, OnDown::remove).empty());
    EXPECT_TRUE(warnings(Protocol::udp, 300, OnDown::weight_zero, "rr", State::up).empty());
    // dh removes whatever is asked for; what it says is another matter.
    EXPECT_EQ(warnings(Protocol::tcp, 300, OnDown::weight_zero, "dh").size(), 1U);
}

// Whether what a pulse asks for makes a difference is the scheduler's.
TEST(PoolWarnings, AShareThatMakesNoDifferenceIsNoFactorAndSaysWhy) {
    const auto look = [](const char* scheduler, uint32_t other) {
        model::Service service;
        service.scheduler = scheduler;
        Member asks, rest;
        asks.configured = 100;
        rest.configured = other;
        asks.state = rest.state = State::up;
        asks.share = 50;
        const Assessment pool = assess(service, std::vector{asks, rest}, nullptr);
        const Decision d = decide(service, pool, asks, 1);
        const auto warnings = pool_warnings(service, pool);
        return std::to_string(d.effective) + " " + std::to_string(d.share) + " % " +
               factor_words(service, d, "").share + "; " + (warnings.empty() ? "" : warnings.back());
    };
    EXPECT_EQ(look("wrr", 100), "50 50 % its pulse asks for 50 % of the weight; ");
    EXPECT_EQ(look("mh", 100), "50 50 % its pulse asks for 50 % of the weight; ");
    EXPECT_EQ(look("sh", 50), "1 50 % its pulse asks for 50 % of the weight; ");
    EXPECT_EQ(
        look("sh", 100),
        "1 100 % that its pulse asks for a part of the weight has no effect: there is no less than the 1 it "
        "has, since the weights of the service are divided by their greatest common divisor; that 1 backend "
        "asks for a part of the weight by the pulse has no effect: after division by their greatest common "
        "divisor the weight is 1, which has no parts; with scheduler mh it has");
    for (const std::string scheduler : {"rr", "lc", "fo"}) {
        const std::string why = " has no effect with scheduler " + scheduler +
                                ", which does not send traffic in proportion to weights";
        EXPECT_EQ(look(scheduler.c_str(), 100),
                  "100 100 % that its pulse asks for a part of the weight" + why +
                      "; that 1 backend asks for a part of the weight by the pulse" + why);
    }
}

TEST(PoolWords, AWeightOfWhichThereIsNoPartSaysSo) {
    model::Service service;
    service.scheduler = "wrr";
    Member m;
    m.configured = 1;
    m.state = State::up;
    m.share = 50;
    const Decision d = decide(service, assess(service, {&m, 1}, nullptr), m, 1);
    EXPECT_EQ(
        factor_words(service, d, "").share,
        "that its pulse asks for a part of the weight has no effect: there is no less than the 1 it has");
}

}  // namespace
}  // namespace gorb::health::pool_words_test
