#include "health/pool.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gorb::health::pool_words_test
