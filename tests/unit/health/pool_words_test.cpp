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
        std::string why = " has no effect with scheduler ";
        why += scheduler + ", which does not send traffic in proportion to weights";
        std::string all = "100 100 % that its pulse asks for a part of the weight";
        all.append(why).append("; that 1 backend asks for a part of the weight by the pulse").append(why);
        EXPECT_EQ(look(scheduler.c_str(), 100), all);
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

std::vector<Member> primaries(uint32_t up, uint32_t all) {
    std::vector<Member> members(all);
    for (uint32_t i = 0; i < all; ++i) {
        members[i].id = i + 1;
        members[i].configured = 100;
        members[i].state = i < up ? State::up : State::down;
    }
    return members;
}

TEST(PoolWords, WhatHysteresisWantsIsSaid) {
    model::Service service;
    service.pool.quorum = 3;
    service.pool.hysteresis = 1;
    const auto look = [&](uint32_t up, uint32_t all, bool was_met) {
        return pool_words(service, assess(service, primaries(up, all), &was_met));
    };
    EXPECT_EQ(look(2, 4, true),
              "2 of 4 primaries are up, the quorum is 3 and not lost until fewer than 2 are up "
              "(hysteresis 1)");
    EXPECT_EQ(look(3, 4, false),
              "3 of 4 primaries are up, the quorum is 3 and reached again at 4 (hysteresis 1)");
    EXPECT_EQ(look(4, 4, false), "4 of 4 primaries are up, the quorum is 3");
    EXPECT_EQ(look(1, 4, true), "1 of 4 primaries are up, the quorum is 3");
    const Decision standby{.cause = Cause::standby};
    EXPECT_EQ(words(service, standby, ""),
              "a backup, and the primaries make the quorum of 3, or have not lost it (hysteresis 1)");
}

TEST(PoolWords, ThoseThatAFreezeHoldsAreCounted) {
    const model::Service service;
    std::vector<Member> members = primaries(3, 4);
    EXPECT_EQ(pool_words(service, assess(service, members, nullptr)),
              "3 of 4 primaries are up, the quorum is 1");
    members[0].held = members[1].held = true;
    members[3].held = true;  // it was down before as well
    EXPECT_EQ(pool_words(service, assess(service, members, nullptr)),
              "3 of 4 primaries are up, of which 2 are held (GET /readyz), the quorum is 1");
}

TEST(PoolWords, WhoIsHeldInAPanicSaysSo) {
    model::Service service;
    service.pool.panic_threshold = 80;
    std::vector<Member> members = primaries(2, 4);
    members[0].held = true;
    const Assessment pool = assess(service, members, nullptr);
    ASSERT_TRUE(pool.panic);
    EXPECT_EQ(decide(service, pool, members[0], 1).cause, Cause::held);
    EXPECT_EQ(decide(service, pool, members[0], 1).effective, 100U);
    EXPECT_EQ(decide(service, pool, members[1], 1).cause, Cause::none);
}

TEST(PoolWords, WhoMaxDownKeepsIsNotToldOfOthersThatAreOut) {
    model::Service service;
    service.pool.max_down = 10;
    const std::vector<Member> members = primaries(3, 4);
    const Decision d = decide(service, assess(service, members, nullptr), members[3], 1);
    EXPECT_EQ(words(service, d, "connection refused"),
              "down, but it serves, because no more may be out (max-down 10 %): connection refused");
}

}  // namespace
}  // namespace gorb::health::pool_words_test
