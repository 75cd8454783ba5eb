// What a backend keeps of its health when its pulses are changed.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "unit/health/engine_fixture.h"

namespace gorb::health::engine_change_test {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

Target with(Target t, const std::function<void(model::PulseSpec&)>& change) {
    edit_pulse(t, change);
    return t;
}

// Pulses of type tcp that ask at these ports, with the timeouts given for them.
Target at_ports(const std::vector<std::pair<std::string, base::Nanos>>& pulses) {
    Target t = target(1);
    std::vector<model::PulseSpec> specs;
    for (const auto& [port, timeout] : pulses) {
        model::PulseSpec spec = t.pulses[0];
        spec.args["port"] = port;
        spec.timeout = timeout;
        specs.push_back(std::move(spec));
    }
    t.pulses = model::PulseList(std::move(specs));
    return t;
}

struct EngineChange : EngineTest {
    // Of b1's two pulses the one of port 81 is up, that of port 82 is down, and no more checks end.
    void one_up_one_down() {
        world.answer("b1", passing());
        engine->put(at_ports({{"81", seconds(2)}}));
        settle();
        world.answer("b1", failing());
        engine->put(at_ports({{"81", seconds(2)}, {"82", seconds(2)}}));
        settle();
        ASSERT_EQ(view(1).checks[0].state, State::up);
        ASSERT_EQ(view(1).checks[1].state, State::down);
        world.answer("b1", std::nullopt);
    }
};

TEST_F(EngineChange, APulseGoesOnFromTheOneThatAskedTheSameAndNotFromAnotherThatIsTakenAway) {
    one_up_one_down();
    engine->put(at_ports({{"82", seconds(3)}}));
    EXPECT_EQ(view(1).state, State::down) << "what was well is not asked any more";
    engine->put(at_ports({{"83", seconds(3)}}));
    EXPECT_EQ(view(1).state, State::down) << "where there is no choice, the one of its type";
}

TEST_F(EngineChange, PulsesThatChangePlacesAndOptionsAtOnceKeepEachItsOwnHealth) {
    one_up_one_down();
    engine->put(at_ports({{"82", seconds(3)}, {"81", seconds(3)}}));
    EXPECT_EQ(view(1).checks[0].state, State::down);
    EXPECT_EQ(view(1).checks[1].state, State::up);
}

TEST_F(EngineChange, WhatBeginsAsUpOrDownSaysThatThisIsWhy) {
    world.answer_all(std::nullopt);
    engine->put(with(target(1), [](auto& p) { p.initial = model::Initial::down; }));
    engine->put(with(target(2), [](auto& p) { p.initial = model::Initial::up; }));
    engine->put(target(3));
    for (const model::BackendId id : {1U, 2U}) {
        EXPECT_EQ(view(id).because, "it begins so (initial), until its checks say otherwise");
        EXPECT_EQ(check(id).because, view(id).because);
    }
    EXPECT_EQ(view(3).because, "");
    world.answer_all(failing());
    pass_time(10 * s);
    EXPECT_EQ(view(1).because, "connection refused (3 failures in a row)") << "which alone would do it";
    EXPECT_EQ(view(1).changes, 0U);
    EXPECT_EQ(view(2).because, "connection refused (3 failures in a row)");
}

TEST_F(EngineChange, AStateFromBeforeTheStartIsExplainedByTheChecksThatConfirmIt) {
    world.answer("b1", failing());
    for (const auto& [id, known] : {std::pair(1U, State::down), std::pair(2U, State::up)}) {
        Target t = target(id);
        t.known = known;
        engine->put(t);
        settle();
        EXPECT_EQ(view(id).because, "known from before gorbd was started") << "one result is no row yet";
    }
    // What a change of the interval hands on is not confirmed by that.
    Target changed = target(1, seconds(2));
    changed.known = State::down;
    engine->put(changed);
    settle();
    EXPECT_EQ(view(1).because, "known from before gorbd was started");
    world.answer("b1", not_known());
    pass_time(4 * s);
    EXPECT_EQ(view(1).because, "known from before gorbd was started");
    world.answer("b1", failing());
    pass_time(10 * s);
    EXPECT_EQ(view(1).because, "connection refused (3 failures in a row)");
    EXPECT_EQ(view(2).because, "connected (2 passes in a row)");
    EXPECT_EQ(view(1).changes + view(2).changes, 0U);
}

TEST_F(EngineChange, AStateFromBeforeTheStartHasLastedSinceThen) {
    const int64_t hour = 3600 * int64_t{s};
    const int64_t start = clock.wall();
    for (const auto& [id, since] :
         {std::pair(1U, start - hour), std::pair(2U, start + hour), std::pair(3U, int64_t{0})}) {
        Target t = target(id);
        t.known = State::up;
        t.known_since_wall = since;
        t.known_since = since == 0 ? 0 : clock.now() - (since < start ? 1 : 0);
        engine->put(t);
    }
    settle();
    EXPECT_EQ(view(1).since_wall, start - hour);
    EXPECT_EQ(view(2).since_wall, start) << "the clock has been set back";
    EXPECT_EQ(view(3).since_wall, start);
    EXPECT_EQ(check(1).since_wall, start - hour);
    pass_time(10 * s);
    EXPECT_EQ(view(1).since_wall, start - hour) << "its checks have confirmed it";
    EXPECT_GT(view(1).uptime_ns, view(3).uptime_ns);
}

TEST_F(EngineChange, OfSeveralChecksThatWereDownBeforeTheStartTheOneThatIsSoExplainsIt) {
    world.answer("b1/http", not_known());
    world.answer("b1/tcp", failing());
    Target t = target(1);
    std::vector<model::PulseSpec> specs(2, t.pulses[0]);
    specs[0].type = "http";
    specs[1].type = "tcp";
    t.pulses = model::PulseList(std::move(specs));
    t.known = State::down;
    engine->put(t);
    settle();
    EXPECT_EQ(view(1).because, "http: all checks together were so before gorbd was started");
    pass_time(10 * s);
    EXPECT_EQ(view(1).because, "tcp: connection refused (3 failures in a row)");
    EXPECT_EQ(view(1).decides, 1U);
    EXPECT_EQ(check(1).because, "all checks together were so before gorbd was started");
}

TEST_F(EngineChange, AnotherDampingCountsForTheFallThatHoldsItDownNow) {
    const auto held_for = [](base::Nanos hold) {
        return with(target(1), [&](auto& p) {
            p.rise = p.fall = 1;
            p.damping = {hold, minutes(30), minutes(10)};
        });
    };
    engine->put(held_for(minutes(5)));
    settle();
    world.answer("b1", failing());
    pass_time(2 * s);
    world.answer("b1", passing());
    pass_time(2 * s);
    ASSERT_EQ(view(1).state, State::down);
    ASSERT_GT(check(1).held_ns, 200 * s);
    engine->put(held_for(seconds(10)));
    EXPECT_LE(check(1).held_ns, 10 * s);
    pass_time(10 * s);
    EXPECT_EQ(view(1).state, State::up);
}

TEST_F(EngineTest, EqualPulsesOfOneBackendAreOneProbeThatItSharesWithNobody) {
    const Target twice = at_ports({{"80", seconds(1)}, {"80", seconds(1)}}),
                 once = at_ports({{"80", seconds(1)}});
    engine->put(twice);
    pass_time(2 * s);
    EXPECT_EQ(engine->counters().probes, 1U);
    ASSERT_EQ(view(1).checks.size(), 2U);
    EXPECT_EQ(check(1).shared, 1U);
    Target other = twice;
    other.id = 2;
    other.service = "other";
    engine->put(other);
    EXPECT_EQ(check(1).shared, 2U);
    engine->put(once);
    engine->put(twice);
    EXPECT_EQ(check(2).shared, 2U);
    engine->remove(2);
    EXPECT_EQ(check(1).shared, 1U);
    engine->remove(1);
    settle();
    EXPECT_EQ(engine->counters().probes, 0U);
}

TEST_F(EngineTest, OfThousandsThatFallOrComeBackTheLogHasAHundredASecond) {
    for (model::BackendId id = 1; id <= 500; ++id) engine->put(target(id));
    base::set_log_level(base::LogLevel::info);
    const auto said_when = [&](const plugin::Report& report) {
        testing::internal::CaptureStderr();
        world.answer_all(report);
        pass_time(500 * ms);
        return testing::internal::GetCapturedStderr();
    };
    const std::string fall = said_when(failing());
    EXPECT_EQ(std::count(fall.begin(), fall.end(), '\n'), 101) << fall;
    EXPECT_NE(fall.find("more backends are down than are written out here"), std::string::npos) << fall;
    pass_time(2 * s);
    const std::string rise = said_when(passing()) + said_when(passing()) + said_when(passing());
    EXPECT_NE(rise.find("backend is up"), std::string::npos) << "falls do not use up the lines of returns";
    EXPECT_NE(rise.find("more backends are up than are written out here"), std::string::npos) << rise;
    EXPECT_LT(std::count(rise.begin(), rise.end(), '\n'), 310) << rise;
    base::set_log_level(base::LogLevel::error);
}

TEST_F(EngineTest, OfThousandsThatCanNotBeCheckedTheLogHasAHundredASecond) {
    base::set_log_level(base::LogLevel::warning);
    testing::internal::CaptureStderr();
    world.answer_all(not_known());
    for (model::BackendId id = 1; id <= 500; ++id) engine->put(target(id));
    pass_time(500 * ms);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 101);
    EXPECT_NE(said.find("more backends can not be checked than are written out here"), std::string::npos);
    testing::internal::CaptureStderr();
    world.answer_all(passing());
    pass_time(2 * s);
    world.answer_all(not_known());
    pass_time(1 * s);
    const std::string again = testing::internal::GetCapturedStderr();
    EXPECT_NE(again.find("backend can not be checked"), std::string::npos)
        << "another second, another hundred";
}

