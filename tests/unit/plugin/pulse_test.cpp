#include "plugin/pulse.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <future>
#include <memory>

#include "unit/plugin/pulse_fixture.h"

namespace gorb::plugin::pulse_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(PulseTest, AnAnswerComesWithAllItsParts) {
    const Report pass = check("pass");
    EXPECT_EQ(pass.verdict, Verdict::pass);
    EXPECT_EQ(pass.detail, "fine");
    EXPECT_EQ(pass.code, 200);
    EXPECT_EQ(pass.share, 100U);
    EXPECT_EQ(pass.latency_ns, 0U);
    const Report fail = check("fail");
    EXPECT_EQ(fail.verdict, Verdict::fail);
    EXPECT_EQ(fail.code, 503);
}

TEST_F(PulseTest, RunNumbersAreNeverUsedAgain) {
    instance = make().value();
    std::vector<PulseInstance::Run> runs;
    for (int i = 0; i < 3; ++i) {
        auto* probe = add("pass").value();
        auto* other = add("pass").value();
        for (int n = 0; n < 3; ++n) {
            runs.push_back(start(probe));
            runs.push_back(start(other));
            loop.step();
        }
        instance->remove(probe);
        instance->remove(other);
    }
    EXPECT_THAT(given, SizeIs(18));
    std::sort(runs.begin(), runs.end());
    EXPECT_EQ(std::adjacent_find(runs.begin(), runs.end()), runs.end());
    EXPECT_NE(runs[0], 0U);
}

