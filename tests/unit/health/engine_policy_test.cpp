// What the engine makes of policies, shared probes, several pulses, pushes and its own troubles.
#include <algorithm>
#include <cerrno>
#include <set>
#include <string>

#include "unit/health/engine_fixture.h"

namespace gorb::health::engine_policy_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Target with(Target t, const std::function<void(model::PulseSpec&)>& change) {
    edit_pulse(t, change);
    return t;
}

// The same address and pulse as `t`, as another backend.
Target like(Target t, model::BackendId id, const std::string& service = "other") {
    t.id = id;
    t.service = service;
    t.backend = "b" + std::to_string(id);
    return t;
}

Target with_pulses(model::BackendId id, const std::vector<std::string>& types) {
    Target t = target(id);
    std::vector<model::PulseSpec> pulses;
    for (const std::string& type : types) {
        pulses.push_back(t.pulses[0]);
        pulses.back().type = type;
    }
    t.pulses = model::PulseList(pulses);
    return t;
}

class EnginePolicy : public EngineTest {
  protected:
    std::vector<Changed> all_told() {
        std::vector<Changed> all;
        for (const auto& batch : told) all.insert(all.end(), batch.begin(), batch.end());
        told.clear();
        return all;
    }
};

// ---- shared probes

TEST_F(EnginePolicy, EqualPulsesOfOneAddressAreOneProbeForAllWhoseBackendsTheyAre) {
    engine->put(target(1));
    engine->put(like(target(1), 2));
    engine->put(like(target(1), 3, "third"));
    pass_time(10 * s);
    EXPECT_EQ(world.adds, 1);
    EXPECT_NEAR(static_cast<double>(world.starts().size()), 11, 1);
    EXPECT_EQ(engine->counters().probes, 1U);
    EXPECT_EQ(engine->counters().backends, 3U);
    EXPECT_EQ(check(3).shared, 3U);
    EXPECT_EQ(check(2).passes, check(1).passes);
    EXPECT_EQ(all_told().size(), 3U);
    world.answer("b1", failing());
    pass_time(4 * s);
    EXPECT_EQ(view(1).state, State::down);
    EXPECT_EQ(view(3).state, State::down);
    const auto changes = all_told();
    ASSERT_EQ(changes.size(), 3U);
    EXPECT_EQ(changes[2].reason, "connection refused (3 failures in a row)");
}

TEST_F(EnginePolicy, AnyDifferenceOfThePulseMakesAProbeOfItsOwn) {
    engine->put(target(1));
    engine->put(with(like(target(1), 2), [](auto& p) { p.fall = 7; }));
    engine->put(with(like(target(1), 3), [](auto& p) { p.args["path"] = "\"/\""; }));
    engine->put(with(like(target(1), 4), [](auto& p) { p.source = *base::Ip::parse("10.1.1.1"); }));
    settle();
    EXPECT_EQ(engine->counters().probes, 4U);
    EXPECT_EQ(check(4).shared, 1U);
}

TEST_F(EnginePolicy, APulseWithAnAddressIsCheckedThereAndSharedWithAllWhoAreCheckedThere) {
    const auto elsewhere = [](auto& p) { p.address = *base::Ip::parse("10.200.0.1"); };
    engine->put(with(target(1), elsewhere));
    engine->put(with(target(2), elsewhere));
    settle();
    EXPECT_EQ(engine->counters().probes, 1U);
    ASSERT_EQ(world.starts().size(), 1U);
    EXPECT_EQ(world.starts()[0].address.text(), "10.200.0.1:80");
    EXPECT_EQ(check(2).shared, 2U);
    EXPECT_EQ(view(2).state, State::up);
}

// Whoever gives it another address has forgotten what it was, and must be told.
TEST_F(EnginePolicy, ABackendThatMovesIsToldOfAnewThoughItIsCheckedWhereItWas) {
    const auto elsewhere = [](auto& p) { p.address = *base::Ip::parse("10.200.0.1"); };
    engine->put(with(target(1), elsewhere));
    settle();
    ASSERT_EQ(all_told().size(), 1U);
    engine->put(with(target(1), elsewhere));
    settle();
    EXPECT_TRUE(all_told().empty()) << "nothing is another";
    Target moved = with(target(1), elsewhere);
    moved.address = address_of(77);
    engine->put(moved);
    settle();
    const auto changes = all_told();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].state, State::up);
    EXPECT_EQ(engine->counters().probes, 1U);
}