// What a put makes of a backend is no check's doing, and in the log all the same.
struct StateLog : EngineChange {
    void SetUp() override {
        base::set_log_level(base::LogLevel::info);
        testing::internal::CaptureStderr();
    }
    std::string end() {
        std::string log = testing::internal::GetCapturedStderr();
        base::set_log_level(base::LogLevel::error);
        return log;
    }
    static size_t count(const std::string& log, const std::string& words) {
        size_t found = 0;
        for (size_t at = 0; (at = log.find(words, at)) != std::string::npos; ++at) ++found;
        return found;
    }
};

TEST_F(StateLog, HasABackendThatJoinsAProbeWhichIsDown) {
    world.answer_all(failing());
    engine->put(target(1));
    settle();
    Target twin = target(1);
    twin.id = 2;
    twin.service = "other";
    engine->put(twin);
    settle();
    const std::string log = end();
    EXPECT_EQ(count(log, "backend is down"), 2U) << log;
    EXPECT_NE(log.find("service=other backend=b1"), std::string::npos) << log;
    EXPECT_EQ(count(log, "connection refused"), 2U) << log;
}

TEST_F(StateLog, HasABackendThatComesUpSinceItsFailingPulseIsGone) {
    one_up_one_down();
    engine->put(at_ports({{"81", seconds(2)}}));
    EXPECT_EQ(view(1).state, State::up);
    const std::string log = end();
    EXPECT_GT(log.rfind("backend is up"), log.rfind("backend is down")) << log;
}

TEST_F(StateLog, HasNothingOfWhatIsAsItWasBeforeTheStart) {
    world.answer_all(std::nullopt);
    for (const auto& [id, known] : {std::pair(1U, State::down), std::pair(2U, State::up)}) {
        Target t = target(id);
        t.known = known;
        engine->put(t);
    }
    settle();
    EXPECT_EQ(end(), "");
}

TEST_F(StateLog, HasAHundredOfThousandsThatGoDownAtOnce) {
    world.answer_all(failing());
    for (model::BackendId id = 1; id <= 500; ++id) engine->put(target(id));
    pass_time(500 * ms);
    const std::string log = end();
    EXPECT_EQ(count(log, "backend is down"), 100U);
    EXPECT_EQ(count(log, "more backends are down"), 1U);
}

}  // namespace
}  // namespace gorb::health::engine_change_test
