#include "control/vip_users.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/clock.h"

namespace gorb::control::vip_users_test {
namespace {

// An interface that refuses when it is told to.
struct Interface {
    std::set<base::Ip> has;
    std::set<base::Ip> others;     // of the host's other interfaces
    std::set<base::Ip> not_taken;  // as those of IPv6 where that is off
    bool refuses = false;
    size_t read = 0;  // so often
};
class FakeTable final : public ipvs::VipTable {
  public:
    explicit FakeTable(Interface& interface) : interface_(&interface) {}
    base::Result<std::set<base::Ip>> addresses() override {
        if (interface_->refuses) return base::fail(base::Errc::refused, "no");
        ++interface_->read;
        std::set<base::Ip> all = interface_->has;
        all.insert(interface_->others.begin(), interface_->others.end());
        return all;
    }
    base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>& there) override {
        if (interface_->refuses) return base::fail(base::Errc::refused, "no");
        return !there.contains(address) && interface_->has.insert(address).second;
    }
    base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>& addresses) override {
        if (interface_->refuses) return base::fail(base::Errc::refused, "no");
        std::vector<base::Ip> moved;
        for (const base::Ip& address : addresses) {
            if (interface_->not_taken.contains(address)) return base::fail(base::Errc::refused, "no");
            if (interface_->others.erase(address) == 0) continue;
            interface_->has.insert(address);
            moved.push_back(address);
        }
        return moved;
    }
    base::Status remove(const base::Ip& address) override {
        if (interface_->refuses) return base::fail(base::Errc::refused, "no");
        interface_->has.erase(address);
        return {};
    }

  private:
    Interface* interface_;
};

const base::Ip vip = *base::Ip::parse("10.0.0.1");

struct VipUsersTest : testing::Test {
    Interface interface;
    std::set<base::Ip> noted;
    base::Result<std::set<base::Ip>> served;  // by virtual services of the kernel
    VipUsers users{std::make_unique<FakeTable>(interface),
                   [this](const base::Ip& address, bool added) {
                       added ? void(noted.insert(address)) : void(noted.erase(address));
                   },
                   {},
                   [this] { return served; }};

    // As a change notes it, before anything else is done.
    void note(const base::Ip& address) {
        ASSERT_EQ(users.missing({address}), std::vector{address});
        noted.insert(address);
        users.intend({address});
    }
    // As a change does, and what follows in the same turn.
    void release(const base::Ip& address) {
        users.release(address);
        users.look(users.next());
    }
};

