// In which order what is owed to the store gets there, when the disk refuses some of it or holds it up.
#include "control/keeper.h"

#include <gtest/gtest.h>

#include <utility>

#include "unit/control/fake_database.h"

namespace gorb::control::keeper_test {
namespace {

const base::Ip vip = *base::Ip::parse("10.0.0.1");

store::Write note() {
    store::Write write;
    write.vips_added.push_back(vip);
    return write;
}
store::Write unnote() {
    store::Write write;
    write.vips_removed.push_back(vip);
    return write;
}
store::Write change() {
    store::Write write;
    write.revision = 1;
    write.drop_services.emplace_back("web");
    return write;
}

store::Health health(store::Health::State state) {
    store::Health out;
    out.state = state;
    return out;
}
// The backend gets another address.
store::Write move(const store::BackendName& name) {
    store::Write write = change();
    write.health.emplace_back(name, store::Health{});
    return write;
}
using store::Health;
const store::BackendName b1{"web", "b1"}, b2{"web", "b2"};

// One thread: what the database has answered is seen by turn().
struct KeeperTest : testing::Test {
    base::ManualClock clock{1000 * base::second};
    Disk disk;
    std::vector<std::function<void()>> replies;
    Keeper keeper{std::make_unique<FakeDatabase>(disk), clock,
                  [this](std::function<void()> reply) { replies.push_back(std::move(reply)); },
                  [] { return store::Loaded(); }};

