#include <gmock/gmock.h>

#include "loaded.h"

namespace plugin_test {
namespace {

using gorb::testing::address;
using gorb::testing::PulseRunner;
using gorb::testing::Report;
using gorb::testing::Values;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

// The runs for which a check was asked for.
std::vector<gorb_run> asked;  // NOLINT: the C callback has no other way to the test

class PulseTtl : public testing::Test {
  protected:
    PulseTtl() {
        asked.clear();
        const auto* table =
            static_cast<const gorb_pulse_host*>(ttl.host.c()->service(ttl.host.c(), GORB_KIND_PULSE));
        const_cast<gorb_pulse_host*>(table)->recheck = [](const gorb_host*, gorb_run run) -> int32_t {
            asked.push_back(run);
            return 0;
        };
    }
    void* add(const Values& args = {}) { return ttl.pulse.add(address("192.0.2.1", 80), args); }
    Report check(void* probe) {
        const gorb_run run = ttl.pulse.start(probe);
        const auto reports = ttl.host.reports_of(run);  // answered within start()
        EXPECT_EQ(reports.size(), 1u);
        return reports.empty() ? Report{} : reports[0];
    }
    // What push() says; "" for yes.
    static std::string push(void* probe, uint32_t verdict, const std::string& reason = "",
                            uint32_t share = 100) {
        const gorb_push raw = {sizeof(gorb_push), verdict, share, 0, gorb::sdk::str(reason)};
        gorb_error why{};
        const auto& ops = *static_cast<const gorb_pulse_ops*>(plugin("ttl").ops);
        return ops.push(probe, &raw, &why) == 0 ? "" : why.text;
    }

