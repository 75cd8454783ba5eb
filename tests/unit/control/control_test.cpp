// The control without health checks: health is told to it as the engine would.
#include "control/control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <future>

#include "control/slots.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"

namespace gorb::control::control_test {
namespace {

using base::Errc;
using ipvs::Op;

// Remembers what was done to it.
class FakeVips final : public ipvs::VipTable {
  public:
    std::set<base::Ip> present;
    int os_error = 0;
    base::Result<std::set<base::Ip>> addresses() override { return present; }
    base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>&) override {
        if (os_error) return base::fail(Errc::refused, "no", os_error);
        return present.insert(address).second;
    }
    base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>&) override { return {}; }
    base::Status remove(const base::Ip& address) override {
        present.erase(address);
        return {};
    }
};

struct ControlTest : testing::Test {
    ipvs::MemoryDriver* driver = new ipvs::MemoryDriver;  // owned by the control
    FakeVips* vips = new FakeVips;
    plugin::Registry registry;  // empty; see the tests with plugins in api_test and tests/integration
    std::unique_ptr<Control> control;

    void SetUp() override { start({}); }
    void start(Options options) {
        control = std::make_unique<Control>(std::unique_ptr<ipvs::Driver>(driver),
                                            std::unique_ptr<ipvs::VipTable>(vips), registry, options);
        control->start();
    }

    base::Result<Outcome> run(Change change) {
        auto promise = std::make_shared<std::promise<base::Result<Outcome>>>();
        auto future = promise->get_future();
        control->submit(std::move(change),
                        [promise](base::Result<Outcome> r) { promise->set_value(std::move(r)); });
        if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
            return base::fail(Errc::timeout, "no answer");
        }
        return future.get();
    }
    static model::Service service(const std::string& name, const std::string& vip) {
        model::Service s;
        s.name = name;
        s.key.vip = *base::Endpoint::parse(vip);
        return s;
    }
    static ipvs::ServiceKey key(const std::string& vip) {
        return reconcile::kernel_key({model::Protocol::tcp, *base::Endpoint::parse(vip)});
    }
};

TEST_F(ControlTest, APutServiceIsInTheKernelWhenItIsAnswered) {
    auto done = run(PutService{service("web", "10.0.0.1:80"), {}});
    ASSERT_TRUE(done);
    EXPECT_TRUE(done->changed);
    EXPECT_EQ(done->service->spec.name, "web");
    EXPECT_TRUE(*driver->service(key("10.0.0.1:80")));
    EXPECT_EQ(control->snapshot()->services.size(), 1U);
}

TEST_F(ControlTest, TheSamePutAgainChangesNothing) {
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    const uint64_t ops = driver->ops();
    const uint64_t revision = control->snapshot()->revision;
    auto again = run(PutService{service("web", "10.0.0.1:80"), {}});
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->changed);
    EXPECT_EQ(driver->ops(), ops);
    EXPECT_EQ(control->snapshot()->revision, revision);
}

TEST_F(ControlTest, OtherContentIsAConflictUnlessTheTagMatches) {
    auto first = run(PutService{service("web", "10.0.0.1:80"), {}});
    ASSERT_TRUE(first);
    auto other = service("web", "10.0.0.1:80");
    other.scheduler = "rr";
    auto conflict = run(PutService{other, {}});
    ASSERT_FALSE(conflict);
    EXPECT_EQ(conflict.error().code, Errc::exists);
    EXPECT_NE(conflict.error().sentence.find("specified object already exists"), std::string::npos);

    auto stale = run(PutService{other, Match{false, {"nonsense"}}});
    ASSERT_FALSE(stale);
    EXPECT_EQ(stale.error().code, Errc::stale);

    auto matched = run(PutService{other, Match{false, {control->etag(first->service->revision)}}});
    ASSERT_TRUE(matched);
    EXPECT_EQ((**driver->service(key("10.0.0.1:80"))).scheduler, "rr");
    other.scheduler = "lc";
    EXPECT_TRUE(run(PutService{other, Match{true, {}}}));

    auto absent = run(PutService{service("new", "10.0.0.2:80"), Match{true, {}}});
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, Errc::stale);
}

TEST_F(ControlTest, ARefusedCreationLeavesNoTraceAndSaysWhatTheKernelSaid) {
    auto unknown = service("web", "10.0.0.1:80");
    unknown.scheduler = "twos";
    auto refused = run(PutService{unknown, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unsupported);
    EXPECT_TRUE(control->snapshot()->services.empty());
    EXPECT_TRUE(driver->services()->empty());
    EXPECT_TRUE(vips->present.empty());
    EXPECT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));  // the name is free
}

