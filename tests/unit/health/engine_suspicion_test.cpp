// The suspicion of this machine while targets come, go and are asked in another way.
#include <functional>
#include <string>

#include "unit/health/engine_fixture.h"

namespace gorb::health::engine_suspicion_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr model::BackendId targets = 12;

struct EngineSuspicion : EngineTest {
    // Of an address of its own, asked once a second.
    static Target one(model::BackendId id, base::Nanos timeout = milliseconds(300)) {
        Target t = target(id);
        edit_pulse(t, [&](model::PulseSpec& p) { p.timeout = timeout; });
        return t;
    }
    // The same again for another service: it has a probe with the first in common.
    static Target twin(model::BackendId id, base::Nanos timeout = milliseconds(300)) {
        Target t = one(id, timeout);
        t.id = targets + id;
        t.service = "other";
        return t;
    }
    void put_all(const std::function<Target(model::BackendId)>& make) {
        for (model::BackendId id = 1; id <= targets; ++id) engine->put(make(id));
        settle();
    }
    void freeze(std::optional<plugin::Report> answer = failing()) {
        pass_time(3 * s);
        ASSERT_FALSE(frozen());
        world.answer_all(std::move(answer));
        pass_time(2 * s);
        ASSERT_TRUE(frozen());
    }
    bool frozen() const { return engine->suspicion().frozen; }
};

// Whether an answer comes at once or never.
struct EngineSuspicionOf : EngineSuspicion, testing::WithParamInterface<bool> {
    std::optional<plugin::Report> answer() const {
        return GetParam() ? std::optional(failing()) : std::nullopt;
    }
};
INSTANTIATE_TEST_SUITE_P(Answers, EngineSuspicionOf, testing::Bool());

TEST_P(EngineSuspicionOf, AnotherTimeoutOfAllTargetsIsNoRecovery) {
    put_all([](auto id) { return one(id); });
    freeze(answer());
    put_all([](auto id) { return one(id, milliseconds(400)); });
    pass_time(3 * s);
    EXPECT_TRUE(frozen());
    // One that passes makes not most of them well.
    world.answer("b1", passing());
    pass_time(2 * s);
    EXPECT_TRUE(frozen());
    world.answer_all(passing());
    pass_time(3 * s);
    EXPECT_FALSE(frozen());
    EXPECT_EQ(engine->suspicion().why, "most targets are well again");
}

TEST_P(EngineSuspicionOf, NorIsOneOfProbesThatSeveralServicesHave) {
    put_all([](auto id) { return one(id); });
    put_all([](auto id) { return twin(id); });
    freeze(answer());
    put_all([](auto id) { return one(id, milliseconds(400)); });
    pass_time(1 * s);
    EXPECT_TRUE(frozen());
    put_all([](auto id) { return twin(id, milliseconds(400)); });
    EXPECT_EQ(engine->counters().probes, targets);
    pass_time(2 * s);
    EXPECT_TRUE(frozen());
    world.answer("b1", passing());
    pass_time(2 * s);
    EXPECT_TRUE(frozen());
}

TEST_P(EngineSuspicionOf, NorIsAnotherPulse) {
    put_all([](auto id) { return one(id); });
    freeze(answer());
    put_all([](auto id) {
        Target t = one(id);
        edit_pulse(t, [](model::PulseSpec& p) { p.type = "http"; });
        return t;
    });
    pass_time(3 * s);
    EXPECT_TRUE(frozen());
    pass_time(10 * s);
    EXPECT_FALSE(frozen()) << "what fails for ten intervals is believed";
}

TEST_F(EngineSuspicion, WhenAllTargetsAreGoneThereIsNothingToSuspect) {
    put_all([](auto id) { return one(id); });
    freeze();
    for (model::BackendId id = 1; id <= targets; ++id) engine->remove(id);
    pass_time(2 * s);
    EXPECT_FALSE(frozen());
    EXPECT_EQ(engine->suspicion().why, "none of the targets is left");
}

// A restart during an outage, or an outage of the time in which gorbd was away.
TEST_F(EngineSuspicion, WhatWasKnownToBeUpBeforeTheStartAndFailsIsSuspiciousBeforeAnyFalls) {
    world.answer_all(failing());
    put_all([](auto id) {
        Target t = one(id);
        t.known = State::up;
        return t;
    });
    pass_time(1 * s);
    EXPECT_TRUE(frozen());
    for (const auto& batch : told) {
        for (const Changed& change : batch) EXPECT_EQ(change.state, State::up);
    }
}

// After a start all who are to report are waited for, and after a change of how they are asked as well.
TEST_F(EngineSuspicion, WhoHasNothingToSayYetIsNotIllForIt) {
    world.answer_all(waiting());
    put_all([](auto id) {
        Target t = one(id);
        t.known = State::up;
        return t;
    });
    pass_time(3 * s);
    EXPECT_FALSE(frozen());
    put_all([](auto id) { return one(id, milliseconds(400)); });
    pass_time(3 * s);
    EXPECT_FALSE(frozen());
    EXPECT_EQ(view(1).state, State::up);
    // But what was up, and fails when it does have something to say, is part of a wave.
    world.answer_all(failing());
    pass_time(1 * s);
    EXPECT_TRUE(frozen());
}

// A report: the pulse asks for a check, which comes to that.
struct Reports : EngineSuspicion {
    void SetUp() override {
        world.answer_push(base::Status{});
        put_all([](auto id) { return one(id); });
        pass_time(3 * s);
    }
    void report(model::BackendId id, const plugin::Report& what) {
        const std::string name = "b" + std::to_string(id);
        engine->push(id, {what.verdict, 100, what.code, what.detail},
                     [](const base::Status& taken) { EXPECT_TRUE(taken); });
        settle();
        world.answer(name, what);
        world.ask(name);
        settle();
    }
};

TEST_F(Reports, OfFailuresAreNoEvidenceAgainstThisMachine) {
    for (model::BackendId id = 1; id <= targets; ++id) report(id, failing());
    pass_time(5 * s);
    EXPECT_FALSE(frozen());
    EXPECT_EQ(view(1).state, State::down);
    // Nor is it one that they go on, or that they end.
    for (model::BackendId id = 1; id <= targets; ++id) report(id, passing());
    pass_time(5 * s);
    EXPECT_TRUE(suspicions.empty());
    EXPECT_EQ(view(1).state, State::up);
}

TEST_F(Reports, ThatDoNotComeAnyMoreAre) {
    for (model::BackendId id = 1; id <= targets; ++id) report(id, passing());
    for (model::BackendId id = 1; id <= targets; ++id) world.answer("b" + std::to_string(id), failing());
    pass_time(2 * s);
    EXPECT_TRUE(frozen());
}

TEST_F(Reports, AFreezeSaysWhatAnOperatorCanDo) {
    freeze();
    EXPECT_NE(engine->suspicion().why.find(R"(PATCH {"admin": "maint"})"), std::string::npos);
    EXPECT_NE(engine->suspicion().why.find("suspicion = false"), std::string::npos);
}

// What failed before the wave is no part of it because it is asked in another way.
TEST_F(EngineSuspicion, WhoWasDownForLongIsNotNewlyIllForBeingAskedInAnotherWay) {
    world.answer_all(failing());
    put_all([](auto id) { return one(id); });
    pass_time(3 * s);
    put_all([](auto id) { return one(id, milliseconds(400)); });
    pass_time(3 * s);
    EXPECT_TRUE(suspicions.empty());
}

}  // namespace
}  // namespace gorb::health::engine_suspicion_test