TEST_F(EnginePolicy, OfSeveralPulsesEachIsCheckedWhereItSays) {
    Target t = target(1);
    std::vector<model::PulseSpec> pulses{t.pulses[0], t.pulses[0]};
    pulses[1].address = *base::Ip::parse("10.200.0.1");
    t.pulses = model::PulseList(pulses);
    engine->put(t);
    settle();
    std::set<std::string> addresses;
    for (const auto& start : world.starts()) addresses.insert(start.address.text());
    EXPECT_EQ(addresses, (std::set<std::string>{t.address.text(), "10.200.0.1:80"}));
}

TEST_F(EnginePolicy, WhoComesLaterTakesTheStateOfTheProbeAtOnce) {
    engine->put(target(1));
    pass_time(2 * s);
    all_told();
    engine->put(like(target(1), 2));
    EXPECT_EQ(view(2).state, State::up);
    EXPECT_EQ(view(2).because, "connected");
    EXPECT_EQ(view(2).since, clock.now());
    settle();
    const auto changes = all_told();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].id, 2U);
    EXPECT_EQ(changes[0].state, State::up);
    EXPECT_EQ(changes[0].reason, "connected");
}

TEST_F(EnginePolicy, AProbeIsGoneWithTheLastOfItsBackends) {
    engine->put(target(1));
    engine->put(like(target(1), 2));
    settle();
    engine->remove(1);
    settle();
    EXPECT_EQ(world.probes, 1);
    EXPECT_EQ(check(2).shared, 1U);
    pass_time(3 * s);
    EXPECT_GE(check(2).passes, 3U);
    engine->remove(2);
    settle();
    EXPECT_EQ(world.probes, 0);
    EXPECT_EQ(engine->counters().probes, 0U);
    engine->put(like(target(1), 3));
    EXPECT_EQ(view(3).state, State::unknown) << "nothing is left of what was";
}

TEST_F(EnginePolicy, WhoIsCheckedInAnotherWayLeavesTheOthersAlone) {
    engine->put(target(1));
    engine->put(like(target(1), 2));
    pass_time(5 * s);
    engine->put(target(1, seconds(60)));
    EXPECT_EQ(view(1).state, State::up);
    EXPECT_GE(check(1).passes, 5U) << "with its history";
    settle();
    EXPECT_EQ(check(2).shared, 1U);
    EXPECT_EQ(engine->counters().probes, 2U);
}

// ---- several pulses

TEST_F(EnginePolicy, OneThatMovesToAnAddressThatAnotherHasAndThatIsUpIsToldToBeUp) {
    Target there = with_pulses(2, {"tcp"});
    there.address = target(3).address;
    engine->put(there);
    engine->put(with_pulses(1, {"tcp"}));
    settle();
    ASSERT_EQ(view(1).state, State::up);
    all_told();
    Target moved = with_pulses(1, {"tcp"});
    moved.address = there.address;
    engine->put(moved);
    settle();
    const auto changes = all_told();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].id, 1U);
    EXPECT_EQ(changes[0].state, State::up);
}

// Who has asked another question knows nothing until it is told.
TEST_F(EnginePolicy, OneOfSeveralPulsesThatIsTakenAwayLeavesTheStateAndThatIsTold) {
    engine->put(with_pulses(1, {"tcp", "http"}));
    settle();
    ASSERT_EQ(view(1).state, State::up);
    const uint64_t since = view(1).since;
    pass_time(100 * ms);
    all_told();
    engine->put(with_pulses(1, {"http"}));
    settle();
    const auto changes = all_told();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].state, State::up);
    EXPECT_EQ(changes[0].since, since);
}

