#include <gtest/gtest.h>

#include "certificate.h"
#include "idle.h"

namespace pulse_http {
namespace {

constexpr int64_t day = 86400, now = 1'800'000'000;  // 2027-01-15 08:00 UTC

TEST(HttpCertificate, IsFineThenAWarningThenAFailure) {
    const CertificateRule rule{14, 3};
    const auto at = [&](int64_t left) { return judge_certificate(now + left, now, rule); };
    EXPECT_EQ(at(14 * day).warning + at(14 * day).failure, "");
    EXPECT_EQ(at(14 * day - 1).warning, "certificate ends in 13 days (2027-01-29)");
    EXPECT_EQ(at(14 * day - 1).failure, "");
    EXPECT_EQ(at(3 * day).warning, "certificate ends in 3 days (2027-01-18)");
    EXPECT_EQ(at(3 * day - 1).warning, "");
    EXPECT_EQ(at(3 * day - 1).failure, "certificate ends in 2 days (2027-01-18), at least 3 days expected");
    EXPECT_EQ(at(day).failure, "certificate ends in 1 day (2027-01-16), at least 3 days expected");
    EXPECT_EQ(at(5).failure, "certificate ends within a day (2027-01-15), at least 3 days expected");
    EXPECT_EQ(at(-1).failure, "certificate has expired (2027-01-15)");
}

TEST(HttpCertificate, ByDefaultOnlyAnExpiredOneFails) {
    EXPECT_EQ(judge_certificate(now, now, {}).failure, "");
    EXPECT_EQ(judge_certificate(now, now, {}).warning, "certificate ends within a day (2027-01-15)");
    EXPECT_EQ(judge_certificate(now - day, now, {}).failure, "certificate has expired (2027-01-14)");
    EXPECT_EQ(judge_certificate(now - day, now, {0, 0}).failure, "certificate has expired (2027-01-14)");
    EXPECT_NE(judge_certificate(INT64_MIN, now, {}).failure, "");
    EXPECT_EQ(judge_certificate(INT64_MAX, now, {}).failure, "");
}

constexpr uint64_t ms = 1'000'000;

// A check that passes, and a close `idle` later: is another check asked for?
bool asks(IdleHabit& habit, uint64_t idle, bool good = true) {
    habit.started();
    habit.judged(good);
    return habit.closed(idle);
}

TEST(HttpIdle, ATimeThatComesTwiceIsKnownAndAnyOtherIsNot) {
    IdleHabit habit;
    EXPECT_TRUE(asks(habit, 5000 * ms));
    EXPECT_TRUE(asks(habit, 5050 * ms));
    EXPECT_FALSE(asks(habit, 5010 * ms)) << "it closes what is idle for five seconds";
    EXPECT_FALSE(asks(habit, 5300 * ms));
    EXPECT_TRUE(asks(habit, 2000 * ms)) << "not now it does";
    EXPECT_TRUE(asks(habit, 9000 * ms));
}

TEST(HttpIdle, TheEndOfAServerIsNoHabit) {
    IdleHabit habit;
    EXPECT_TRUE(asks(habit, 5000 * ms));
    EXPECT_TRUE(asks(habit, 5000 * ms, false)) << "the check that was asked for failed";
    EXPECT_TRUE(asks(habit, 5000 * ms)) << "so this is the first time that means something";
    EXPECT_FALSE(asks(habit, 5000 * ms));
}

TEST(HttpIdle, AServerThatClosesAtOnceGetsNoEndlessChecks) {
    IdleHabit habit;
    unsigned asked = 0;
    for (uint64_t i = 0; i < 100; ++i) asked += asks(habit, (i * 37 % 900) * ms) ? 1 : 0;
    EXPECT_LE(asked, 50u) << "never two in a row";
}

}  // namespace
}  // namespace pulse_http