    Instance ttl{"ttl"};
};

TEST_F(PulseTtl, IsUnknownBeforeTheFirstReportAndFailsWhenNoneComes) {
    auto* probe = add();
    EXPECT_EQ(check(probe).verdict, GORB_UNKNOWN);
    EXPECT_EQ(check(probe).detail, "no report yet (ttl 30s)");
    EXPECT_EQ(check(probe).code, EINPROGRESS) << "nothing is wrong";
    ttl.host.loop().advance(seconds(29));
    EXPECT_EQ(check(probe).verdict, GORB_UNKNOWN);
    ttl.host.loop().advance(seconds(16));
    const auto late = check(probe);
    EXPECT_EQ(late.verdict, GORB_FAIL);
    EXPECT_EQ(late.detail, "no report for 45s (ttl 30s)");
    EXPECT_EQ(late.code, ETIMEDOUT);
}

TEST_F(PulseTtl, PassesWithTheReportedReasonAndShareWhileTheReportIsYoung) {
    auto* probe = add({{"ttl", "10s"}});
    EXPECT_EQ(push(probe, GORB_PASS, "compacting", 40), "");
    ttl.host.loop().advance(milliseconds(9999));
    const auto young = check(probe);
    EXPECT_EQ(young.verdict, GORB_PASS);
    EXPECT_EQ(young.detail, "compacting");
    EXPECT_EQ(young.share, 40u);
    ttl.host.loop().advance(milliseconds(1));
    const auto old = check(probe);
    EXPECT_EQ(old.verdict, GORB_FAIL);
    EXPECT_EQ(old.detail, "no report for 10s (ttl 10s)");
    EXPECT_EQ(old.share, 100u);
}

TEST_F(PulseTtl, FailsWithTheReportedReasonUntilAPassIsReported) {
    auto* probe = add();
    push(probe, GORB_FAIL, "disk full");
    EXPECT_EQ(check(probe).verdict, GORB_FAIL);
    EXPECT_EQ(check(probe).detail, "disk full");
    push(probe, GORB_PASS);
    EXPECT_EQ(check(probe).verdict, GORB_PASS);
    EXPECT_EQ(check(probe).detail, "reported well");
    push(probe, GORB_FAIL);
    EXPECT_EQ(check(probe).detail, "reported as failed");
    ttl.host.loop().advance(seconds(90));
    EXPECT_EQ(check(probe).detail, "no report for 90s (ttl 30s)") << "silence is the newer news";
}

TEST_F(PulseTtl, AReportTakesEffectAtOnceAndSoDoesSilence) {
    auto* probe = add();
    push(probe, GORB_PASS);
    EXPECT_THAT(asked, IsEmpty()) << "there was no run yet";
    const gorb_run first = check(probe).run;
    push(probe, GORB_FAIL);
    EXPECT_THAT(asked, ElementsAre(first));
    const gorb_run second = check(probe).run;
    ttl.host.loop().advance(seconds(29));
    EXPECT_THAT(asked, ElementsAre(first));
    ttl.host.loop().advance(seconds(1));
    EXPECT_THAT(asked, ElementsAre(first, second)) << "the report is too old from here on";
    EXPECT_EQ(check(probe).detail, "no report for 30s (ttl 30s)");
    ttl.host.loop().advance(seconds(300));
    EXPECT_THAT(asked, ElementsAre(first, second)) << "and that is news once";
}

TEST_F(PulseTtl, WhileThisProcessStandsStillThereIsNoSilence) {
    auto* probe = add();
    push(probe, GORB_PASS, "well");
    EXPECT_EQ(check(probe).verdict, GORB_PASS);
    ttl.host.loop().stand_still(seconds(600));
    EXPECT_EQ(check(probe).detail, "well") << "a check before the timer";
    ttl.host.loop().stand_still(seconds(600));
    ttl.host.loop().step();
    EXPECT_THAT(asked, IsEmpty()) << "the timer before a check";
    EXPECT_EQ(check(probe).detail, "well");
    ttl.host.loop().advance(seconds(30));
    EXPECT_EQ(check(probe).detail, "no report for 30s (ttl 30s)") << "now there was time to report";
    ttl.host.loop().stand_still(seconds(600));
    EXPECT_EQ(check(probe).detail, "no report for 630s (ttl 30s)");
}

TEST_F(PulseTtl, EachTargetHasItsOwnReports) {
    auto *one = add(), *other = add();
    push(one, GORB_PASS);
    EXPECT_EQ(check(one).verdict, GORB_PASS);
    EXPECT_EQ(check(other).verdict, GORB_UNKNOWN);
}

TEST_F(PulseTtl, AWrongShareIsRefusedAndChangesNothing) {
    auto* probe = add();
    push(probe, GORB_PASS, "well", 70);
    EXPECT_EQ(push(probe, GORB_FAIL, "", 101), "\"share\" must be a number from 0 to 100, per cent");
    EXPECT_EQ(check(probe).detail, "well");
    EXPECT_EQ(push(probe, GORB_PASS, "", 0), "");
    EXPECT_EQ(check(probe).share, 0u);
}

TEST_F(PulseTtl, WithoutATimerSilenceWaitsForTheNextCheck) {
    auto* probe = add();
    ttl.host.fail_timers = true;
    push(probe, GORB_PASS);
    EXPECT_EQ(check(probe).verdict, GORB_PASS);
    ttl.host.loop().advance(seconds(30));
    EXPECT_THAT(asked, IsEmpty());
    EXPECT_EQ(check(probe).verdict, GORB_FAIL);
    push(probe, GORB_PASS);
    EXPECT_EQ(check(probe).verdict, GORB_PASS);
}

TEST_F(PulseTtl, ATtlHasToBeADurationOfSomeLength) {
    EXPECT_THROW(PulseRunner::check(plugin("ttl"), {{"ttl", "0s"}}), std::invalid_argument);
    EXPECT_THROW(PulseRunner::check(plugin("ttl"), {{"ttl", "soon"}}), std::invalid_argument);
    EXPECT_EQ(PulseRunner::check(plugin("ttl"), {{"ttl", "1500ms"}}), "");
    auto* probe = add({{"ttl", "1500ms"}});
    EXPECT_EQ(check(probe).detail, "no report yet (ttl 1.5s)");
}

}  // namespace
}  // namespace plugin_test
