#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/log.h"
#include "unit/health/engine_fixture.h"

namespace gorb::health::engine_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(EngineTest, ATargetIsKnownAtOnceAndCheckedAtOnce) {
    engine->put(target(1));
    EXPECT_EQ(view(1).state, State::unknown);
    EXPECT_FALSE(check(1).checked);
    EXPECT_EQ(engine->size(), 1U);
    settle();
    EXPECT_EQ(view(1).state, State::up);
    EXPECT_EQ(check(1).reason, "connected");
    EXPECT_FALSE(engine->read(2));
}

TEST_F(EngineTest, TheFirstCountedResultIsAChange) {
    world.answer("b2", failing());
    engine->put(target(1));
    engine->put(target(2));
    settle();
    ASSERT_EQ(told.size(), 1U) << "one turn, one batch";
    std::map<model::BackendId, Changed> by_id;
    for (const Changed& c : told[0]) by_id[c.id] = c;
    EXPECT_EQ(by_id.at(1).state, State::up);
    EXPECT_EQ(by_id.at(1).reason, "connected");
    EXPECT_EQ(by_id.at(2).state, State::down);
    EXPECT_EQ(by_id.at(2).reason, "connection refused");
}

TEST_F(EngineTest, ResultsThatChangeNothingAreNotTold) {
    engine->put(target(1));
    pass_time(100 * s);
    EXPECT_EQ(told.size(), 1U);
    EXPECT_NEAR(static_cast<double>(check(1).passes), 101, 1);
}

TEST_F(EngineTest, AServerThatDiesAndReturnsIsToldOnceEach) {
    engine->put(target(1));
    pass_time(2 * s);
    told.clear();
    world.answer("b1", failing());
    pass_time(2 * s);
    EXPECT_TRUE(told.empty());
    EXPECT_EQ(view(1).state, State::up);
    pass_time(1 * s);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0][0].state, State::down);
    EXPECT_EQ(told[0][0].reason, "connection refused (3 failures in a row)");
    EXPECT_EQ(view(1).because, "connection refused (3 failures in a row)");
    EXPECT_EQ(view(1).uptime_ns, 0U);

    world.answer("b1", passing());
    pass_time(1 * s);
    EXPECT_EQ(told.size(), 1U);
    pass_time(1 * s);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[1][0].state, State::up);
    EXPECT_EQ(told[1][0].reason, "connected (2 passes in a row)");
}

TEST_F(EngineTest, AChangeOfShareIsTold) {
    engine->put(target(1));
    settle();
    told.clear();
    plugin::Report half = passing();
    half.share = 50;
    half.detail = "busy";
    world.answer("b1", half);
    pass_time(5 * s);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0][0].state, State::up);
    EXPECT_EQ(told[0][0].share, 50U);
    EXPECT_EQ(told[0][0].reason, "busy");
    EXPECT_EQ(view(1).share, 50U);
}

TEST_F(EngineTest, UnknownNeverChangesTheState) {
    engine->put(target(1));
    settle();
    told.clear();
    world.answer("b1", not_known());
    pass_time(20 * s);
    EXPECT_TRUE(told.empty());
    EXPECT_EQ(view(1).state, State::up);
    EXPECT_EQ(check(1).reason, "too many open files");
    EXPECT_NEAR(static_cast<double>(check(1).unknowns), 20, 1);
    EXPECT_EQ(view(1).ratio, 1.0);
}

TEST_F(EngineTest, WhatAPulseSaysAtTheDeadlineIsTheResult) {
    world.answer("b1", std::nullopt);
    plugin::Report half;
    half.verdict = plugin::Verdict::fail;
    half.code = ETIMEDOUT;
    half.detail = "timed out, in the middle of a reply";
    world.last_words(half);
    Target t = target(1, seconds(10));
    edit_pulse(t, [](model::PulseSpec& p) { p.timeout = seconds(5); });
    engine->put(t);
    pass_time(5030 * ms);
    EXPECT_EQ(world.running, 0);
    EXPECT_EQ(check(1).state, State::down);
    EXPECT_EQ(check(1).reason, "timed out, in the middle of a reply");
}