TEST_F(VipUsersTest, OneThatSomebodyRemovedIsLostOnceAndCanBePutBack) {
    note(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    EXPECT_EQ(users.lost(), std::vector<base::Ip>{});
    interface.has.clear();
    interface.refuses = true;
    EXPECT_EQ(users.lost(), std::vector<base::Ip>{});  // nobody can say
    interface.refuses = false;
    EXPECT_EQ(users.lost(), std::vector{vip});
    EXPECT_EQ(users.lost(), std::vector<base::Ip>{});
    ASSERT_TRUE(users.put_back({vip}, 1).front());
    EXPECT_TRUE(interface.has.contains(vip));
    EXPECT_TRUE(noted.contains(vip));
    interface.has.clear();
    EXPECT_EQ(users.lost(), std::vector{vip});
    release(vip);
    EXPECT_FALSE(noted.contains(vip));
}

TEST_F(VipUsersTest, AtTheEndAllGoButThoseThatStayAndThoseAreStillNoted) {
    const auto earlier = *base::Ip::parse("10.0.0.2"), other = *base::Ip::parse("10.0.0.3"),
               unused = *base::Ip::parse("10.0.0.4");
    interface.has = noted = {earlier, unused};
    users.remember({earlier, unused});
    note(vip);
    note(other);
    ASSERT_TRUE(users.acquire({vip}).front());
    ASSERT_TRUE(users.acquire({other}).front());
    users.release_all({vip, earlier});
    EXPECT_EQ(interface.has, (std::set{vip, earlier}));
    EXPECT_EQ(noted, (std::set{vip, earlier}));
}

TEST_F(VipUsersTest, ForManyAtOnceTheAddressesOfTheHostAreReadOnce) {
    std::vector<base::Ip> some, more;
    for (int i = 1; i <= 100; ++i) {
        some.push_back(*base::Ip::parse("10.0.1." + std::to_string(i)));
        more.push_back(*base::Ip::parse("10.0.2." + std::to_string(i)));
    }
    const auto all = [](const std::vector<base::Status>& of) {
        return of.size() == 100 && std::ranges::all_of(of, [](const base::Status& s) { return bool(s); });
    };
    EXPECT_TRUE(all(users.acquire(some)));
    EXPECT_EQ(interface.read, 1U);
    EXPECT_TRUE(all(users.acquire_anyway(more, 1)));
    EXPECT_EQ(interface.read, 2U);
    EXPECT_TRUE(all(users.acquire(some))) << "nothing is to be added";
    EXPECT_EQ(interface.read, 2U);
    EXPECT_EQ(interface.has.size(), 200U);
    interface.has.clear();
    ASSERT_EQ(users.lost().size(), 200U);
    interface.read = 0;
    EXPECT_TRUE(all(users.put_back(some, 1)));
    EXPECT_EQ(interface.read, 1U);
    interface.refuses = true;
    EXPECT_FALSE(users.put_back(more, 1).back());
    interface.refuses = false;
    users.look(users.next());
    EXPECT_EQ(interface.read, 2U);
    EXPECT_EQ(interface.has.size(), 200U);
}

TEST_F(VipUsersTest, OneThatCanNotBePutBackIsTriedAgain) {
    ASSERT_TRUE(users.acquire({vip}).front());
    interface.has.clear();
    ASSERT_EQ(users.lost(), std::vector{vip});
    interface.refuses = true;
    EXPECT_FALSE(users.put_back({vip}, 1).front());
    EXPECT_EQ(users.lost(), std::vector<base::Ip>{});
    interface.refuses = false;
    ASSERT_GT(users.next(), 0U);
    users.look(users.next());
    EXPECT_TRUE(interface.has.contains(vip));
    EXPECT_EQ(users.next(), 0U);
}

TEST_F(VipUsersTest, WhatTheHostHadByItselfItMayTakeAway) {
    interface.has.insert(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    interface.has.clear();
    EXPECT_EQ(users.lost(), std::vector<base::Ip>{});
}

TEST_F(VipUsersTest, OnlyWhatHasToBeAddedIsMissing) {
    const base::Ip there = *base::Ip::parse("10.0.0.2"), earlier = *base::Ip::parse("10.0.0.3"),
                   used = *base::Ip::parse("10.0.0.4");
    interface.has.insert(there);
    users.remember({earlier});
    ASSERT_TRUE(users.acquire({used}).front());
    EXPECT_EQ(users.missing({there, earlier, used, vip}), std::vector{vip});
    interface.refuses = true;
    EXPECT_TRUE(users.missing({vip}).empty());
}

TEST_F(VipUsersTest, OnesThatAnEarlierRunAddedToAnotherInterfaceAreMoved) {
    const base::Ip unused = *base::Ip::parse("10.0.0.2"), hosts = *base::Ip::parse("10.0.0.3");
    interface.others = {vip, unused, hosts};
    noted = {vip, unused};
    users.remember({vip, unused});
    ASSERT_TRUE(users.acquire({vip}).front());
    ASSERT_TRUE(users.acquire({hosts}).front());
    EXPECT_EQ(interface.has, (std::set{vip, unused}));
    users.release_unused();
    release(hosts);
    EXPECT_EQ(interface.has, std::set{vip});
    release(vip);
    EXPECT_TRUE(interface.has.empty());
    EXPECT_EQ(interface.others, std::set{hosts});
    EXPECT_TRUE(noted.empty());
}

TEST_F(VipUsersTest, OneThatCanNotBeMovedKeepsNoOtherOneWhereItIs) {
    const base::Ip refused = *base::Ip::parse("10.0.0.2"), last = *base::Ip::parse("10.0.0.3");
    interface.others = {vip, refused, last};
    interface.not_taken = {refused};
    users.remember({vip, refused, last});
    EXPECT_EQ(interface.has, (std::set{vip, last}));
    EXPECT_EQ(interface.others, std::set{refused});
}

TEST_F(VipUsersTest, OneThatIsNotedGoesWithItsLastService) {
    note(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    EXPECT_TRUE(noted.contains(vip));
    release(vip);
    EXPECT_TRUE(interface.has.empty());
    EXPECT_TRUE(noted.empty());
}

TEST_F(VipUsersTest, OneThatIsNotedAndCanNotBeAddedIsNotNotedAnyMore) {
    note(vip);
    interface.refuses = true;
    EXPECT_FALSE(users.acquire({vip}).front());
    EXPECT_TRUE(noted.empty());
}

TEST_F(VipUsersTest, OneThatIsNotedAndAddedLaterStaysNotedUntilThen) {
    note(vip);
    interface.refuses = true;
    EXPECT_FALSE(users.acquire_anyway({vip}, 1).front());
    EXPECT_TRUE(noted.contains(vip));
    interface.refuses = false;
    users.look(users.next());
    release(vip);
    EXPECT_TRUE(interface.has.empty());
    EXPECT_TRUE(noted.empty());
}

TEST_F(VipUsersTest, OneThatTheHostGetsInTheMeantimeIsTheHosts) {
    note(vip);
    interface.has.insert(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    EXPECT_TRUE(noted.empty());
    release(vip);
    EXPECT_TRUE(interface.has.contains(vip));
}

TEST_F(VipUsersTest, TheFirstServiceAddsAndTheLastRemoves) {
    ASSERT_TRUE(users.acquire({vip}).front());
    ASSERT_TRUE(users.acquire({vip}).front());
    EXPECT_TRUE(noted.contains(vip));
    release(vip);
    EXPECT_TRUE(interface.has.contains(vip));
    release(vip);
    EXPECT_FALSE(interface.has.contains(vip));
    EXPECT_FALSE(noted.contains(vip));
}

TEST_F(VipUsersTest, WhatTheHostHasAlreadyStays) {
    interface.has.insert(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    EXPECT_FALSE(noted.contains(vip));
    release(vip);
    EXPECT_TRUE(interface.has.contains(vip));
}

TEST_F(VipUsersTest, ARefusalWithoutAServiceIsNoUse) {
    interface.refuses = true;
    EXPECT_FALSE(users.acquire({vip}).front());
    interface.refuses = false;
    users.look(100 * base::second);
    EXPECT_EQ(users.next(), 0U);
    EXPECT_TRUE(interface.has.empty());
}

TEST_F(VipUsersTest, WhatAServiceThatIsThereMissesIsTriedAgain) {
    interface.refuses = true;
    EXPECT_FALSE(users.acquire_anyway({vip}, 1).front());
    const uint64_t at = users.next();
    ASSERT_GT(at, 1U);
    users.look(at - 1);
    EXPECT_EQ(users.next(), at);
    users.look(at);
    EXPECT_GT(users.next(), at);
    interface.refuses = false;
    users.look(users.next());
    EXPECT_EQ(users.next(), 0U);
    EXPECT_TRUE(interface.has.contains(vip));
    release(vip);
    EXPECT_FALSE(interface.has.contains(vip));
}

TEST_F(VipUsersTest, AServiceForWhichItCouldNotBeAddedIsAUserAllTheSame) {
    interface.refuses = true;
    EXPECT_FALSE(users.acquire_anyway({vip}, 1).front());
    interface.refuses = false;
    ASSERT_TRUE(users.acquire({vip}).front());
    EXPECT_TRUE(interface.has.contains(vip));
    release(vip);
    EXPECT_TRUE(interface.has.contains(vip));
    release(vip);
    EXPECT_FALSE(interface.has.contains(vip));
}

TEST_F(VipUsersTest, OneOfAnEarlierRunIsUsedAgainOrReleased) {
    const base::Ip other = *base::Ip::parse("10.0.0.2");
    interface.has = {vip, other};
    users.remember({vip, other});
    ASSERT_TRUE(users.acquire({vip}).front());
    users.release_unused();
    EXPECT_EQ(interface.has, std::set<base::Ip>{vip});
    release(vip);
    EXPECT_TRUE(interface.has.empty());
}

TEST_F(VipUsersTest, OneOfAnEarlierRunThatIsWantedIsNotReleasedWhateverTheInterfaceSays) {
    interface.has = {vip};
    interface.refuses = true;
    users.remember({vip});
    EXPECT_FALSE(users.acquire_anyway({vip}, 1).front());
    users.release_unused();
    EXPECT_TRUE(interface.has.contains(vip));
    interface.refuses = false;
    users.look(users.next());
    release(vip);
    EXPECT_TRUE(interface.has.empty());
}

// A host that keeps a VIP answers for it, and nothing is behind it.
TEST_F(VipUsersTest, OneThatCouldNotBeRemovedIsRemovedLater) {
    note(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    interface.refuses = true;
    release(vip);
    EXPECT_TRUE(noted.contains(vip));
    users.look(0);
    ASSERT_NE(users.next(), 0U);
    const uint64_t at = users.next();
    users.look(at);
    EXPECT_GT(users.next(), at);
    interface.refuses = false;
    users.look(users.next());
    EXPECT_TRUE(interface.has.empty());
    EXPECT_TRUE(noted.empty());
    EXPECT_EQ(users.next(), 0U);
}

TEST_F(VipUsersTest, OneThatCouldNotBeRemovedAndIsWantedAgainGoesWithItsLastService) {
    note(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    interface.refuses = true;
    release(vip);
    interface.refuses = false;
    EXPECT_TRUE(users.missing({vip}).empty());
    ASSERT_TRUE(users.acquire({vip}).front());
    users.look(users.next());
    EXPECT_TRUE(interface.has.contains(vip));
    release(vip);
    EXPECT_TRUE(interface.has.empty());
    EXPECT_TRUE(noted.empty());
}

// Its note would be written after it was added: a crash in between would leave it behind.
TEST_F(VipUsersTest, OneThatAChangeCountsOnDoesNotGoWhileThatIsWritten) {
    note(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    ASSERT_TRUE(users.missing({vip}).empty());
    users.expect({vip});
    users.release(vip);
    users.look(2);
    users.release_unused();
    EXPECT_TRUE(interface.has.contains(vip));
    EXPECT_TRUE(noted.contains(vip));
    ASSERT_TRUE(users.acquire({vip}).front());
    users.expect({});
    users.look(users.next());
    EXPECT_TRUE(interface.has.contains(vip));
    release(vip);
    EXPECT_TRUE(interface.has.empty());
    EXPECT_TRUE(noted.empty());
}

TEST_F(VipUsersTest, OneThatAChangeCountedOnGoesWhenTheChangeIsRefused) {
    note(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    users.expect({vip});
    users.release(vip);
    users.expect({});
    ASSERT_NE(users.next(), 0U);
    users.look(users.next());
    EXPECT_TRUE(interface.has.empty());
    EXPECT_TRUE(noted.empty());
    EXPECT_EQ(users.next(), 0U);
}

// Those of gorb's have gone before.
TEST_F(VipUsersTest, OneThatAServiceOfSomebodyElseHasStaysUntilThatIsGone) {
    note(vip);
    ASSERT_TRUE(users.acquire({vip}).front());
    served = std::set{vip};
    testing::internal::CaptureStderr();
    release(vip);
    users.look(users.next());
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find("VIP stays"), std::string::npos);
    EXPECT_EQ(log.find("VIP stays"), log.rfind("VIP stays")) << "told once";
    EXPECT_TRUE(interface.has.contains(vip));
    EXPECT_TRUE(noted.contains(vip));
    served = base::fail(base::Errc::unavailable, "it can not be read");
    users.look(users.next());
    EXPECT_TRUE(interface.has.contains(vip));
    served = std::set<base::Ip>{};
    ASSERT_GT(users.next(), 1U);
    users.look(users.next());
    EXPECT_TRUE(interface.has.empty());
    EXPECT_TRUE(noted.empty());
    EXPECT_EQ(users.next(), 0U);
}

TEST_F(VipUsersTest, OneThatStaysForSomebodyElsesServiceHoldsUpNoOther) {
    const base::Ip other = *base::Ip::parse("10.0.0.2"), third = *base::Ip::parse("10.0.0.3");
    ASSERT_TRUE(users.acquire({vip}).front());
    served = std::set{vip};
    release(vip);
    uint64_t now = 0;
    for (int i = 0; i < 10; ++i) users.look(now = users.next());
    interface.refuses = true;
    EXPECT_FALSE(users.acquire_anyway({other}, now).front());
    EXPECT_EQ(users.next(), now + base::second);
    interface.refuses = false;
    users.look(users.next());
    EXPECT_TRUE(interface.has.contains(other));
    // One that is missing, for its part, holds up none that is to go.
    interface.refuses = true;
    EXPECT_FALSE(users.acquire_anyway({third}, now).front());
    for (int i = 0; i < 10; ++i) users.look(now = users.next());
    ASSERT_FALSE(interface.has.contains(third));
    users.release(other);
    EXPECT_EQ(users.next(), 1U);
}

TEST_F(VipUsersTest, AtTheEndToo) {
    ASSERT_TRUE(users.acquire({vip}).front());
    served = std::set{vip};
    users.release_all({});
    EXPECT_TRUE(interface.has.contains(vip));
    EXPECT_TRUE(noted.contains(vip));
}

}  // namespace
}  // namespace gorb::control::vip_users_test