TEST_F(EnginePolicy, ABackendIsUpWhenAllItsPulsesPass) {
    world.answer("b1/http", std::nullopt);
    engine->put(with_pulses(1, {"tcp", "http"}));
    pass_time(1 * s);
    EXPECT_EQ(view(1).state, State::unknown) << "one has said nothing yet";
    EXPECT_EQ(view(1).checks[0].state, State::up);
    world.answer("b1/http", passing());
    pass_time(4100 * ms);
    EXPECT_EQ(view(1).state, State::down) << "the first result of http was a timeout";
    EXPECT_EQ(view(1).because, "http: timed out after 5s");
    pass_time(3 * s);
    EXPECT_EQ(view(1).state, State::up);
    EXPECT_EQ(view(1).checks.size(), 2U);
    EXPECT_EQ(view(1).checks[1].type, "http");
    all_told();
    world.answer("b1/tcp", failing());
    pass_time(4 * s);
    EXPECT_EQ(view(1).state, State::down);
    const auto changes = all_told();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].reason, "tcp: connection refused (3 failures in a row)");
    EXPECT_EQ(view(1).because, changes[0].reason);
}

TEST_F(EnginePolicy, TheLeastShareAndTheFirstWarningAreTheBackends) {
    plugin::Report soon = passing();
    soon.warning = "certificate ends in 6 days";
    soon.share = 40;
    world.answer("b1/http", soon);
    engine->put(with_pulses(1, {"tcp", "http"}));
    pass_time(2 * s);
    EXPECT_EQ(view(1).share, 40U);
    EXPECT_EQ(view(1).warning, "http: certificate ends in 6 days");
    EXPECT_EQ(view(1).checks[1].warning, "certificate ends in 6 days");
    world.answer("b1/http", passing());
    pass_time(2 * s);
    EXPECT_EQ(view(1).warning, "");
    EXPECT_EQ(view(1).share, 100U);
}

// Agents say another one with every check.
TEST_F(EnginePolicy, SharesThatChangeAllTheTimeDoNotFillTheLog) {
    world.answer_all(passing());
    for (model::BackendId id = 1; id <= 500; ++id) engine->put(target(id));
    pass_time(2 * s);
    base::set_log_level(base::LogLevel::info);
    testing::internal::CaptureStderr();
    for (const uint32_t share : {40U, 41U, 42U}) {
        plugin::Report report = passing();
        report.share = share;
        world.answer_all(report);
        pass_time(s);
    }
    const std::string log = testing::internal::GetCapturedStderr();
    base::set_log_level(base::LogLevel::error);
    EXPECT_EQ(view(1).share, 42U);
    const auto count = [&](const std::string& words) {
        size_t found = 0;
        for (size_t at = 0; (at = log.find(words, at)) != std::string::npos; ++at) ++found;
        return found;
    };
    EXPECT_GE(count(" backend asks for another share"), 100U);
    EXPECT_LE(count(" backend asks for another share"), 400U) << "a hundred a second";
    EXPECT_GE(count(" more backends ask for another share"), 1U);
}

TEST_F(EnginePolicy, WhatCanNotBeCheckedIsAWarningWhileItLastsAndTheLogHasItsBeginAndItsEnd) {
    engine->put(target(1));
    pass_time(3 * s);
    base::set_log_level(base::LogLevel::info);
    testing::internal::CaptureStderr();
    world.answer("b1", not_known());
    pass_time(3 * s);
    EXPECT_EQ(view(1).state, State::up);
    EXPECT_TRUE(view(1).trouble);
    EXPECT_TRUE(check(1).trouble);
    EXPECT_EQ(view(1).warning, "can not be checked now: too many open files");
    world.answer("b1", passing());
    pass_time(3 * s);
    EXPECT_FALSE(view(1).trouble);
    EXPECT_EQ(view(1).warning, "");
    // Who waits for a report is not in trouble.
    world.answer("b1", waiting());
    pass_time(2 * s);
    EXPECT_FALSE(view(1).trouble);
    EXPECT_EQ(view(1).warning, "");
    const std::string log = testing::internal::GetCapturedStderr();
    base::set_log_level(base::LogLevel::error);
    const size_t begin = log.find("backend can not be checked, its state stays as it is");
    const size_t end = log.find("backend can be checked again");
    ASSERT_NE(begin, std::string::npos) << log;
    ASSERT_NE(end, std::string::npos) << log;
    EXPECT_LT(begin, end);
    EXPECT_EQ(std::ranges::count(log, '\n'), 2) << log;
}