// On each loop there is one, of a library that may keep its runs in one table.
TEST_F(PulseTest, NorAreThoseOfAnotherInstance) {
    std::vector<PulseInstance::Run> runs;
    const auto one = make().value();
    for (int i = 0; i < 3; ++i) {
        instance = make().value();  // the one before goes, with its places
        for (PulseInstance* of : {one.get(), instance.get()}) {
            ProbeTarget target;
            target.args = pulse_args(*puppet, {{"act", "\"never\""}}).value();
            auto* probe = of->add(target, 1).value();
            for (int n = 0; n < 3; ++n) runs.push_back(of->start(probe, clock.now() + 1'000'000'000));
            of->remove(probe);
        }
    }
    std::sort(runs.begin(), runs.end());
    EXPECT_EQ(std::adjacent_find(runs.begin(), runs.end()), runs.end());
}

TEST_F(PulseTest, OfTwoReportsTheFirstCounts) {
    EXPECT_EQ(check("twice").detail, "first");
    EXPECT_EQ(counted("stale"), 1);
    EXPECT_EQ(counted("late_reports_total"), 1);
}

TEST_F(PulseTest, AReportAfterCancelIsStale) {
    instance = make().value();
    auto* probe = add("never").value();
    const auto run = start(probe);
    instance->cancel(probe, run);  // the puppet reports in it
    EXPECT_EQ(counted("cancelled"), 1);
    EXPECT_EQ(counted("stale"), 1);
    instance->cancel(probe, run);
    instance->cancel(probe, 0);
    EXPECT_EQ(counted("cancelled"), 1);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(given, IsEmpty());
}

TEST_F(PulseTest, WhatIsReportedWhileARunExpiresIsItsAnswerOnce) {
    instance = make().value();
    auto* probe = add("never").value();
    start(probe);
    const auto expired = instance->expire(probe);
    ASSERT_TRUE(expired.report);
    EXPECT_EQ(expired.report->verdict, Verdict::fail);
    EXPECT_EQ(expired.report->detail, "so far");
    EXPECT_FALSE(expired.not_begun);
    EXPECT_EQ(counted("stale"), 1);
    EXPECT_EQ(counted("cancelled"), 0);
    EXPECT_FALSE(instance->expire(probe).report) << "it is over";
    EXPECT_EQ(counted("expired"), 1);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(given, IsEmpty());
    start(probe);
    EXPECT_EQ(instance->expire(probe).report->detail, "so far");
}

TEST_F(PulseTest, ARunMayExpireWithoutAWordOrWithAnException) {
    instance = make().value();
    for (const char* act : {"silent", "throw-cancel"}) {
        auto* probe = add(act).value();
        start(probe);
        EXPECT_FALSE(instance->expire(probe).report) << act;
        EXPECT_FALSE(instance->cancel(probe)) << act;
    }
    EXPECT_EQ(counted("expired"), 2);
    EXPECT_EQ(counted("cancelled"), 0);
}

TEST_F(PulseTest, AnAnswerOnItsWayWhenARunExpiresIsTooLate) {
    instance = make().value();
    auto* probe = add("pass").value();
    start(probe);
    EXPECT_FALSE(instance->expire(probe).report);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(given, IsEmpty());
    EXPECT_EQ(counted("expired"), 0);
}

TEST_F(PulseTest, AnAnswerOnItsWayIsDroppedByCancelAndThePluginIsNotTroubled) {
    instance = make().value();
    auto* probe = add("pass").value();
    const auto run = start(probe);
    instance->cancel(probe, run);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(given, IsEmpty());
    EXPECT_EQ(counted("cancelled"), 0);
    EXPECT_EQ(counted("late_reports_total"), 1);
}

TEST_F(PulseTest, AReportInRemoveIsStale) {
    instance = make().value();
    auto* probe = add("report-in-remove").value();
    start(probe);
    instance->remove(probe);
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_EQ(counted("stale"), 1);
    EXPECT_THAT(given, IsEmpty());
}

TEST_F(PulseTest, AStartOnTopOfAnOpenRunEndsThatOne) {
    instance = make().value();
    auto* probe = add("never").value();
    const auto first = start(probe);
    const auto second = start(probe);
    EXPECT_NE(first, second);
    EXPECT_EQ(counted("cancelled"), 1);
}

TEST_F(PulseTest, NumbersThatAreNoRunAreStale) {
    instance = make().value();
    start(add("no-run").value());
    EXPECT_EQ(counted("stale"), 4);
}

TEST_F(PulseTest, APluginThatNeverAnswersIsCalledAgainAfterCancel) {
    instance = make().value();
    auto* probe = add("never").value();
    for (int i = 0; i < 3; ++i) {
        const auto run = start(probe);
        clock.advance(1'000'000'000);
        loop.step();
        EXPECT_THAT(given, IsEmpty());
        instance->cancel(probe, run);
    }
    EXPECT_EQ(counted("cancelled"), 3);
}

TEST_F(PulseTest, AVerdictThatDoesNotExistIsUnknown) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(check("verdict").verdict, Verdict::unknown);
    EXPECT_EQ(check("verdict").detail, "pulse-puppet reported verdict 99, which does not exist");
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, HasSubstr("verdict that does not exist, taken as UNKNOWN plugin=pulse-puppet"));
    EXPECT_EQ(log.find("verdict that"), log.rfind("verdict that")) << "told once, not for each check";
}

TEST_F(PulseTest, AShareAboveHundredIsHundred) {
    const Report report = check("share");
    EXPECT_EQ(report.share, 100U);
    EXPECT_EQ(report.latency_ns, 12345U);
    EXPECT_EQ(report.code, -7);
}

TEST_F(PulseTest, ADetailIsCutAtACharacterAndCleaned) {
    EXPECT_EQ(check("detail").detail, "bad ? " + std::string(248, 'x'));
}

TEST_F(PulseTest, ATruncatedResultIsRefusedAndNotTheTargetsFault) {
    instance = make().value();
    start(add("small-result").value());
    loop.step();
    EXPECT_EQ(counted("refused"), 2);
    ASSERT_THAT(given, SizeIs(1));
    EXPECT_EQ(given[0].report.verdict, Verdict::unknown);
    EXPECT_THAT(given[0].report.detail, HasSubstr("pulse-puppet reported a gorb_result that is too small"));
}

TEST_F(PulseTest, AReportFromAnotherThreadComesOnTheLoop) {
    EXPECT_EQ(check("thread").detail, "from a thread");
    EXPECT_EQ(check("many-threads").detail, "from one of four");
    instance.reset();  // joins them
    EXPECT_EQ(counted("stale"), 3);
}

TEST_F(PulseTest, AReportAfterTheInstanceIsGoneIsStale) {
    void* library = dlopen((puppet_folder() / "puppet.so").c_str(), RTLD_NOW | RTLD_NOLOAD);
    ASSERT_NE(library, nullptr);
    const auto report_last = reinterpret_cast<int32_t (*)()>(dlsym(library, "puppet_report_last"));
    ASSERT_NE(report_last, nullptr);
    instance = make().value();
    start(add("never").value());
    instance.reset();
    EXPECT_EQ(report_last(), -ESTALE);
}

struct Thrown {
    const char* act;
    const char* words;
};

TEST_F(PulseTest, AStartThatThrowsIsUnknownWithTheExceptionsWords) {
    for (const auto& [act, words] :
         {Thrown{"throw", "start threw"}, Thrown{"throw-odd", "no std::exception"}}) {
        const Report report = check(act);
        EXPECT_EQ(report.verdict, Verdict::unknown) << act;
        EXPECT_THAT(report.detail, HasSubstr(words)) << act;
    }
    EXPECT_EQ(check("report-and-throw").detail, "before");
}

// Each target of such a plugin throws at each of its checks.
TEST_F(PulseTest, APluginThatAlwaysThrowsDoesNotFillTheLog) {
    instance = make().value();
    auto* probe = add("throw").value();
    clock.advance(10'000'000'000);
    const auto lines = [&](int starts) {
        testing::internal::CaptureStderr();
        for (int i = 0; i < starts; ++i) start(probe);
        const std::string log = testing::internal::GetCapturedStderr();
        EXPECT_THAT(log, HasSubstr("more lines of this plugin are not written")) << log.substr(0, 1000);
        return std::count(log.begin(), log.end(), '\n');
    };
    EXPECT_EQ(lines(10'000), 101);
    clock.advance(1'000'000'000);
    EXPECT_EQ(lines(200), 101) << "a second later there are more";
}

TEST_F(PulseTest, WhatAPluginLogsWithoutEndDoesNotFillTheLog) {
    instance = make().value();
    auto* probe = add("log").value();  // two lines at each start
    clock.advance(20'000'000'000);
    testing::internal::CaptureStderr();
    for (int i = 0; i < 1000; ++i) start(probe);
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 101);
}

TEST_F(PulseTest, ACreateThatThrowsOrRefusesIsAnErrorWithItsWords) {
    for (const auto& [how, words] :
         {Thrown{"throw", "the constructor threw"}, Thrown{"throw-odd", "no std::exception"},
          Thrown{"null", "create() does not want to"}, Thrown{"silent", "gave no reason"}}) {
        const auto refused = make(how);
        ASSERT_FALSE(refused) << how;
        EXPECT_THAT(refused.error().sentence, HasSubstr(words)) << how;
        EXPECT_THAT(refused.error().sentence, HasSubstr("pulse-puppet can not be used")) << how;
    }
    clock.advance(1'000'000'000);
    EXPECT_FALSE(loop.step());  // the timer of the one that threw is released
}

// It is tried again each second, for as long as the trouble lasts.
TEST_F(PulseTest, OneThatCanNotBeMadeLeavesNothingBehindThatGrows) {
    const std::string where = make("where").error().sentence;
    EXPECT_THAT(where, HasSubstr("not at 0x"));
    EXPECT_EQ(make("where").error().sentence, where);
    instance = make().value();
    EXPECT_NE(make("where").error().sentence, where) << "that place is taken now";
    EXPECT_EQ(check("pass").verdict, Verdict::pass);
}

TEST_F(PulseTest, AnAddThatThrowsOrRefusesIsAnErrorWithItsWords) {
    instance = make().value();
    EXPECT_THAT(add("throw-add").error().sentence, HasSubstr("add threw"));
    EXPECT_THAT(add("refuse-add").error().sentence, HasSubstr("web/b1 at port 81 is not wanted"));
    EXPECT_TRUE(add("never"));
}

TEST_F(PulseTest, ExceptionsInEveryOtherCallEndInTheLog) {
    instance = make().value();
    testing::internal::CaptureStderr();
    for (const char* act :
         {"throw-timer", "throw-post", "throw-watch", "throw-work", "throw-cancel", "throw-remove"}) {
        auto* probe = add(act).value();
        const auto run = start(probe);
        if (std::string(act) == "throw-work") {
            EXPECT_TRUE(turn_until([&] { return counted("done") == 1; }));
        }
        for (int i = 0; i < 5; ++i) loop.step();
        instance->cancel(probe, run);
        instance->remove(probe);
    }
    const std::string log = testing::internal::GetCapturedStderr();
    for (const char* words : {"the timer threw", "the post threw", "the event threw", "the job threw",
                              "cancel threw", "remove threw"}) {
        EXPECT_THAT(log, HasSubstr(words));
    }
    EXPECT_EQ(counted("events"), 1) << "a descriptor whose handler throws is watched no longer";
}

TEST_F(PulseTest, AWarningIsReadCleanedAndOnlyWhereThereIsOne) {
    EXPECT_EQ(check("warn").warning, "not for long");
    EXPECT_EQ(check("pass").warning, "") << "the one before is forgotten";
    EXPECT_EQ(check("old-result").warning, "");
}

TEST_F(PulseTest, ARecheckIsHeardOfTheNewestRunAndWhenItIsOver) {
    using Tags = std::vector<PulseInstance::Tag>;
    instance = make().value();
    auto* probe = add("ask").value();
    start(probe);
    EXPECT_THAT(rechecks, IsEmpty()) << "the caller has not heard the answer yet";
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_EQ(rechecks, Tags{tags}) << "asked for while the answer was on its way: told after it";
    EXPECT_EQ(counted("stale"), 1);
    PushReport report;
    EXPECT_TRUE(instance->push(probe, report));
    EXPECT_EQ(rechecks, (Tags{tags, tags}));
}

TEST_F(PulseTest, ARecheckBetweenAnAnswerAndItsDeliveryIsToldOnceAfterIt) {
    instance = make().value();
    auto* probe = add("ask").value();
    start(probe);
    PushReport report;
    EXPECT_TRUE(instance->push(probe, report));
    EXPECT_TRUE(instance->push(probe, report));
    EXPECT_THAT(rechecks, IsEmpty());
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(given, SizeIs(1));
    EXPECT_THAT(rechecks, SizeIs(1));
}

TEST_F(PulseTest, ARecheckWhileARunIsOpenIsNothing) {
    instance = make().value();
    auto* probe = add("never").value();
    start(probe);
    PushReport report;
    EXPECT_TRUE(instance->push(probe, report));
    for (int i = 0; i < 3; ++i) loop.step();
    EXPECT_THAT(rechecks, IsEmpty());
    instance->cancel(probe);
    EXPECT_TRUE(instance->push(probe, report));
    EXPECT_THAT(rechecks, SizeIs(1));
}

TEST_F(PulseTest, APushIsAnsweredWithThePluginsWords) {
    instance = make().value();
    auto* probe = add("never").value();
    PushReport report;
    EXPECT_TRUE(instance->push(probe, report));
    EXPECT_EQ(counted("pushes"), 1);
    report.share = 7;
    const auto refused = instance->push(probe, report);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::invalid);
    EXPECT_EQ(refused.error().sentence, "not seven");
    const auto threw = instance->push(add("throw-push").value(), report);
    ASSERT_FALSE(threw);
    EXPECT_EQ(threw.error().code, base::Errc::unavailable);
    EXPECT_THAT(threw.error().sentence, HasSubstr("push threw"));
}

TEST_F(PulseTest, OfAPushsDetailAPluginGetsAsMuchAsIsShown) {
    instance = make().value();
    auto* probe = add("never").value();
    PushReport report;
    report.share = 8;  // the puppet says how much it got
    report.detail = "short";
    EXPECT_EQ(instance->push(probe, report).error().sentence, "5 bytes of detail");
    report.detail = "a";
    while (report.detail.size() < 100000) report.detail += "\u00e9";
    EXPECT_EQ(instance->push(probe, report).error().sentence, "255 bytes of detail")
        << "cut at the end of a character";
}

// Both workers are held: the job of a check that then ends was never begun.
TEST_F(PulseTest, ACheckWhoseJobStillWaitsForAWorkerHasNotBegun) {
    std::promise<void> go;
    const std::shared_future<void> gone = go.get_future().share();
    std::atomic<int> held{0};
    for (int i = 0; i < 2; ++i) {
        ASSERT_TRUE(workers.submit([gone, &held] {
            ++held;
            gone.wait();
        }));
    }
    ASSERT_TRUE(turn_until([&] { return held == 2; }));
    instance = make().value();
    auto* probe = add("work").value();
    start(probe);
    EXPECT_TRUE(instance->cancel(probe));
    EXPECT_FALSE(instance->cancel(probe));
    go.set_value();
    auto* other = add("never").value();
    start(other);
    EXPECT_FALSE(instance->cancel(other)) << "it has no job";
    EXPECT_TRUE(turn_until([&] { return counted("done") == 1; }));  // the job looks at its probe once more
}

// Many probes on a running loop with answers from everywhere: every run is answered once or cancelled.
TEST_F(PulseTest, ManyRunsAreEachAnsweredOnce) {
    instance = make().value();
    std::vector<PulseInstance::Probe*> probes;
    probes.reserve(3000);
    for (int i = 0; i < 3000; ++i) {
        probes.push_back(add(i % 3 == 0 ? "post" : i % 3 == 1 ? "pass" : "never").value());
    }
    for (int round = 0; round < 3; ++round) {
        given.clear();
        std::vector<PulseInstance::Run> runs;
        runs.reserve(probes.size());
        for (auto* probe : probes) runs.push_back(start(probe));
        for (int i = 0; i < 3; ++i) loop.step();
        EXPECT_THAT(given, SizeIs(2000));
        for (size_t i = 0; i < probes.size(); ++i) instance->cancel(probes[i], runs[i]);
        EXPECT_EQ(counted("cancelled"), 1000 * (round + 1));
    }
}

}  // namespace
}  // namespace gorb::plugin::pulse_test