TEST_F(ControlTest, TwoServicesOfOneKeyAreRefusedAlsoWhenTheyComeTogether) {
    std::vector<std::future<base::Result<Outcome>>> answers;
    for (int i = 0; i < 8; ++i) {
        auto promise = std::make_shared<std::promise<base::Result<Outcome>>>();
        answers.push_back(promise->get_future());
        control->submit(PutService{service("s" + std::to_string(i), "10.0.0.1:80"), {}},
                        [promise](base::Result<Outcome> r) { promise->set_value(std::move(r)); });
    }
    int won = 0;
    for (auto& answer : answers) {
        auto result = answer.get();
        if (result) {
            ++won;
        } else {
            EXPECT_EQ(result.error().code, Errc::exists);
            EXPECT_NE(result.error().sentence.find("\"s0\""), std::string::npos) << result.error().sentence;
        }
    }
    EXPECT_EQ(won, 1);
    EXPECT_EQ(driver->services()->size(), 1U);
}

TEST_F(ControlTest, APatchChangesTheKernelInPlace) {
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    driver->set_hook([](const Op& op, uint64_t) {
        EXPECT_EQ(op.kind, Op::Kind::edit_service) << op.text();
        return 0;
    });
    ASSERT_TRUE(run(PatchService{"web", R"({"method": "sh", "persistent": 120})", {}}));
    auto now = **driver->service(key("10.0.0.1:80"));
    EXPECT_EQ(now.scheduler, "sh");
    EXPECT_EQ(now.timeout_s, 120U);
}

TEST_F(ControlTest, AKeyReplacedByIfMatchMovesTheService) {
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.2:80"), Match{true, {}}}));
    EXPECT_FALSE(*driver->service(key("10.0.0.1:80")));
    EXPECT_TRUE(*driver->service(key("10.0.0.2:80")));
    EXPECT_EQ(vips->present, std::set{*base::Ip::parse("10.0.0.2")});
}