TEST_F(EnginePolicy, ThatItCanNotBeCheckedIsOverForWhoIsNotCheckedAnyMoreAndTheLogSaysSo) {
    const std::string over = "backend could not be checked, and is not checked so any more";
    const auto said = [&](const auto& what) {
        base::set_log_level(base::LogLevel::info);
        testing::internal::CaptureStderr();
        what();
        pass_time(3 * s);
        base::set_log_level(base::LogLevel::error);
        return testing::internal::GetCapturedStderr();
    };
    engine->put(with_pulses(1, {"tcp"}));
    pass_time(3 * s);
    world.answer("b1", not_known());
    pass_time(3 * s);
    // Asked by the same pulse otherwise it goes on.
    const auto often = with(with_pulses(1, {"tcp"}), [](auto& p) { p.rise = 7; });
    EXPECT_EQ(said([&] { engine->put(often); }), "");
    EXPECT_TRUE(view(1).trouble);
    const std::string otherwise = said([&] { engine->put(with_pulses(1, {"http"})); });
    EXPECT_NE(otherwise.find(over), std::string::npos) << otherwise;
    EXPECT_NE(otherwise.find("pulse=tcp"), std::string::npos) << otherwise;
    const std::string gone = said([&] { engine->remove(1); });
    EXPECT_NE(gone.find(over), std::string::npos) << gone;
    EXPECT_EQ(std::ranges::count(gone, '\n'), 1) << gone;
    // Who could be checked has nothing that ends.
    world.answer("b1", passing());
    engine->put(with_pulses(1, {"tcp"}));
    pass_time(3 * s);
    EXPECT_EQ(said([&] { engine->remove(1); }), "");
}

TEST_F(EnginePolicy, APulseMoreKeepsWhatTheOthersKnow) {
    engine->put(with_pulses(1, {"tcp"}));
    pass_time(5 * s);
    engine->put(with_pulses(1, {"http", "tcp"}));
    EXPECT_GE(view(1).checks[1].passes, 5U);
    EXPECT_EQ(view(1).checks[0].passes, 0U);
    EXPECT_EQ(view(1).state, State::unknown);
    settle();
    EXPECT_EQ(view(1).state, State::up);
    engine->put(with_pulses(1, {"tcp"}));
    EXPECT_EQ(view(1).state, State::up);
    settle();
    EXPECT_EQ(world.probes, 1);
}

// ---- policy

TEST_F(EnginePolicy, InitialUpIsToldAtOnce) {
    world.answer("b1", std::nullopt);
    engine->put(with(target(1), [](auto& p) { p.initial = model::Initial::up; }));
    EXPECT_EQ(view(1).state, State::up);
    settle();
    const auto changes = all_told();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].state, State::up);
}

TEST_F(EnginePolicy, AFastIntervalFindsOutSooner) {
    engine->put(with(target(1, seconds(10)), [](auto& p) { p.fast_interval = milliseconds(200); }));
    pass_time(25 * s);
    world.answer("b1", failing());
    world.forget_starts();
    pass_time(11 * s);
    EXPECT_EQ(view(1).state, State::down);
    const auto starts = world.starts();
    ASSERT_GE(starts.size(), 3U);
    EXPECT_LE(starts[2].at - starts[0].at, 420 * ms);
    EXPECT_EQ(check(1).interval_ns, 10 * s);
}

TEST_F(EnginePolicy, BackoffSparesWhatIsDownAndIsShown) {
    world.answer("b1", failing());
    engine->put(with(target(1), [](auto& p) { p.backoff = {2, seconds(8)}; }));
    settle();
    EXPECT_EQ(check(1).interval_ns, 1 * s);
    pass_time(60 * s);
    EXPECT_EQ(check(1).interval_ns, 8 * s);
    EXPECT_NEAR(static_cast<double>(check(1).failures), 11, 1);  // 0, 1, 3, 7, 15, 23, ...
    world.answer("b1", passing());
    pass_time(10 * s);
    EXPECT_EQ(view(1).state, State::up);
}

