#include "health/detector.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "health/hash.h"
#include "health/policy.h"
#include "health/quantile.h"
#include "unit/health/times.h"

namespace gorb::health::detector_test {
namespace {

using Sign = Detector::Sign;

// Hosts with a probe each, checked once an interval of ten seconds, one after the other.
struct World {
    explicit World(size_t n, SelfSuspicion settings = {}) : detector(settings), signs(n, Sign::none) {
        all(Sign::good);
        now += interval;
    }
    bool result(size_t host, Sign sign, uint64_t at) {
        const Sign before = std::exchange(signs[host], sign);
        return detector.turned(spread(host), before, sign, interval, at);
    }
    void all(Sign sign) {
        for (size_t i = 0; i < signs.size(); ++i) result(i, sign, now + i * interval / signs.size());
        now += interval;
    }
    // Seconds tick by without results that differ.
    void idle(uint64_t time) {
        for (uint64_t t = 0; t < time; t += interval / 20) detector.tick(now += interval / 20);
    }
    bool frozen() const { return detector.now().frozen; }

    static constexpr uint64_t interval = 10 * s;
    Detector detector;
    std::vector<Sign> signs;
    uint64_t now = 1000 * s;
};

TEST(Detector, WhenAllFailWithinAnIntervalThisMachineIsSuspectedBeforeASecondFailure) {
    for (const size_t n : {10U, 11U, 50U, 1000U}) {
        World w(n);
        size_t failed = 0;
        const uint64_t begin = w.now;
        while (!w.frozen() && failed < n) {
            w.result(failed, Sign::bad, begin + failed * World::interval / n);
            ++failed;
        }
        EXPECT_TRUE(w.frozen()) << n;
        EXPECT_EQ(failed, std::max<size_t>(10, (n * 7 + 9) / 10)) << n;
        EXPECT_EQ(w.detector.now().since, begin) << "the first failure of the wave";
        EXPECT_NE(w.detector.now().why.find("unrelated targets"), std::string::npos);
    }
}

TEST(Detector, TheWaveBeginsWithItsFirstFailureAndNotWithTheFirstHostThatHasFailed) {
    Detector detector{SelfSuspicion{}};
    constexpr uint64_t hosts = 12, probes = 4;
    uint64_t now = 1000 * s;
    for (uint64_t probe = 0; probe < hosts * probes; ++probe)
        detector.turned(probe % hosts, Sign::none, Sign::good, s, now);
    const uint64_t begin = now += s;
    for (uint64_t probe = 0; probe < hosts * probes && !detector.now().frozen; ++probe) {
        detector.turned(probe % hosts, Sign::good, Sign::bad, s, now);
        now += 50 * ms;
    }
    ASSERT_TRUE(detector.now().frozen);
    EXPECT_EQ(detector.now().since, begin);
}

// The least targets that there may be, at the places that their checks really have.
TEST(Detector, AnOutageOfAllIsSeenHoweverJitterSpreadsTheChecks) {
    model::PulseSpec pulse;
    pulse.interval = std::chrono::seconds(10);
    pulse.jitter = 10;
    const uint64_t interval = base::ns_of(pulse.interval);
    for (uint64_t seed = 1; seed <= 500; ++seed) {
        Detector detector{SelfSuspicion{}};
        const uint64_t outage = 1000 * s + seed * 77 * ms;
        std::vector<std::pair<uint64_t, uint64_t>> failures;
        for (uint64_t host = 0; host < SelfSuspicion{}.least; ++host) {
            const uint64_t hash = spread(host + seed);
            detector.turned(hash, Sign::none, Sign::good, longest_gap(pulse), outage - s);
            failures.emplace_back(next_regular(hash, seed, interval, pulse.jitter, outage), hash);
        }
        std::ranges::sort(failures);
        for (const auto& [at, hash] : failures)
            detector.turned(hash, Sign::good, Sign::bad, longest_gap(pulse), at);
        ASSERT_TRUE(detector.now().frozen) << "seed " << seed;
    }
}

struct Case {
    const char* what;
    size_t hosts, failing;
    SelfSuspicion settings;
    bool frozen;
};

TEST(Detector, ThresholdAndLeastDecide) {
    const Case table[] = {
        {"nine of nine are fewer than the least", 9, 9, {}, false},
        {"ten of ten", 10, 10, {}, true},
        {"69 %", 100, 69, {}, false},
        {"70 %", 100, 70, {}, true},
        {"half, with a threshold of 50", 100, 50, {true, 50, 10, 10}, true},
        {"three of three, with a least of 3", 3, 3, {true, 70, 3, 10}, true},
        {"off", 100, 100, {false, 70, 10, 10}, false},
        {"100 %: one that passes is enough", 100, 99, {true, 100, 10, 10}, false},
    };
    for (const Case& row : table) {
        World w(row.hosts, row.settings);
        for (size_t i = 0; i < row.failing; ++i) w.result(i, Sign::bad, w.now);
        EXPECT_EQ(w.frozen(), row.frozen) << row.what;
    }
}

TEST(Detector, WhatFailsOneAfterTheOtherOverManyIntervalsIsTheTargetsOwnTrouble) {
    // Twenty an interval, which is more than the least: what keeps it from freezing is that they are never
    // most of those that were well. Up to 350, as of the last thirty twenty are most.
    World slow(400), at_once(400);
    for (size_t i = 0; i < 350; ++i) {
        slow.result(i, Sign::bad, slow.now);
        ASSERT_FALSE(slow.frozen()) << i;  // before time passes: so long a wave is believed at once
        slow.idle(World::interval / 20);
    }
    // As many in one interval are enough, so it is the time that makes the difference.
    for (size_t i = 0; i < 350; ++i) at_once.result(i, Sign::bad, at_once.now + i * World::interval / 400);
    EXPECT_TRUE(at_once.frozen());
}

TEST(Detector, WhoNeverPassedDoesNotCount) {
    World w(0);
    w.signs.resize(100, Sign::none);
    for (size_t i = 0; i < 100; ++i) EXPECT_FALSE(w.result(i, Sign::bad, w.now));
    EXPECT_FALSE(w.frozen());
}

TEST(Detector, ManyPortsOfOneHostAreOneTarget) {
    Detector detector({});
    for (size_t port = 0; port < 100; ++port) detector.turned(7, Sign::none, Sign::good, s, 100 * s);
    for (size_t port = 0; port < 100; ++port) detector.turned(7, Sign::good, Sign::bad, s, 100 * s);
    EXPECT_FALSE(detector.now().frozen);
}

TEST(Detector, AHostOfWhichMostStillPassesIsWell) {
    Detector detector({});
    for (uint64_t host = 0; host < 20; ++host) {
        for (int port = 0; port < 3; ++port) detector.turned(host, Sign::none, Sign::good, s, 100 * s);
    }
    // One service is restarted everywhere.
    for (uint64_t host = 0; host < 20; ++host) detector.turned(host, Sign::good, Sign::bad, s, 100 * s);
    EXPECT_FALSE(detector.now().frozen);
    for (uint64_t host = 0; host < 20; ++host) detector.turned(host, Sign::good, Sign::bad, s, 100 * s + 1);
    EXPECT_TRUE(detector.now().frozen);
}

TEST(Detector, ItThawsAnIntervalAfterLessThanHalfTheThresholdIsIll) {
    World w(100);
    for (size_t i = 0; i < 100; ++i) w.result(i, Sign::bad, w.now);
    ASSERT_TRUE(w.frozen());
    w.idle(2 * World::interval);
    EXPECT_TRUE(w.frozen());
    for (size_t i = 0; i < 65; ++i) w.result(i, Sign::good, w.now);
    w.idle(2 * World::interval);
    EXPECT_TRUE(w.frozen()) << "35 of 100 are ill: that is half of 70 %";
    w.result(65, Sign::good, w.now);
    w.idle(World::interval - s);
    EXPECT_TRUE(w.frozen());
    w.idle(2 * s);
    EXPECT_FALSE(w.frozen());
    EXPECT_EQ(w.detector.now().why, "most targets are well again");
    // Those that stayed ill are not a new wave.
    w.idle(5 * World::interval);
    EXPECT_FALSE(w.frozen());
}

TEST(Detector, FailuresThatPersistAreBelievedInTheEnd) {
    World w(100);
    for (size_t i = 0; i < 100; ++i) w.result(i, Sign::bad, w.now);
    w.idle(9 * World::interval);
    EXPECT_TRUE(w.frozen());
    w.idle(2 * World::interval);
    EXPECT_FALSE(w.frozen());
    EXPECT_NE(w.detector.now().why.find("believed"), std::string::npos);
    w.idle(20 * World::interval);
    EXPECT_FALSE(w.frozen());
    // And it can happen again.
    w.all(Sign::good);
    w.idle(2 * World::interval);
    for (size_t i = 0; i < 100; ++i) w.result(i, Sign::bad, w.now);
    EXPECT_TRUE(w.frozen());
}

TEST(Detector, AFreezeWithoutAnEndTakesNoMoreMemoryHoweverOftenHostsComeAndGo) {
    SelfSuspicion never;
    never.thaw_after = 0;
    World w(100, never);
    for (size_t i = 0; i < 90; ++i) w.result(i, Sign::bad, w.now);
    ASSERT_TRUE(w.frozen());
    const uint64_t since = w.detector.now().since;
    const auto flap = [&](int times) {
        for (int n = 0; n < times; ++n) {
            w.result(95, Sign::bad, w.now += 20 * ms);
            w.result(95, Sign::good, w.now);
        }
    };
    flap(5000);
    const size_t before = mallinfo2().uordblks;
    flap(100'000);
    EXPECT_LT(mallinfo2().uordblks, before + 64 * 1024);
    EXPECT_TRUE(w.frozen());
    EXPECT_EQ(w.detector.now().since, since);
    for (size_t i = 0; i < 90; ++i) w.result(i, Sign::good, w.now);
    w.idle(2 * World::interval);
    EXPECT_FALSE(w.frozen());
}

TEST(Detector, TargetsThatAreGoneAreForgotten) {
    World w(100);
    for (size_t i = 0; i < 95; ++i) w.result(i, Sign::none, w.now);
    for (size_t i = 95; i < 100; ++i) w.result(i, Sign::bad, w.now);
    EXPECT_FALSE(w.frozen()) << "five are left";
    for (size_t i = 0; i < 100; ++i) w.result(i, Sign::none, w.now);
    w.all(Sign::good);
    for (size_t i = 0; i < 100; ++i) w.result(i, Sign::bad, w.now);
    EXPECT_TRUE(w.frozen());
    for (size_t i = 0; i < 100; ++i) w.result(i, Sign::none, w.now);
    w.idle(2 * World::interval);
    EXPECT_FALSE(w.frozen()) << "nobody is left to be suspicious about";
}

// Twenty hosts, of each a probe every second, and others that are checked less often, and pass.
struct Mixed {
    static constexpr uint64_t fast = s;
    // `others` probes, on the same hosts or on others.
    Mixed(uint64_t slow_gap, size_t others, bool same_hosts) {
        for (uint64_t host = 0; host < hosts; ++host)
            detector.turned(host, Sign::none, Sign::good, fast, now);
        for (uint64_t n = 0; n < others; ++n)
            detector.turned(same_hosts ? n : 100 + n, Sign::none, Sign::good, slow_gap, now);
        now += 10 * s;
    }
    // Each so long after the one before.
    void fail(uint64_t how_many, uint64_t apart) {
        for (uint64_t host = 0; host < how_many; ++host) {
            detector.turned(host, Sign::good, Sign::bad, fast, now);
            idle(apart);
        }
    }
    void idle(uint64_t time) {
        for (const uint64_t end = now + time; now < end;) detector.tick(now += 50 * ms);
    }
    bool frozen() const { return detector.now().frozen; }

    static constexpr uint64_t hosts = 20;
    Detector detector{SelfSuspicion{}};
    uint64_t now = 1000 * s;
};

TEST(Detector, ACheckOfTheDayMakesNoWaveOfServersThatDieOneAfterTheOther) {
    for (const auto& [gap, others, same_hosts] : {std::tuple<uint64_t, size_t, bool>{24 * 3600 * s, 1, false},
                                                  {3600 * s, 8, false},
                                                  {3600 * s, 20, true}}) {
        Mixed slowly(gap, others, same_hosts);
        slowly.fail(Mixed::hosts, 2 * s);
        EXPECT_FALSE(slowly.frozen()) << others;
        Mixed at_once(gap, others, same_hosts);
        at_once.fail(Mixed::hosts, 40 * ms);
        EXPECT_TRUE(at_once.frozen()) << others << ": it is the time that makes the difference";
    }
}

TEST(Detector, NorDoesItKeepAFreezeLongerThanTenIntervalsOfTheOthers) {
    for (const bool same_hosts : {false, true}) {
        Mixed w(3600 * s, same_hosts ? 20 : 1, same_hosts);
        w.fail(15, 0);
        ASSERT_TRUE(w.frozen());
        w.idle(9 * s);
        EXPECT_TRUE(w.frozen());
        w.idle(2 * s);
        EXPECT_FALSE(w.frozen()) << "what fails for ten intervals is believed";
    }
}

// Of an outage of all the fast ones are enough, and those that are checked every 20 s fail one by one after
// them.
TEST(Detector, WhatIsCheckedSeldomIsNotLeftToAnOutageWhenTheOthersHaveFailedForLong) {
    constexpr uint64_t gap = 20 * s, others = 8;
    Mixed w(gap, others, false);
    w.fail(Mixed::hosts, 0);
    ASSERT_TRUE(w.frozen()) << "20 of 28";
    const uint64_t begin = w.now;
    for (uint64_t n = 0; n < others; ++n) {
        w.detector.turned(100 + n, Sign::good, Sign::bad, gap, w.now);
        w.idle(gap / others);
    }
    w.idle(begin + 60 * s - w.now);
    EXPECT_TRUE(w.frozen());
    w.idle(begin + 10 * gap - s - w.now);
    EXPECT_TRUE(w.frozen());
    w.idle(2 * s);
    EXPECT_FALSE(w.frozen()) << "what fails for ten intervals is believed";
}

// Else clients would be sent to who really died for as long.
TEST(Detector, WhatIsCheckedLessThanOnceAMinuteMakesNoFreezeLonger) {
    Mixed w(3600 * s, 8, false);
    w.fail(Mixed::hosts, 0);
    ASSERT_TRUE(w.frozen()) << "20 of 28";
    w.idle(11 * s);
    EXPECT_FALSE(w.frozen());
}

// Of an outage of all the fast ones alone are too few.
TEST(Detector, AnIntervalIsSoLongThatTheThresholdOfAllHostsIsCheckedInIt) {
    Mixed w(60 * s, 12, false);
    w.fail(Mixed::hosts, 0);
    EXPECT_FALSE(w.frozen()) << "20 of 32";
    w.idle(30 * s);
    for (uint64_t n = 0; n < 3; ++n) w.detector.turned(100 + n, Sign::good, Sign::bad, 60 * s, w.now);
    EXPECT_TRUE(w.frozen()) << "23 of 32";
}

TEST(Detector, AHostsIntervalIsThatOfItsProbeThatIsCheckedMostOften) {
    for (const bool fast_ones_go : {false, true}) {
        Mixed w(60 * s, Mixed::hosts, true);
        for (uint64_t host = 0; fast_ones_go && host < Mixed::hosts; ++host)
            w.detector.turned(host, Sign::good, Sign::none, Mixed::fast, w.now);
        for (uint64_t host = 0; host < 15; ++host) {
            w.detector.turned(host, Sign::good, Sign::bad, 60 * s, w.now);
            w.idle(2 * s);
        }
        EXPECT_EQ(w.frozen(), fast_ones_go);
    }
}

TEST(Quantile, IsThatOfTheNumbersThatAreThere) {
    std::mt19937 random(3);
    for (const uint32_t percent : {0U, 1U, 50U, 70U, 100U}) {
        Quantile quantile(percent);
        std::vector<uint32_t> there;
        EXPECT_EQ(quantile.value(), 0U);
        for (int round = 0; round < 3000; ++round) {
            // It grows, and goes back to nothing.
            if (there.empty() || random() % 100 < (round % 1000 < 400 ? 70U : 30U)) {
                there.push_back(random() % 20);
                quantile.add(there.back());
            } else {
                std::swap(there[random() % there.size()], there.back());
                quantile.remove(there.back());
                there.pop_back();
            }
            std::vector<uint32_t> sorted = there;
            std::ranges::sort(sorted);
            const size_t least = std::max<size_t>(1, (sorted.size() * percent + 99) / 100);
            ASSERT_EQ(quantile.value(), sorted.empty() ? 0 : sorted[least - 1])
                << percent << " % of " << sorted.size();
        }
    }
}

}  // namespace
}  // namespace gorb::health::detector_test