    void turn() {
        for (const auto& reply : std::exchange(replies, {})) reply();
    }
    // A second later all that is still owed is written.
    void pay_the_rest() {
        clock.advance(2 * base::second);
        keeper.look();
        turn();
    }
    std::string written() const {
        std::string out;
        for (const store::Write& write : disk.written)
            out += !write.vips_added.empty() ? '+' : !write.vips_removed.empty() ? '-' : '.';
        return out;
    }
};

TEST_F(KeeperTest, WhatWasRefusedWhileMoreWasOnItsWayComesBackInItsOrder) {
    disk.hold();
    keeper.owe(note());
    keeper.look();
    keeper.owe(unnote());
    keeper.write(change(), [](const base::Status&) {});  // pays it before
    ASSERT_EQ(disk.queued(), 3U);
    disk.refuse(base::fail(base::Errc::no_space, "the disk is full"));
    disk.release();
    turn();
    disk.refuse({});
    pay_the_rest();
    EXPECT_EQ(written(), "+-");
    EXPECT_EQ(disk.rewritten, 0U);
}

TEST_F(KeeperTest, WhatWasWrittenBeforeAnEarlierDebtIsWrittenAgainAfterIt) {
    keeper.owe(note());
    keeper.owe(unnote());
    disk.refuse_number = 1;
    keeper.look();
    turn();
    ASSERT_EQ(written(), "-");
    pay_the_rest();
    EXPECT_EQ(written(), "-+-");
    clock.advance(2 * base::second);
    keeper.look();
    turn();
    EXPECT_EQ(written(), "-+-");
}

// The last of two payments is over while the first one is being made again.
TEST_F(KeeperTest, AChangeThatIsWrittenWhileAnEarlierDebtIsOwedMakesTheFileAnew) {
    disk.hold();
    keeper.owe_undo(note());
    keeper.look();
    keeper.owe(unnote());
    keeper.write(change(), [](const base::Status&) {});
    disk.refuse_number = 1;
    for (int i = 0; i < 2; ++i) disk.release_first();
    const auto payments = std::exchange(replies, {});
    payments[0]();                                       // refused
    keeper.write(change(), [](const base::Status&) {});  // it is on its way again
    payments[1]();
    disk.release();
    turn();
    keeper.look();
    EXPECT_EQ(disk.rewritten, 1U);
}

// A disk that hangs for an hour has one write of it, and not 3,600.
TEST_F(KeeperTest, HealthIsOneWriteAtATimeAndThenTheNewest) {
    disk.hold();
    for (int i = 0; i < 10; ++i) {
        keeper.owe_health(b1, health(i % 2 ? Health::State::down : Health::State::up));
        if (i > 0) keeper.owe_health(b2, health(Health::State::up));
        pay_the_rest();
        ASSERT_EQ(disk.queued(), 1U);
        ASSERT_TRUE(keeper.next() == 0 || keeper.next() > clock.now());
    }
    disk.release();
    turn();
    pay_the_rest();
    ASSERT_EQ(disk.written.size(), 2U);
    ASSERT_EQ(disk.written[0].health.size(), 1U);
    EXPECT_EQ(disk.written[0].health[0].second.state, Health::State::up);
    ASSERT_EQ(disk.written[1].health.size(), 2U);
    for (const auto& [name, known] : disk.written[1].health)
        EXPECT_EQ(known.state, name == b1 ? Health::State::down : Health::State::up);
    pay_the_rest();
    EXPECT_EQ(disk.written.size(), 2U);
}

TEST_F(KeeperTest, WhatWasKnownOfAnAddressIsNotWrittenAfterTheChangeThatGivesTheBackendAnother) {
    disk.hold();
    keeper.owe_health(b1, health(Health::State::up));
    keeper.owe_health(b2, health(Health::State::up));
    keeper.write(move(b1), [](const base::Status&) {});
    pay_the_rest();  // that of others does not wait: there may always be some change on its way
    ASSERT_EQ(disk.queued(), 2U);
    disk.release();
    turn();
    pay_the_rest();
    ASSERT_EQ(disk.written.size(), 2U);
    ASSERT_EQ(disk.written[1].health.size(), 1U);
    EXPECT_EQ(disk.written[1].health[0].first, b2);
}

TEST_F(KeeperTest, WhatIsKnownOfAnAddressIsWrittenAfterAChangeOfItThatWasRefused) {
    disk.hold();
    keeper.owe_health(b1, health(Health::State::up));
    keeper.write(move(b1), [](const base::Status&) {});
    disk.refuse(base::fail(base::Errc::no_space, "the disk is full"));
    disk.release();
    turn();
    disk.refuse({});
    pay_the_rest();
    ASSERT_EQ(disk.written.size(), 1U);
    EXPECT_EQ(disk.written[0].health[0].second.state, Health::State::up);
}

TEST_F(KeeperTest, HealthThatIsForgottenWhileItIsOnItsWayDoesNotComeBackWhenThatIsRefused) {
    disk.hold();
    keeper.owe_health(b1, health(Health::State::up));
    keeper.owe_health(b2, health(Health::State::up));
    pay_the_rest();
    keeper.forget_health(b1);
    disk.refuse(base::fail(base::Errc::no_space, "the disk is full"));
    disk.release();
    turn();
    disk.refuse({});
    clock.advance(60 * base::second);
    pay_the_rest();
    ASSERT_EQ(disk.written.size(), 1U);
    ASSERT_EQ(disk.written[0].health.size(), 1U);
    EXPECT_EQ(disk.written[0].health[0].first, b2);
}

TEST_F(KeeperTest, AtTheEndHealthIsWrittenThatWaitedForWhatWasOnItsWay) {
    disk.hold();
    keeper.owe_health(b1, health(Health::State::up));
    pay_the_rest();
    keeper.owe_health(b1, health(Health::State::down));
    keeper.settle();
    disk.release();
    turn();
    ASSERT_FALSE(keeper.busy());
    keeper.look();  // as Control does until there is nothing more on its way
    turn();
    EXPECT_FALSE(keeper.busy());
    ASSERT_EQ(disk.written.size(), 2U);
    EXPECT_EQ(disk.written[1].health[0].second.state, Health::State::down);
}

TEST_F(KeeperTest, ALostFileThatWaitsForWhatIsOnItsWayWakesNobody) {
    disk.hold();
    keeper.write(change(), [](const base::Status&) {});
    keeper.write(change(), [](const base::Status&) {});
    disk.lost = true;
    disk.refuse(base::fail(base::Errc::unavailable, "it is lost"));
    disk.release_first();
    turn();
    keeper.owe(note());
    keeper.owe_health(b1, health(Health::State::up));
    pay_the_rest();
    ASSERT_EQ(disk.rewritten, 0U);
    EXPECT_EQ(keeper.next(), 0U) << "the answer will";
    disk.release();
    turn();
    EXPECT_LE(keeper.next(), clock.now());
    EXPECT_NE(keeper.next(), 0U);
    keeper.look();
    turn();
    EXPECT_EQ(disk.rewritten, 1U);
}

}  // namespace
}  // namespace gorb::control::keeper_test