TEST_F(EnginePolicy, DampingHoldsAFlapperDownAndSaysSo) {
    engine->put(with(target(1), [](auto& p) {
        p.rise = p.fall = 1;
        p.damping = {seconds(20), seconds(100), std::chrono::minutes(10)};
    }));
    pass_time(2 * s);
    world.answer("b1", failing());
    pass_time(2 * s);
    world.answer("b1", passing());
    pass_time(3 * s);
    EXPECT_EQ(view(1).state, State::down);
    EXPECT_NEAR(check(1).recent_falls, 1, 0.1);
    EXPECT_GT(check(1).held_ns, 10 * s);
    EXPECT_NE(view(1).because.find("connection refused; held down by damping for another 1"),
              std::string::npos)
        << view(1).because;
    pass_time(check(1).held_ns + 20 * ms);
    EXPECT_EQ(view(1).state, State::up) << "by a check at the end of the hold";
    EXPECT_EQ(check(1).held_ns, 0U);
    EXPECT_EQ(view(1).changes, 3U);
}

TEST_F(EnginePolicy, AWindowIsNamedAsTheReason) {
    engine->put(with(target(1), [](auto& p) { p.window = {3, 10}; }));
    pass_time(2 * s);
    for (int i = 0; i < 3; ++i) {
        world.answer("b1", failing());
        pass_time(1 * s);
        world.answer("b1", passing());
        pass_time(1 * s);
    }
    EXPECT_EQ(view(1).state, State::down);
    EXPECT_NE(view(1).because.find("connection refused (3 of the last "), std::string::npos)
        << view(1).because;
    pass_time(3 * s);
    EXPECT_EQ(view(1).state, State::down) << "however often it passes now";
    EXPECT_NE(view(1).because.find("; 3 of the last 10 checks failed (window)"), std::string::npos)
        << view(1).because;
}

TEST_F(EnginePolicy, JitterMovesEachCheckAndNoneIsLost) {
    engine->put(with(target(1), [](auto& p) { p.jitter = 20; }));
    pass_time(200 * s);
    const auto starts = world.starts();
    EXPECT_NEAR(static_cast<double>(starts.size()), 200, 2);
    uint64_t least = ~uint64_t{0}, most = 0;
    for (size_t i = 2; i < starts.size(); ++i) {
        least = std::min(least, starts[i].at - starts[i - 1].at);
        most = std::max(most, starts[i].at - starts[i - 1].at);
    }
    EXPECT_LT(least, 900 * ms);
    EXPECT_GE(least, 590 * ms);
    EXPECT_GT(most, 1100 * ms);
    EXPECT_LE(most, 1410 * ms);
}

// ---- what a pulse asks for, and what others report

TEST_F(EnginePolicy, APulseMayAskForACheckAtOnce) {
    engine->put(target(1, seconds(60)));
    settle();
    pass_time(1 * s);
    world.ask("b1");
    settle();
    EXPECT_EQ(world.starts().size(), 2U);
    world.ask("b1");
    pass_time(200 * ms);
    EXPECT_EQ(world.starts().size(), 2U) << "one that asks after every check does not spin";
    pass_time(60 * ms);
    EXPECT_EQ(world.starts().size(), 3U);
    EXPECT_EQ(engine->counters().rechecks, 2U);
}

TEST_F(EnginePolicy, NothingIsAskedForWhileACheckRuns) {
    world.answer("b1", std::nullopt);
    engine->put(target(1, seconds(60)));
    settle();
    world.ask("b1");
    settle();
    EXPECT_EQ(world.starts().size(), 1U);
}

TEST_F(EnginePolicy, APushGoesToThePulsesThatTakeReports) {
    engine->put(with_pulses(1, {"deaf", "ttl"}));
    settle();
    std::vector<base::Status> answers;
    const auto done = [&](base::Status status) { answers.push_back(std::move(status)); };
    engine->push(1, {plugin::Verdict::fail, 100, 0, "disk full"}, done);
    settle();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].error().code, base::Errc::unsupported);

    world.answer_push(base::Status());
    engine->push(1, {plugin::Verdict::fail, 100, 0, "disk full"}, done);
    settle();
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_TRUE(answers[1]);
    EXPECT_EQ(world.pushed(), std::vector<std::string>{"b1: disk full"});

    engine->push(77, {}, done);
    settle();
    ASSERT_EQ(answers.size(), 3U);
    EXPECT_EQ(answers[2].error().code, base::Errc::not_found);
}

