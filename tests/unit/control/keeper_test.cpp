// In which order what is owed to the store gets there, when the disk refuses some of it.
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

}  // namespace
}  // namespace gorb::control::keeper_test