TEST_F(EngineTest, ACheckWithoutAnAnswerFailsAtItsDeadline) {
    world.answer("b1", std::nullopt);
    Target t = target(1, seconds(10));
    edit_pulse(t, [](model::PulseSpec& p) { p.timeout = seconds(5); });
    engine->put(t);
    pass_time(4990 * ms);
    EXPECT_FALSE(check(1).checked);
    EXPECT_EQ(world.running, 1);
    pass_time(30 * ms);
    EXPECT_EQ(world.running, 0);
    EXPECT_EQ(world.cancels, 1);
    const CheckView v = check(1);
    EXPECT_EQ(v.state, State::down);
    EXPECT_EQ(v.reason, "timed out after 5s");
    EXPECT_EQ(v.code, ETIMEDOUT);
    EXPECT_GE(v.latency_ns, 5 * s);
    EXPECT_LE(v.latency_ns, 5 * s + 30 * ms);
    EXPECT_EQ(world.starts()[0].deadline - world.starts()[0].at, 5 * s);
}

TEST_F(EngineTest, ATimeoutLongerThanTheIntervalLeavesOneCheckInFlight) {
    world.answer("b1", std::nullopt);
    Target t = target(1, seconds(1));
    edit_pulse(t, [](model::PulseSpec& p) { p.timeout = seconds(3); });
    engine->put(t);
    pass_time(40 * s);  // the fake fails the test where a second check is started
    EXPECT_GE(check(1).failures, 9U);
    EXPECT_LE(check(1).failures, 13U);
}

TEST_F(EngineTest, TheHostMeasuresTheLatencyThatThePulseDidNot) {
    engine->put(target(1));
    step_until_started();
    clock.advance(7 * ms);
    settle();
    EXPECT_EQ(check(1).latency_ns, 7 * ms);
    plugin::Report measured = passing();
    measured.latency_ns = 1234;
    world.answer("b1", measured);
    pass_time(1 * s);
    EXPECT_EQ(check(1).latency_ns, 1234U);
}

TEST_F(EngineTest, AResultWithoutWordsGetsSome) {
    plugin::Report silent = failing();
    silent.detail.clear();
    world.answer("b1", silent);
    engine->put(target(1));
    settle();
    EXPECT_EQ(check(1).reason, "the check failed");
}

TEST_F(EngineTest, ATargetThatThePulseRefusesIsUnknownWithTheReasonAndTriedAgain) {
    world.refuse_add("the path must begin with /");
    engine->put(target(1));
    pass_time(3 * s);
    EXPECT_EQ(view(1).state, State::unknown);
    EXPECT_EQ(check(1).verdict, plugin::Verdict::unknown);
    EXPECT_EQ(check(1).reason, "the path must begin with /");
    EXPECT_EQ(check(1).code, 22);
    EXPECT_NEAR(world.adds, 4, 1);
    EXPECT_TRUE(told.empty());
    world.refuse_add(std::nullopt);
    pass_time(1 * s);
    EXPECT_EQ(view(1).state, State::up);
}

TEST_F(EngineTest, APulseThatCanNotBeMadeIsTriedAgainButNotByEveryTarget) {
    world.refuse_make("no plugin with the pulse \"tcp\" is loaded");
    for (model::BackendId id = 1; id <= 50; ++id) engine->put(target(id));
    pass_time(5 * s);
    EXPECT_EQ(check(50).reason, "no plugin with the pulse \"tcp\" is loaded");
    EXPECT_GE(world.makes, 4);
    EXPECT_LE(world.makes, 6);
    world.refuse_make(std::nullopt);
    pass_time(2 * s + 100 * ms);
    EXPECT_EQ(view(1).state, State::up);
    EXPECT_EQ(view(50).state, State::up);
    EXPECT_EQ(world.checkers, 1);
}

TEST_F(EngineTest, ARemovedTargetIsNeitherCheckedNorToldAgain) {
    engine->put(target(1));
    settle();
    told.clear();
    engine->remove(1);
    EXPECT_FALSE(engine->read(1));
    EXPECT_EQ(engine->size(), 0U);
    world.forget_starts();
    pass_time(10 * s);
    EXPECT_TRUE(world.starts().empty());
    EXPECT_TRUE(told.empty());
    EXPECT_EQ(world.removes, 1);
    engine->remove(1);  // once more, and one that never was
    engine->remove(77);
    settle();
    EXPECT_EQ(world.removes, 1);
}