TEST_F(EnginePolicy, APushReachesAPulseWhateverTroubleAnotherOneHas) {
    world.refuse_add("there is no such program", "exec");
    world.answer_push(base::Status());
    std::vector<base::Status> answers;
    const auto done = [&](base::Status status) { answers.push_back(std::move(status)); };
    for (const model::BackendId id : {1U, 2U}) {
        engine->put(id == 1 ? with_pulses(id, {"exec", "ttl"}) : with_pulses(id, {"ttl", "exec"}));
        settle();
        engine->push(id, {plugin::Verdict::pass, 100, 0, "well"}, done);
        settle();
        ASSERT_EQ(answers.size(), id);
        EXPECT_TRUE(answers.back());
        EXPECT_EQ(world.pushed().size(), id);
    }
    for (const auto& types : {std::vector<std::string>{"exec", "deaf"}, {"deaf", "exec"}}) {
        engine->put(with_pulses(3, types));
        settle();
        engine->push(3, {}, done);
        settle();
        EXPECT_EQ(answers.back().error().sentence, "there is no such program")
            << "the one that may take some";
    }
}

TEST_F(EnginePolicy, SilenceThatPassesIsNoTimeOut) {
    world.answer("b1", std::nullopt);
    plugin::Report silence;
    silence.verdict = plugin::Verdict::pass;
    silence.detail = "no ICMP error";
    world.last_words(silence);
    engine->put(target(1, seconds(10)));
    pass_time(6 * s);
    EXPECT_EQ(check(1).verdict, plugin::Verdict::pass);
    EXPECT_EQ(check(1).reason, "no ICMP error");
    EXPECT_EQ(engine->counters().passed, 1U);
    EXPECT_EQ(engine->counters().timed_out, 0U);
}

// ---- our own trouble

TEST_F(EnginePolicy, ACheckThatGotNoWorkerIsNotTheTargetsFault) {
    world.answer("b1", std::nullopt);
    world.workers_busy = true;
    engine->put(target(1, seconds(10)));
    pass_time(6 * s);
    EXPECT_EQ(check(1).verdict, plugin::Verdict::unknown);
    EXPECT_EQ(check(1).reason, "not begun within 5s: all workers were busy");
    EXPECT_EQ(view(1).state, State::unknown);
    EXPECT_EQ(engine->counters().timed_out, 1U);
}

TEST_F(EnginePolicy, AStallOfThisProcessIsNotTheTargetsFault) {
    world.answer("b1", std::nullopt);
    engine->put(target(1, seconds(30)));
    settle();
    clock.advance(20 * s);
    settle();
    EXPECT_EQ(check(1).verdict, plugin::Verdict::unknown);
    EXPECT_EQ(check(1).reason, "no answer was seen within 5s, but this process was held up for 15s");
}

TEST_F(EnginePolicy, WhenMostFailAtOnceThisMachineIsSuspectedBeforeAnyFalls) {
    for (model::BackendId id = 1; id <= 50; ++id) {
        engine->put(with(target(id, seconds(10)), [](auto& p) { p.fall = 2; }));
    }
    pass_time(30 * s);
    ASSERT_TRUE(suspicions.empty());
    all_told();
    world.answer_all(not_known());
    for (model::BackendId id = 1; id <= 25; ++id) world.answer("b" + std::to_string(id), failing());
    const uint64_t begin = clock.now();
    while (suspicions.empty() && clock.now() < begin + 11 * s) pass_time(10 * ms);
    ASSERT_EQ(suspicions.size(), 1U);
    EXPECT_TRUE(suspicions[0].frozen);
    EXPECT_TRUE(all_told().empty()) << "no weight has changed yet";
    EXPECT_GE(suspicions[0].since, begin);
    EXPECT_LE(suspicions[0].since, begin + 2 * s);
    EXPECT_TRUE(engine->suspicion().frozen);
    for (model::BackendId id = 1; id <= 25; ++id) world.answer("b" + std::to_string(id), passing());
    world.answer_all(passing());
    pass_time(25 * s);
    ASSERT_EQ(suspicions.size(), 2U);
    EXPECT_FALSE(suspicions[1].frozen);
    EXPECT_FALSE(engine->suspicion().frozen);
}

// ---- many