TEST_F(ControlTest, AnUnknownPulseTypeNamesTheFieldAndWhatIsLoaded) {
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    model::Backend b;
    b.name = "b1";
    b.address = *base::Endpoint::parse("10.1.0.1:80");
    auto refused = run(PutBackend{"web", b, {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid);
    ASSERT_EQ(refused.error().faults.size(), 1U);
    EXPECT_EQ(refused.error().faults[0].pointer, "/pulse/type");
}

TEST_F(ControlTest, UnknownObjectsAreNotFound) {
    EXPECT_EQ(run(DeleteService{"web", {}}).error().code, Errc::not_found);
    EXPECT_EQ(run(DeleteBackend{"web", "b1", {}}).error().code, Errc::not_found);
    EXPECT_EQ(run(PatchBackend{"web", "b1", "{}", {}}).error().code, Errc::not_found);
    EXPECT_EQ(run(PutBackend{"web", {}, {}}).error().code, Errc::not_found);
}

TEST_F(ControlTest, AVipStaysForItsLastServiceAndOneThatWasThereStaysForGood) {
    vips->present.insert(*base::Ip::parse("10.0.0.7"));
    ASSERT_TRUE(run(PutService{service("a", "10.0.0.1:80"), {}}));
    ASSERT_TRUE(run(PutService{service("b", "10.0.0.1:443"), {}}));
    ASSERT_TRUE(run(PutService{service("c", "10.0.0.7:80"), {}}));
    ASSERT_TRUE(run(DeleteService{"a", {}}));
    EXPECT_TRUE(vips->present.contains(*base::Ip::parse("10.0.0.1")));
    ASSERT_TRUE(run(DeleteService{"b", {}}));
    EXPECT_FALSE(vips->present.contains(*base::Ip::parse("10.0.0.1")));
    ASSERT_TRUE(run(DeleteService{"c", {}}));
    EXPECT_TRUE(vips->present.contains(*base::Ip::parse("10.0.0.7")));
}

TEST_F(ControlTest, AVipThatCanNotBeAddedRefusesTheService) {
    vips->os_error = ENODEV;
    EXPECT_FALSE(run(PutService{service("a", "10.0.0.1:80"), {}}));
    EXPECT_TRUE(driver->services()->empty());
}

TEST_F(ControlTest, AFailedDeletionKeepsTheService) {
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    driver->fail_all(ENOMEM);
    EXPECT_FALSE(run(DeleteService{"web", {}}));
    EXPECT_EQ(control->snapshot()->services.size(), 1U);
    driver->fail_all(0);
    EXPECT_TRUE(run(DeleteService{"web", {}}));
}

TEST_F(ControlTest, AfterStopChangesAreRefused) {
    control->stop();
    auto refused = run(PutService{service("web", "10.0.0.1:80"), {}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);
}

TEST_F(ControlTest, SchedulersAreAskedOfTheDriver) {
    std::promise<base::Result<std::vector<std::string>>> promise;
    control->schedulers([&](auto names) { promise.set_value(std::move(names)); });
    auto names = promise.get_future().get();
    ASSERT_TRUE(names);
    EXPECT_TRUE(std::ranges::count(*names, "wrr"));
    EXPECT_FALSE(std::ranges::count(*names, "twos"));
}

TEST(Slots, WhatIsPublishedIsTheDecisionAndWhatTheKernelHas) {
    Slots slots;
    Slot slot;
    slot.member.id = 1;
    slot.present = true;
    slot.decision.effective = 7;
    slot.weight = 100;
    slots.put(slot);
    EXPECT_EQ(slots.published(1).decision.effective, 7U);
    EXPECT_EQ(slots.published(1).weight, 100U);
    slots.find(1)->present = false;
    slots.find(1)->trouble.change().retry_at = 5;
    EXPECT_EQ(slots.published(1).weight, 100U);
    slots.publish(*slots.find(1));
    EXPECT_EQ(slots.published(1).weight, 0U);
    EXPECT_EQ(slots.next_retry(), 5U);
    EXPECT_EQ(slots.due(5), std::vector<model::BackendId>{1});
    EXPECT_TRUE(slots.due(4).empty());
}

TEST(Slots, OneThatComesUpCameBackUnlessItServedAllAlong) {
    Slot fresh, taken_over;
    set_state(fresh, health::State::up, 5);
    EXPECT_EQ(fresh.member.back_since, 5U);
    taken_over.member.before = 50;
    set_state(taken_over, health::State::up, 5);
    EXPECT_EQ(taken_over.member.back_since, 0U);
    EXPECT_EQ(taken_over.member.before, 0U);
    set_state(taken_over, health::State::down, 6);
    EXPECT_EQ(taken_over.state_before, health::State::up);
    set_state(taken_over, health::State::up, 9);
    EXPECT_EQ(taken_over.member.back_since, 9U);
    set_state(taken_over, health::State::up, 20);  // no change
    EXPECT_EQ(taken_over.member.since, 9U);
}

// Whoever has read the same revision as somebody else is told when that one was first, also where both come
// at once.
TEST_F(ControlTest, OfThoseWhoChangeTheSameRevisionAtOnceOneSucceeds) {
    ASSERT_TRUE(run(PutService{service("web", "10.0.0.1:80"), {}}));
    for (int round = 0; round < 20; ++round) {
        const auto entry = *control->snapshot()->services.find("web");
        const Match match{false, {control->etag(entry->revision)}};
        std::vector<std::future<base::Result<Outcome>>> answers;
        for (int writer = 0; writer < 8; ++writer) {
            auto done = std::make_shared<std::promise<base::Result<Outcome>>>();
            answers.push_back(done->get_future());
            const std::string body = R"({"quorum": )" + std::to_string(2 + 8 * round + writer) + "}";
            control->submit(PatchService{"web", body, match},
                            [done](base::Result<Outcome> r) { done->set_value(std::move(r)); });
        }
        std::vector<uint64_t> made;
        for (auto& answer : answers) {
            const auto outcome = answer.get();
            if (outcome) {
                made.push_back(outcome->service->revision);
            } else {
                EXPECT_EQ(outcome.error().code, Errc::stale);
            }
        }
        ASSERT_EQ(made.size(), 1U);
        EXPECT_EQ((*control->snapshot()->services.find("web"))->revision, made[0]);
    }
}

// As one that changes the scheduler of thousands, each of which takes the kernel some milliseconds.
TEST(ControlTurn, AChangeOfManyThatComesAlongIsNoneThatIsStuck) {
    base::ManualClock clock;
    plugin::Registry registry;
    auto* driver = new ipvs::MemoryDriver;
    Options options;
    options.clock = &clock;
    options.reconcile_period_ns = 0;
    Control control(std::unique_ptr<ipvs::Driver>(driver), nullptr, registry, options);
    ASSERT_TRUE(control.start());
    model::Config config;
    const auto put = [&] {
        auto done = std::make_shared<std::promise<base::Result<Outcome>>>();
        control.submit(PutConfig{config, {}, false},
                       [done](base::Result<Outcome> r) { done->set_value(std::move(r)); });
        return done->get_future().get();
    };
    for (int i = 0; i < 2'000; ++i) {  // in the order of their names, as a Config is
        const std::string vip = "10.0." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250) + ":80";
        config.services.push_back({ControlTest::service("s" + std::to_string(10'000 + i), vip), {}});
    }
    ASSERT_TRUE(put());
    const uint64_t begin = clock.now();
    uint64_t longest = 0;
    driver->set_hook([&](const Op&, uint64_t) {
        clock.advance(20'000'000);
        longest = std::max(longest, clock.now() - control.busy_since());
        return 0;
    });
    for (model::ConfigService& service : config.services) service.spec.scheduler = "wlc";
    ASSERT_TRUE(put());
    EXPECT_GE(clock.now() - begin, 40 * base::second);
    EXPECT_LT(longest, 10 * base::second);
}

}  // namespace
}  // namespace gorb::control::control_test