TEST_F(EngineTest, RemovalEndsACheckInFlight) {
    world.answer("b1", std::nullopt);
    engine->put(target(1));
    settle();
    ASSERT_EQ(world.running, 1);
    engine->remove(1);
    settle();
    EXPECT_EQ(world.running, 0);
    EXPECT_EQ(world.cancels, 1);
    EXPECT_EQ(world.probes, 0);
    pass_time(20 * s);
    EXPECT_TRUE(told.empty());
}

TEST_F(EngineTest, AnAnswerThatComesAfterTheRemovalIsNotTold) {
    engine->put(target(1));
    step_until_started();
    engine->remove(1);
    pass_time(1 * s);
    EXPECT_TRUE(told.empty());
    EXPECT_FALSE(engine->read(1));
}

TEST_F(EngineTest, AChangeNotYetToldIsNotToldAfterTheRemoval) {
    engine->put(target(1));
    while (view(1).state == State::unknown) ASSERT_TRUE(loop.step());
    ASSERT_TRUE(told.empty()) << "told in the turn after";
    engine->remove(1);
    settle();
    EXPECT_TRUE(told.empty());
}

TEST_F(EngineTest, ANewTargetMayTakeARemovedOnesPlace) {
    for (model::BackendId id = 1; id <= 20; ++id) engine->put(target(id));
    settle();
    for (model::BackendId id = 1; id <= 20; ++id) engine->remove(id);
    for (model::BackendId id = 101; id <= 120; ++id) engine->put(target(id));
    engine->put(target(5));  // and an old id may come back, as someone new
    settle();
    EXPECT_EQ(engine->size(), 21U);
    EXPECT_EQ(check(101).passes, 1U);
    EXPECT_EQ(check(5).passes, 1U);
}

TEST_F(EngineTest, TheSameAgainChangesNothing) {
    engine->put(target(1, seconds(60)));
    settle();
    engine->put(target(1, seconds(60)));
    settle();
    EXPECT_EQ(world.adds, 1);
    EXPECT_EQ(check(1).passes, 1U);
}

TEST_F(EngineTest, AnotherIntervalKeepsStateAndHistoryAndChecksAtOnce) {
    engine->put(target(1, seconds(60)));
    settle();
    const uint64_t since = view(1).since;
    pass_time(100 * ms);
    told.clear();
    engine->put(target(1, seconds(1)));
    EXPECT_EQ(view(1).state, State::up);
    settle();
    EXPECT_EQ(check(1).passes, 2U);
    EXPECT_EQ(view(1).since, since);
    EXPECT_EQ(world.removes, 1);
    EXPECT_TRUE(told.empty());
    pass_time(10 * s);
    EXPECT_NEAR(static_cast<double>(check(1).passes), 12, 1);
}

TEST_F(EngineTest, AnotherAddressBeginsAnewAndThatIsTold) {
    engine->put(target(1));
    settle();
    told.clear();
    Target moved = target(1);
    moved.address.port = 8080;
    world.answer("b1", std::nullopt);
    engine->put(moved);
    EXPECT_EQ(view(1).state, State::unknown);
    EXPECT_EQ(check(1).passes, 0U);
    settle();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0][0].state, State::unknown);
    EXPECT_EQ(told[0][0].id, 1U);
    pass_time(6 * s);
    EXPECT_EQ(view(1).state, State::down);
}

TEST_F(EngineTest, TheResultOfTheOldAddressIsNotTheNewOnes) {
    world.answer("b1", failing());
    engine->put(target(1));
    step_until_started();
    Target moved = target(1);
    moved.address.port = 8080;
    world.answer("b1", passing());
    engine->put(moved);
    settle();
    EXPECT_EQ(check(1).failures, 0U);
    EXPECT_EQ(check(1).passes, 1U);
    for (const auto& batch : told) {
        for (const Changed& c : batch) EXPECT_NE(c.state, State::down);
    }
}