// Those that are removed were well: what is left looks like a wave, and nothing else will change.
TEST_F(EnginePolicy, SuspicionThatComesOfARemovalIsOverInItsTimeAsWell) {
    for (model::BackendId id = 1; id <= 50; ++id) engine->put(target(id, seconds(10)));
    pass_time(30 * s);
    for (model::BackendId id = 1; id <= 15; ++id) world.answer("b" + std::to_string(id), failing());
    pass_time(10 * s);
    ASSERT_TRUE(suspicions.empty()) << "15 of 50 are no wave";
    for (model::BackendId id = 16; id <= 48; ++id) engine->remove(id);
    settle();
    ASSERT_TRUE(engine->suspicion().frozen) << "15 of 17 are";
    pass_time(110 * s);
    EXPECT_FALSE(engine->suspicion().frozen) << "what fails for ten intervals is believed";
    EXPECT_EQ(suspicions.size(), 2U);
}

TEST_F(EnginePolicy, AHundredThousandPutAtOnceAreCheckedInTwoSecondsAndMakeNoneLate) {
    for (model::BackendId id = 1; id <= 500; ++id) engine->put(target(id));
    pass_time(5 * s);
    const Counters before = engine->counters();
    EXPECT_LE(before.latest_ns, 20 * ms);
    constexpr model::BackendId n = 100'000;
    for (model::BackendId id = 1001; id <= 1000 + n; ++id) engine->put(target(id, seconds(5)));
    // A turn of the loop takes a while now, as it does in life: a millisecond.
    const uint64_t begin = clock.now();
    while (clock.now() < begin + 2100 * ms) {
        loop.step();
        clock.advance(ms / 2);
    }
    settle();
    const Counters after = engine->counters();
    EXPECT_GE(after.started - before.started, n + 1000);
    EXPECT_LE(after.latest_ns, 50 * ms);
    EXPECT_EQ(after.probes, n + 500);
    size_t up = 0;
    for (model::BackendId id = 1001; id <= 1000 + n; ++id) up += engine->read(id)->state == State::up ? 1 : 0;
    EXPECT_EQ(up, n);
}

TEST_F(EnginePolicy, CountersAddUp) {
    world.answer("b1", failing());
    world.answer("b2", not_known());
    world.answer("b3", std::nullopt);
    for (model::BackendId id = 1; id <= 4; ++id) engine->put(target(id, seconds(100)));
    settle();
    const Counters c = engine->counters();
    EXPECT_EQ(c.started, 4U);
    EXPECT_EQ(c.passed, 1U);
    EXPECT_EQ(c.failed, 1U);
    EXPECT_EQ(c.unknown, 1U);
    EXPECT_EQ(c.in_flight, 1U);
    EXPECT_EQ(c.late[0], 4U);
}

// A clock whose wall jumps; the engine looks at the monotonic one only.
class JumpingClock final : public base::Clock {
  public:
    uint64_t now() const override { return now_; }
    int64_t wall() const override { return wall_; }
    std::atomic<uint64_t> now_{1000 * s};
    std::atomic<int64_t> wall_{1'700'000'000'000'000'000};
};

TEST(EngineClock, JumpsOfTheWallClockDoNotMatter) {
    base::set_log_level(base::LogLevel::error);
    JumpingClock clock;
    io::Loop loop{"loop-0", &clock};
    FakeWorld world;
    size_t changes = 0;
    {
        Engine engine(world.maker(), {&loop}, [&](std::span<const Changed> c) { changes += c.size(); });
        engine.put(target(1));
        for (int i = 0; i < 6000; ++i) {
            for (int turn = 0; turn < 100 && loop.step(); ++turn) {
            }
            clock.now_ += 10 * ms;
            // Years ahead, years back, and standing still.
            if (i % 100 == 0)
                clock.wall_ =
                    1'700'000'000'000'000'000 + (i % 200 ? 1 : -1) * int64_t{100'000'000} * 1'000'000'000;
        }
        EXPECT_NEAR(static_cast<double>(engine.read(1)->checks[0].passes), 61, 1);
        EXPECT_EQ(engine.read(1)->state, State::up);
        EXPECT_NEAR(static_cast<double>(engine.read(1)->uptime_ns), 60e9, 1e8);
    }
    EXPECT_EQ(changes, 1U);
    base::set_log_level(base::LogLevel::info);
}

}  // namespace
}  // namespace gorb::health::engine_policy_test
