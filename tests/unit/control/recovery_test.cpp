// When a backend's return begins, and when it is over. Health and time are told to the weights as the engine
// and the clock would.
#include <gtest/gtest.h>

#include "control/slots.h"
#include "control/weights.h"
#include "ipvs/memory_driver.h"
#include "reconcile/records.h"
#include "store/transitions.h"

namespace gorb::control::recovery_test {
namespace {

using base::second;
using health::State;

// web with three backends that have been up all along.
struct RecoveryTest : testing::Test {
    base::ManualClock clock{1000 * second};
    ipvs::MemoryDriver driver;
    reconcile::Applier applier{driver, clock};
    Slots slots;
    std::map<model::BackendId, double> ratios;
    Weights weights{slots, {&applier, &clock, [this](model::BackendId id) {
                                health::View view;
                                view.ratio = ratio(id);
                                return std::optional(view);
                            }}};
    model::Service service;
    model::SnapshotPtr now;

    RecoveryTest() {
        service.name = "web";
        service.key.vip = *base::Endpoint::parse("10.0.0.1:80");
        service.scheduler = "wrr";
    }
    void start(model::Recovery recovery) {
        service.pool.recovery = recovery;
        service.pool.slow_start = std::chrono::seconds(60);
        ASSERT_TRUE(driver.apply(std::vector{ipvs::Op::add(reconcile::service_record(service))}).back());
        become();
        for (model::BackendId id = 1; id <= 3; ++id) {
            Slot slot;
            slot.member.id = id;
            slot.member.configured = 100;
            slot.member.state = State::up;
            slot.service = slots.name_of("web");
            slot.backend = *(*now->services.find("web"))->backends.find("b" + std::to_string(id));
            slots.put(std::move(slot));
        }
        look();
        ASSERT_EQ(all(), "100 100 100");
    }
    // The service as it is set now.
    void become() {
        store::Builder builder;
        builder.add(service, 1, model::Origin::api);
        for (model::BackendId id = 1; id <= 3; ++id) {
            auto entry = std::make_shared<model::BackendEntry>();
            entry->id = id;
            entry->spec.name = "b" + std::to_string(id);
            entry->spec.address = *base::Endpoint::parse("10.1.0." + std::to_string(id) + ":80");
            builder.add(model::BackendPtr(entry));
        }
        now = std::make_shared<const model::Snapshot>(builder.finish(1));
    }
    void look() {
        weights.mark("web");
        weights.settle(*now);
    }
    double ratio(model::BackendId id) const {
        const auto it = ratios.find(id);
        return it == ratios.end() ? 1 : it->second;
    }
    void tell(model::BackendId id, State state) {
        weights.health_changed({id, state, 100, ratio(id), clock.now(), ""});
    }
    void turn(model::BackendId id, State state) {
        tell(id, state);
        settle();
    }
    void suspect(bool frozen) { weights.suspect({frozen, clock.now(), ""}, *now); }
    void settle() { weights.settle(*now); }
    void after(uint64_t ns) {
        clock.advance(ns);
        settle();
    }
    // What the kernel has.
    std::string all() {
        std::string text;
        for (model::BackendId id = 1; id <= 3; ++id)
            text += (id > 1 ? " " : "") + std::to_string(slots.published(id).weight);
        return text;
    }
};

struct HeldFallTest : RecoveryTest, testing::WithParamInterface<model::Recovery> {
    void SetUp() override { start(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Recoveries, HeldFallTest,
                         testing::Values(model::Recovery::ramp, model::Recovery::history));

TEST_P(HeldFallTest, IsNoneToComeBackFrom) {
    ratios = {{1, 0.5}, {2, 0.5}};
    suspect(true);
    turn(1, State::down);
    turn(2, State::down);
    EXPECT_EQ(all(), "100 100 100");
    after(second);
    turn(1, State::up);
    EXPECT_EQ(all(), "100 100 100");
    turn(1, State::down);  // and again, in the same freeze
    after(second);
    turn(1, State::up);
    turn(2, State::up);
    EXPECT_EQ(all(), "100 100 100");
    suspect(false);
    settle();
    after(second);
    EXPECT_EQ(all(), "100 100 100");
}

TEST_P(HeldFallTest, EvenIfItWasNoticedBeforeTheWave) {
    ratios = {{1, 0.5}, {2, 0.5}};
    const uint64_t wave = clock.now();
    turn(1, State::down);
    turn(2, State::down);
    EXPECT_EQ(all(), "0 0 100");
    weights.suspect({true, wave, ""}, *now);
    turn(1, State::up);  // told in one go
    turn(2, State::up);
    EXPECT_EQ(all(), "100 100 100");
}

TEST_P(HeldFallTest, ThawAndReturnMayBeToldInOneGo) {
    ratios = {{1, 0.5}, {2, 0.5}};
    suspect(true);
    turn(1, State::down);
    tell(2, State::down);  // nobody looks before it is up again
    tell(2, State::up);
    suspect(false);
    turn(1, State::up);
    EXPECT_EQ(all(), "100 100 100");
}

TEST_P(HeldFallTest, WhatTheThawMadeOfItIsOne) {
    ratios = {{1, 0.5}};
    suspect(true);
    turn(1, State::down);
    after(second);
    suspect(false);
    settle();
    EXPECT_EQ(all(), "0 100 100");
    turn(1, State::up);
    EXPECT_EQ(all(), GetParam() == model::Recovery::ramp ? "10 100 100" : "50 100 100");
}

// It was taken over from the kernel and has not been checked before.
TEST_P(HeldFallTest, OfOneThatWasTakenOverLeavesItTheWeightItHad) {
    health::Member& member = slots.find(1)->member;
    member.state = State::unknown;
    member.before = 37;
    look();
    EXPECT_EQ(all(), "37 100 100");
    suspect(true);
    turn(1, State::down);
    EXPECT_EQ(all(), "37 100 100");
    look();
    EXPECT_EQ(all(), "37 100 100");
    suspect(false);
    settle();
    EXPECT_EQ(all(), "0 100 100");
    turn(1, State::unknown);
    EXPECT_EQ(all(), "0 100 100") << "what it had counts no more";
}

TEST_P(HeldFallTest, OfOneThatWasTakenOverIsNoneToComeBackFrom) {
    ratios = {{1, 0.5}};
    slots.find(1)->member.state = State::unknown;
    slots.find(1)->member.before = 37;
    look();
    suspect(true);
    turn(1, State::down);
    turn(1, State::up);
    EXPECT_EQ(all(), "100 100 100");
}

TEST_F(RecoveryTest, AFreezeHoldsBackFailuresOfARecoveryByHistoryAndNoPasses) {
    start(model::Recovery::history);
    ratios = {{1, 0.6}};
    turn(1, State::down);
    turn(1, State::up);
    EXPECT_EQ(all(), "60 100 100");
    suspect(true);
    ratios[1] = 0.5;
    after(second);
    EXPECT_EQ(all(), "60 100 100");
    tell(1, State::up);
    settle();
    EXPECT_EQ(all(), "60 100 100");
    turn(1, State::down);
    EXPECT_EQ(all(), "60 100 100");
    turn(1, State::up);
    EXPECT_EQ(all(), "60 100 100");
    ratios[1] = 0.7;
    after(second);
    EXPECT_EQ(all(), "70 100 100");
    ratios[1] = 0.4;
    suspect(false);
    settle();
    EXPECT_EQ(all(), "40 100 100");
}

TEST_F(RecoveryTest, ARampThatAHeldFallInterruptsGoesOn) {
    start(model::Recovery::ramp);
    turn(1, State::down);
    turn(1, State::up);
    after(30 * second);
    EXPECT_EQ(all(), "55 100 100");
    suspect(true);
    turn(1, State::down);
    after(18 * second);
    turn(1, State::up);
    EXPECT_EQ(all(), "82 100 100");
    after(12 * second);
    EXPECT_EQ(all(), "100 100 100");
}

// Two of three may be out.
TEST_P(HeldFallTest, NorIsOneOfWhoMaxDownHasServeOn) {
    ratios = {{1, 0.5}, {2, 0.5}, {3, 0.5}};
    service.pool.max_down = 70;
    become();
    for (model::BackendId id = 1; id <= 3; ++id) {
        turn(id, State::down);
        after(1);
    }
    ASSERT_EQ(all(), "0 0 100");
    turn(3, State::up);
    EXPECT_EQ(all(), "0 0 100");
    turn(1, State::up);
    EXPECT_EQ(all(), GetParam() == model::Recovery::ramp ? "10 0 100" : "50 0 100") << "which was out";
}

// Whatever decides over its weight for a while, it is still coming back after that.
TEST_F(RecoveryTest, HistoryIsRememberedWhileSomethingElseDecides) {
    start(model::Recovery::history);
    ratios = {{1, 0.3}};
    turn(1, State::down);
    turn(1, State::up);
    EXPECT_EQ(all(), "30 100 100");

    slots.find(1)->member.admin = model::Admin::drain;
    look();
    EXPECT_EQ(all(), "0 100 100");
    slots.find(1)->member.admin = model::Admin::ready;
    look();
    EXPECT_EQ(all(), "30 100 100") << "after a drain";

    slots.find(1)->member.backup = true;
    look();
    EXPECT_EQ(all(), "0 100 100");
    slots.find(1)->member.backup = false;
    look();
    EXPECT_EQ(all(), "30 100 100") << "after standby";

    slots.find(1)->member.configured = 0;
    look();
    EXPECT_EQ(all(), "0 100 100");
    slots.find(1)->member.configured = 100;
    look();
    EXPECT_EQ(all(), "30 100 100") << "after a weight of 0";

    service.pool.panic_threshold = 50;
    become();
    turn(2, State::down);
    turn(3, State::down);
    EXPECT_EQ(all(), "100 100 100");
    turn(2, State::up);
    EXPECT_EQ(all(), "30 100 0") << "after panic";
    after(second);
    ratios[1] = 0.4;
    after(second);
    EXPECT_EQ(all(), "40 100 0");
}

TEST_F(RecoveryTest, HistoryIsOverWhenItIsAllGood) {
    start(model::Recovery::history);
    ratios = {{1, 0.3}};
    turn(1, State::down);
    turn(1, State::up);
    ratios = {{1, 1}};
    slots.find(1)->member.admin = model::Admin::drain;
    look();
    EXPECT_EQ(slots.find(1)->member.back_since, 0U) << "drained or not";
    slots.find(1)->member.admin = model::Admin::ready;
    ratios = {{1, 0.9}};
    look();
    after(second);
    EXPECT_EQ(all(), "100 100 100") << "one failure is no new recovery";
    EXPECT_EQ(weights.next(), 0U);
}

// What is stored of its backends says since when a service has been what it is, at a start.
TEST_F(RecoveryTest, AServiceIsWhatItIsSinceTheNewestOfItsPrimariesIs) {
    become();
    for (model::BackendId id = 1; id <= 3; ++id) {
        Slot slot;
        slot.member.id = id;
        slot.member.configured = 100;
        slot.member.state = State::down;
        slot.member.since = (100 + 100 * id) * second;
        slot.member.backup = id == 3;
        slot.service = slots.name_of("web");
        slot.backend = *(*now->services.find("web"))->backends.find("b" + std::to_string(id));
        slots.put(std::move(slot));
    }
    look();
    const Pool pool = *weights.pool("web");
    EXPECT_EQ(pool.assessment.state, health::PoolState::down);
    EXPECT_EQ(pool.since_wall, clock.wall() - static_cast<int64_t>(700 * second));
    set_state(*slots.find(1), State::up, clock.now());
    look();
    EXPECT_EQ(weights.pool("web")->since_wall, clock.wall());
}

}  // namespace
}  // namespace gorb::control::recovery_test