TEST_F(EngineTest, EachTransitionIsLoggedWithWhoAndWhy) {
    base::set_log_level(base::LogLevel::info);
    testing::internal::CaptureStderr();
    world.answer("b1", failing());
    engine->put(target(1));
    settle();
    const std::string down = testing::internal::GetCapturedStderr();
    EXPECT_NE(down.find("backend is down"), std::string::npos) << down;
    for (const char* part : {"service=web", "backend=b1", "address=10.0.0.2:80", "from=unknown", "to=down",
                             "reason=\"connection refused\""}) {
        EXPECT_NE(down.find(part), std::string::npos) << part << " in " << down;
    }
    testing::internal::CaptureStderr();
    world.answer("b1", passing());
    pass_time(2 * s);
    const std::string up = testing::internal::GetCapturedStderr();
    EXPECT_NE(up.find("backend is up"), std::string::npos) << up;
    EXPECT_NE(up.find("from=down to=up reason=\"connected (2 passes in a row)\""), std::string::npos) << up;
    testing::internal::CaptureStderr();
    world.answer("b1", not_known());
    pass_time(5 * s);
    const std::string trouble = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::count(trouble.begin(), trouble.end(), '\n'), 1) << trouble;
    EXPECT_NE(trouble.find("too many open files"), std::string::npos) << trouble;
}

TEST_F(EngineTest, ManyThousandTargetsAreCheckedOnTime) {
    constexpr size_t n = 20'000;
    for (model::BackendId id = 1; id <= n; ++id) engine->put(target(id, seconds(5)));
    pass_time(5 * s);
    size_t up = 0;
    for (model::BackendId id = 1; id <= n; ++id) up += engine->read(id)->state == State::up ? 1 : 0;
    EXPECT_EQ(up, n);
    world.forget_starts();
    pass_time(5 * s);
    EXPECT_EQ(world.starts().size(), n);
}

TEST_F(EngineTest, ATurnStartsSixtyFourChecksThenLooksAtTheSockets) {
    for (model::BackendId id = 1; id <= 1000; ++id) engine->put(target(id, seconds(100)));
    pass_time(101 * s);
    clock.advance(200 * s);  // all are due
    world.forget_starts();
    size_t before = 0;
    for (int i = 0; i < 100; ++i) {
        loop.step();
        const size_t now = world.starts().size();
        ASSERT_LE(now - before, 64U);
        before = now;
    }
    EXPECT_EQ(before, 1000U);
}

TEST_F(EngineTest, MayBeDestroyedBeforeTheLoopHasHeardOfItsTargets) {
    for (model::BackendId id = 1; id <= 100; ++id) engine->put(target(id));
    engine.reset();
    pass_time(5 * s);
    EXPECT_TRUE(world.starts().empty());
}

TEST_F(EngineTest, MayBeDestroyedWhileChecksAreInFlight) {
    world.answer_all(std::nullopt);
    for (model::BackendId id = 1; id <= 50; ++id) engine->put(target(id));
    settle();
    EXPECT_EQ(world.running, 50);
    engine.reset();
    EXPECT_EQ(world.running, 0);
    pass_time(20 * s);
}

TEST_F(EngineTest, AnEngineOfSeveralLoopsSpreadsItsTargets) {
    io::Loop other{"loop-1", &clock};
    FakeWorld two;
    size_t changes = 0;
    Engine both(two.maker(), {&loop, &other}, [&](std::span<const Changed> c) { changes += c.size(); });
    for (model::BackendId id = 1; id <= 1000; ++id) both.put(target(id, seconds(60)));
    pass_time(1 * s);
    const auto up = [&] {
        size_t n = 0;
        for (model::BackendId id = 1; id <= 1000; ++id) n += both.read(id)->state == State::up ? 1 : 0;
        return n;
    };
    EXPECT_GT(up(), 400U);
    EXPECT_LT(up(), 600U);
    for (int i = 0; i < 1000 && other.step(); ++i) {
    }
    clock.advance(100 * ms);
    for (int i = 0; i < 1000 && other.step(); ++i) {
    }
    settle();  // each change is told by the loop that is its backend's home
    EXPECT_EQ(up(), 1000U);
    EXPECT_EQ(changes, 1000U);
    EXPECT_EQ(two.checkers, 2);
}

}  // namespace
}  // namespace gorb::health::engine_test
