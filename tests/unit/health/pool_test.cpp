// What becomes of the weights of a service's backends: each rule by a table, and all together by random
// pools.
#include "health/pool.h"
#include "unit/health/times.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace gorb::health::pool_test {
namespace {

using namespace std::chrono_literals;
using model::Admin;
using model::OnDown;
using model::Recovery;

model::Service service(const std::string& scheduler = "wrr") {
    model::Service made;
    made.name = "web";
    made.scheduler = scheduler;
    return made;
}

Member member(model::BackendId id, State state, uint32_t configured = 100) {
    Member m;
    m.id = id;
    m.configured = configured;
    m.state = state;
    m.since = id * s;
    return m;
}
Member up(model::BackendId id) {
    return member(id, State::up);
}
Member down(model::BackendId id) {
    return member(id, State::down);
}
Member backup(Member m) {
    m.backup = true;
    return m;
}

struct Whole {
    Assessment pool;
    std::vector<Decision> decisions;

    std::vector<uint32_t> weights() const {
        std::vector<uint32_t> all;
        for (const Decision& d : decisions) all.push_back(d.effective);
        return all;
    }
};
Whole look(const model::Service& of, const std::vector<Member>& members, uint64_t now = 1000 * s,
           std::optional<bool> was_met = {}) {
    Whole whole;
    whole.pool = assess(of, members, was_met ? &*was_met : nullptr);
    for (const Member& m : members) whole.decisions.push_back(decide(of, whole.pool, m, now));
    return whole;
}
using Weights = std::vector<uint32_t>;

TEST(Pool, UpServesDownDoesNotAndUnknownWaits) {
    const Whole w = look(service(), {up(1), down(2), member(3, State::unknown)});
    EXPECT_EQ(w.weights(), (Weights{100, 0, 0}));
    EXPECT_EQ(w.decisions[0].cause, Cause::none);
    EXPECT_EQ(w.decisions[1].cause, Cause::down);
    EXPECT_EQ(w.decisions[2].cause, Cause::unchecked);
    EXPECT_EQ(words(service(), w.decisions[1], "connection refused (3 failures in a row)"),
              "down: connection refused (3 failures in a row)");
    EXPECT_EQ(w.pool.state, PoolState::up);
}

TEST(Pool, OneTakenOverKeepsItsWeightUntilItsFirstResultButNoMoreThanConfigured) {
    Member m = member(1, State::unknown);
    m.before = 70;
    EXPECT_EQ(look(service(), {m}).weights(), Weights{70});
    m.before = 700;
    const Whole w = look(service(), {m});
    EXPECT_EQ(w.weights(), Weights{100});
    EXPECT_EQ(w.decisions[0].cause, Cause::before);
    EXPECT_EQ(w.pool.state, PoolState::up);  // it serves
}

TEST(Pool, TheOperatorIsStrongerThanHealth) {
    Member drained = up(1), out = up(2);
    drained.admin = Admin::drain;
    out.admin = Admin::maint;
    Member none = up(3);
    none.configured = 0;
    model::Service of = service();
    of.pool.panic_threshold = 100;
    of.pool.max_down = 0;
    const Whole w = look(of, {drained, out, none, down(4)});
    EXPECT_EQ(w.weights(), (Weights{0, 0, 0, 100}));
    EXPECT_EQ(w.decisions[0].cause, Cause::drain);
    EXPECT_EQ(w.decisions[0].admin, 0);
    EXPECT_EQ(w.decisions[1].cause, Cause::maint);
    EXPECT_EQ(w.decisions[2].cause, Cause::zero);
    EXPECT_TRUE(w.decisions[0].present);  // its connections go on
}

TEST(Pool, HealthIsShownBesideWhatElseIsInTheWayOfAWeight) {
    Member drained = down(1), out = down(2), none = down(3), unchecked = backup(up(4));
    drained.admin = Admin::drain;
    out.admin = Admin::maint;
    none.configured = 0;
    unchecked.state = State::unknown;
    const Whole w = look(service(), {drained, out, none, unchecked, backup(down(5)), up(6)});
    EXPECT_EQ(w.weights(), (Weights{0, 0, 0, 0, 0, 100}));
    const auto shown = [&](size_t i, const std::string& because) {
        const FactorWords words = factor_words(service(), w.decisions[i], because);
        return std::to_string(w.decisions[i].health) + " " + words.health;
    };
    EXPECT_EQ(shown(0, "connection refused"), "0 not up: connection refused");
    EXPECT_EQ(shown(1, ""), "100 ");  // nobody asks
    EXPECT_EQ(shown(2, "connection refused"), "0 not up: connection refused");
    EXPECT_EQ(shown(3, ""), "0 no check has finished yet");
    EXPECT_EQ(shown(4, "connection refused"), "0 not up: connection refused");
    EXPECT_EQ(factor_words(service(), w.decisions[0], "").admin, "drained by the operator");
    EXPECT_EQ(factor_words(service(), w.decisions[4], "").pool,
              "a backup, and the primaries make the quorum of 1");
}

TEST(Pool, AShareScalesTheWeightAndLeavesAtLeastOne) {
    for (const auto& [share, configured, effective] : {std::tuple<uint32_t, uint32_t, uint32_t>{50, 100, 50},
                                                       {1, 3, 1},
                                                       {99, 1, 1},
                                                       {0, 100, 0},
                                                       {100, 65535, 65535}}) {
        Member m = up(1);
        m.configured = configured;
        m.share = share;
        EXPECT_EQ(look(service(), {m}).weights(), Weights{effective}) << share << " % of " << configured;
    }
}

TEST(Pool, WhoAsksForNoShareCountsForNothing) {
    const model::Service web = service();
    Member unwilling = up(1);
    unwilling.share = 0;
    Whole w = look(web, {unwilling, backup(up(2))});
    EXPECT_EQ(w.weights(), (Weights{0, 100}));
    EXPECT_EQ(w.pool.state, PoolState::degraded);
    EXPECT_EQ(w.decisions[0].cause, Cause::share);
    EXPECT_EQ(look(web, {unwilling}).pool.state, PoolState::down);
    EXPECT_EQ(look(web, {unwilling, up(2)}).pool.state, PoolState::up);

    // Nor is it up, or out, for panic and max-down, and panic does not overrule it.
    model::Service of = service();
    of.pool.panic_threshold = 50;
    w = look(of, {unwilling, up(2), down(3)});
    EXPECT_FALSE(w.pool.panic);
    w = look(of, {unwilling, down(2)});
    EXPECT_EQ(w.weights(), (Weights{0, 100}));
    of.pool.panic_threshold = 0;
    of.pool.max_down = 50;
    EXPECT_EQ(look(of, {unwilling, up(2), down(3), down(4)}).weights(), (Weights{0, 100, 0, 100}));
}

TEST(Pool, ARampIsLinearFromTheLeastShareAndTellsItsNextStep) {
    model::Service of = service();
    of.pool.recovery = Recovery::ramp;
    of.pool.slow_start = 100s;
    of.pool.slow_start_least = 20;
    Member m = up(1);
    m.configured = 1000;
    m.back_since = 500 * s;
    for (const auto& [passed, weight] :
         {std::pair<uint64_t, uint32_t>{0, 200}, {25, 390}, {50, 600}, {99, 980}, {100, 1000}, {500, 1000}}) {
        const uint64_t now = 500 * s + passed * s;
        const Whole w = look(of, {m}, now);
        EXPECT_EQ(w.weights(), Weights{weight}) << passed;
        EXPECT_EQ(w.decisions[0].cause, passed < 100 ? Cause::ramp : Cause::none) << passed;
        EXPECT_EQ(next_step(of, m, now), passed < 100 ? 500 * s + (passed / 2 + 1) * 2 * s : 0) << passed;
    }
    // One that was here all along does not ramp.
    m.back_since = 0;
    EXPECT_EQ(look(of, {m}, 500 * s).weights(), Weights{1000});
}

// A weight has no parts but whole ones.
TEST(Pool, ARecoveryThatRoundingLeavesNothingOfIsNotSaidToTakeAnythingAway) {
    model::Service of = service();
    of.pool.slow_start = 100s;
    for (const Recovery recovery : {Recovery::ramp, Recovery::history}) {
        of.pool.recovery = recovery;
        Member m = up(1);
        m.configured = 1;
        m.back_since = 500 * s;
        m.ratio = 0.1;
        Whole w = look(of, {m}, 500 * s);
        EXPECT_EQ(w.decisions[0].ramp, 100);
        EXPECT_EQ(w.decisions[0].health, 100);
        EXPECT_EQ(w.decisions[0].cause, Cause::none);
        const FactorWords said = factor_words(of, w.decisions[0], "");
        EXPECT_EQ(recovery == Recovery::ramp ? said.ramp : said.health,
                  "that it came back a short time ago has no effect: there is no less than the 1 it has");
        m.configured = 3;
        w = look(of, {m}, 500 * s);
        EXPECT_EQ(w.weights(), Weights{1});
        EXPECT_EQ(w.decisions[0].cause, recovery == Recovery::ramp ? Cause::ramp : Cause::history);
        // With a share that takes all there is to take.
        m.configured = 2;
        m.share = 50;
        w = look(of, {m}, 500 * s);
        EXPECT_EQ(w.weights(), Weights{1});
        EXPECT_TRUE(w.decisions[0].idle_share);
        EXPECT_FALSE(w.decisions[0].idle_recovery) << "of the two one has an effect";
    }
}

TEST(Pool, NothingChangesBetweenTwoStepsOfARamp) {
    model::Service of = service();
    of.pool.recovery = Recovery::ramp;
    for (const auto length : {1s, 7s, 60s, 3600s}) {
        of.pool.slow_start = length;
        Member m = up(1);
        m.configured = 65535;
        m.back_since = 3 * s + 12345;
        uint64_t now = m.back_since;
        uint32_t last = 0;
        for (uint64_t step = next_step(of, m, now); step != 0; step = next_step(of, m, now)) {
            const uint32_t weight = look(of, {m}, now).weights()[0];
            EXPECT_GT(weight, last);
            EXPECT_EQ(look(of, {m}, step - 1).weights()[0], weight);
            ASSERT_GT(step, now);
            last = weight;
            now = step;
        }
        EXPECT_EQ(look(of, {m}, now).weights(), Weights{65535});
        EXPECT_EQ(now, m.back_since + static_cast<uint64_t>(std::chrono::nanoseconds(length).count()));
    }
}

TEST(Pool, HistoryGivesBackWhatTheLastChecksEarned) {
    model::Service of = service();
    of.pool.recovery = Recovery::history;
    Member m = up(1);
    m.back_since = 5 * s;
    m.ratio = 0.37;
    const Whole w = look(of, {m});
    EXPECT_EQ(w.weights(), Weights{37});
    EXPECT_EQ(words(of, w.decisions[0], ""), "37 % of its last checks passed");
    m.ratio = 0.001;
    EXPECT_EQ(look(of, {m}).weights(), Weights{1});
    m.back_since = 0;
    EXPECT_EQ(look(of, {m}).weights(), Weights{100});
}

// Field notes 6 to 10; the kernel's own behaviour is measured in tests/kernel.
TEST(Pool, TheSchedulerDecidesWhatIsSensible) {
    struct Row {
        const char* scheduler;
        uint32_t ramped, shared;  // of weight 100: at the begin of a ramp, and with a share of 50
        bool removed_when_down;
    };
    for (const Row& row : {Row{"wrr", 10, 50, false},
                           {"wlc", 10, 50, false},
                           {"sed", 10, 50, false},
                           {"nq", 10, 50, false},
                           {"lblc", 10, 50, false},
                           {"lblcr", 10, 50, false},
                           {"twos", 10, 50, false},
                           {"ovf", 10, 50, false},
                           {"sh", 100, 50, false},
                           {"mh", 100, 50, false},
                           {"dh", 100, 100, true},
                           {"rr", 100, 100, false},
                           {"lc", 100, 100, false},
                           {"fo", 100, 100, false}}) {
        model::Service of = service(row.scheduler);
        of.pool.recovery = Recovery::ramp;
        of.pool.slow_start = 60s;
        Member ramped = up(1), shared = up(2), weighty = up(3);
        ramped.back_since = 10 * s;
        shared.share = 50;
        weighty.configured = 99;  // keeps sh's divisor at 1
        const Whole w = look(of, {ramped, shared, weighty, down(4)}, 10 * s);
        EXPECT_EQ(w.weights(), (Weights{row.ramped, row.shared, 99U, 0})) << row.scheduler;
        EXPECT_EQ(w.decisions[3].present, !row.removed_when_down) << row.scheduler;
    }
}

TEST(Pool, HashSchedulersGetTheirFallbackFlagUnlessItIsRefused) {
    model::Service of = service("sh");
    EXPECT_EQ(model::effective_flags(of), model::flag_fallback);
    of.flags = model::flag_port;
    EXPECT_EQ(model::effective_flags(of), model::flag_fallback | model::flag_port);
    // Removal is for what is down; what is drained or not checked yet has weight 0 all the same.
    of.pool.on_down = OnDown::remove;
    EXPECT_EQ(model::effective_flags(of), model::flag_fallback | model::flag_port);
    of.pool.on_down = OnDown::weight_zero;
    of.pool.refuse_fallback = true;
    EXPECT_EQ(model::effective_flags(of), model::flag_port);
    EXPECT_FALSE(pool_warnings(of, look(of, {up(1)}).pool).empty());
    EXPECT_EQ(model::effective_flags(service("mh")), model::flag_fallback);
    EXPECT_EQ(model::effective_flags(service("wrr")), 0U);
    EXPECT_EQ(model::effective_on_down(service("dh")), OnDown::remove);
}

TEST(Pool, WeightsOfShAreDividedByTheirGreatestCommonDivisorWhoeverIsDown) {
    const model::Service of = service("sh");
    Member a = member(1, State::up, 100), b = member(2, State::up, 50), c = member(3, State::down, 250);
    Whole w = look(of, {a, b, c});
    EXPECT_EQ(w.weights(), (Weights{2, 1, 0}));
    EXPECT_EQ(w.pool.slot_sum, 8U);
    EXPECT_TRUE(pool_warnings(of, w.pool).empty());
    EXPECT_EQ(w.decisions[0].cause, Cause::divided);
    EXPECT_EQ(w.decisions[2].cause, Cause::down);
    EXPECT_EQ(factor_words(of, w.decisions[0], "").health, "") << "no factor takes anything away";
    EXPECT_EQ(look(service("mh"), {a, b, c}).weights(), (Weights{100, 50, 0}));

    std::vector<Member> many;
    for (model::BackendId id = 1; id <= 3; ++id) many.push_back(member(id, State::up, id == 1 ? 101 : 100));
    w = look(of, many);
    EXPECT_EQ(w.pool.slot_sum, 301U);
    ASSERT_EQ(pool_warnings(of, w.pool).size(), 1U);
    EXPECT_NE(pool_warnings(of, w.pool)[0].find("301"), std::string::npos);
}

TEST(Pool, OnDownRemoveTakesTheDestinationAway) {
    model::Service of = service();
    of.pool.on_down = OnDown::remove;
    const Whole w = look(of, {up(1), down(2), member(3, State::unknown)});
    EXPECT_TRUE(w.decisions[0].present);
    EXPECT_FALSE(w.decisions[1].present);
    EXPECT_TRUE(w.decisions[2].present);
}

// Where weight 0 swallows the clients that are hashed to it, what is not to serve is not there, whyever.
TEST(Pool, NothingSwallowsClientsWithAWeightOfZero) {
    const auto zeros = [] {
        Member unchecked = member(1, State::unknown), drained = up(2), maintained = up(3), unwilling = up(4);
        Member dead = down(5), drained_dead = down(6), was_serving = member(7, State::unknown), none = up(8);
        drained.admin = drained_dead.admin = model::Admin::drain;
        maintained.admin = model::Admin::maint;
        unwilling.share = 0;
        was_serving.before = 100;
        none.configured = 0;
        return std::vector{unchecked,    drained,     maintained, unwilling, dead,
                           drained_dead, was_serving, none,       up(9),     up(10)};
    };
    const auto there = [&](const model::Service& of) {
        std::vector<bool> all;
        for (const Decision& d : look(of, zeros()).decisions) all.push_back(d.present);
        return all;
    };
    // A drained one keeps its connections for as long as it lives: that is what draining is for.
    const std::vector<bool> few{false, true, false, false, false, false, true, true, true, true};
    std::vector<bool> all(10, true), but_dead = all;
    but_dead[4] = but_dead[5] = false;
    EXPECT_EQ(there(service("dh")), few);
    for (const char* scheduler : {"sh", "mh", "wrr"}) {
        model::Service of = service(scheduler);
        EXPECT_EQ(there(of), all) << scheduler;
        of.pool.on_down = OnDown::remove;
        EXPECT_EQ(there(of), but_dead) << scheduler;
        of.pool.refuse_fallback = true;
        EXPECT_EQ(there(of), scheduler == std::string("wrr") ? but_dead : few) << scheduler;
        of.pool.on_down = OnDown::weight_zero;
        EXPECT_EQ(there(of), all) << scheduler << ": as was asked for";
    }
}

// Of one that has been taken over, or is in another service now, nothing is known; its connections are there.
TEST(Pool, WhoIsInTheKernelAndNotCheckedYetKeepsItsConnectionsWhereItSwallowsClients) {
    Member drained = member(1, State::unknown), none = member(2, State::unknown),
           fresh = member(3, State::unknown);
    drained.admin = Admin::drain;
    none.configured = 0;
    for (Member m : {drained, none}) {
        EXPECT_TRUE(look(service("dh"), {m}).decisions[0].present);
        m.out = true;
        EXPECT_FALSE(look(service("dh"), {m}).decisions[0].present);
    }
    EXPECT_FALSE(look(service("dh"), {fresh}).decisions[0].present) << "no clients are hashed to it yet";
}

TEST(Pool, WhoIsOutIsNotBroughtBackToSwallowClients) {
    model::Service refused = service("mh");
    refused.pool.on_down = OnDown::remove;
    refused.pool.refuse_fallback = true;
    Member drained = up(1), none = up(2);
    drained.admin = Admin::drain;
    none.configured = 0;
    for (const model::Service& of : {service("dh"), refused}) {
        for (Member m : {drained, none}) {
            EXPECT_TRUE(look(of, {m}).decisions[0].present) << "its connections go on";
            m.out = true;
            EXPECT_FALSE(look(of, {m}).decisions[0].present);
        }
        Member ready = up(3);
        ready.out = true;
        EXPECT_TRUE(look(of, {ready}).decisions[0].present);
    }
    drained.out = true;
    EXPECT_TRUE(look(service("wrr"), {drained}).decisions[0].present);
}

TEST(Pool, WhoIsOutForBeingDownStaysOutWhateverIsAskedOfIt) {
    model::Service of = service();
    for (const model::OnDown on_down : {OnDown::weight_zero, OnDown::remove}) {
        of.pool.on_down = on_down;
        for (const State state : {State::down, State::unknown, State::up}) {
            Member drained = member(1, state), maintained = drained, unwilling = drained, ready = drained;
            drained.admin = model::Admin::drain;
            maintained.admin = model::Admin::maint;
            unwilling.configured = 0;
            for (Member m : {drained, maintained, unwilling, ready}) {
                const bool stays = on_down == OnDown::weight_zero;
                EXPECT_EQ(look(of, {m}).decisions[0].present, stays || state != State::down);
                m.out = true;
                EXPECT_EQ(look(of, {m}).decisions[0].present, stays || state == State::up);
            }
        }
    }
}

TEST(Pool, ABackupThatIsDownIsOutWhetherItIsCalledOrNot) {
    for (const model::OnDown on_down : {OnDown::weight_zero, OnDown::remove}) {
        model::Service of = service();
        of.pool.on_down = on_down;
        const bool stays = on_down == OnDown::weight_zero;
        Member forgotten = backup(member(4, State::unknown));
        forgotten.out = true;
        for (const Member& primary : {up(1), down(1)}) {
            const Whole w = look(of, {primary, backup(up(2)), backup(down(3)), forgotten});
            EXPECT_TRUE(w.decisions[1].present);
            EXPECT_EQ(w.decisions[2].present, stays);
            EXPECT_EQ(w.decisions[3].present, stays);
        }
    }
}

TEST(Pool, BackupsThatWaitDoNotCountForMaxDown) {
    model::Service of = service();
    of.pool.quorum = 3;
    of.pool.max_down = 50;
    Member last = down(1);
    last.since = 10 * s;
    const Whole w = look(of, {last, up(2), up(3), up(4), backup(down(5)), backup(down(6))});
    EXPECT_EQ(w.pool.kept, 0U);
    EXPECT_EQ(w.weights(), (Weights{0, 100, 100, 100, 0, 0}));
}

TEST(Pool, BackupsServeOnlyWhileThePrimariesAreUnderTheQuorum) {
    model::Service of = service();
    of.pool.quorum = 2;
    Whole w = look(of, {up(1), up(2), down(3), backup(up(4))});
    EXPECT_EQ(w.weights(), (Weights{100, 100, 0, 0}));
    EXPECT_EQ(w.decisions[3].cause, Cause::standby);
    EXPECT_EQ(w.pool.state, PoolState::up);
    w = look(of, {up(1), down(2), down(3), backup(up(4)), backup(down(5))});
    EXPECT_EQ(w.weights(), (Weights{100, 0, 0, 100, 0}));
    EXPECT_EQ(w.pool.state, PoolState::degraded);
    EXPECT_EQ(pool_words(of, w.pool), "1 of 3 primaries are up, the quorum is 2; 1 backup serves");
    w = look(of, {down(1), down(2), backup(down(4))});
    EXPECT_EQ(w.pool.state, PoolState::down);
    w = look(of, {});
    EXPECT_EQ(w.pool.state, PoolState::down);
}

TEST(Pool, AQuorumIsLostAndRegainedWithHysteresis) {
    model::Service of = service();
    of.pool.quorum = 3;
    of.pool.hysteresis = 1;
    const auto met = [&](size_t ups, size_t all, std::optional<bool> was) {
        std::vector<Member> members;
        for (model::BackendId id = 1; id <= all; ++id) members.push_back(id <= ups ? up(id) : down(id));
        return look(of, members, 1000 * s, was).pool.quorum_met;
    };
    EXPECT_TRUE(met(3, 6, std::nullopt));
    EXPECT_FALSE(met(2, 6, std::nullopt));
    EXPECT_TRUE(met(2, 6, true));
    EXPECT_FALSE(met(1, 6, true));
    EXPECT_FALSE(met(3, 6, false));
    EXPECT_TRUE(met(4, 6, false));
    EXPECT_TRUE(met(3, 3, false));  // all there are is enough
    EXPECT_FALSE(met(2, 2, false));
}

TEST(Pool, BelowThePanicThresholdAllServe) {
    model::Service of = service();
    of.pool.panic_threshold = 50;
    Whole w = look(of, {up(1), down(2), down(3), member(4, State::unknown)});
    EXPECT_TRUE(w.pool.panic);
    EXPECT_EQ(w.weights(), (Weights{100, 100, 100, 100}));
    EXPECT_EQ(w.decisions[1].cause, Cause::panic);
    EXPECT_EQ(w.decisions[3].cause, Cause::panic);  // nothing is known of it, which is no worse
    Member taken_over = member(4, State::unknown);
    taken_over.before = 7;
    EXPECT_EQ(look(of, {down(1), down(2), down(3), taken_over}).weights(), (Weights{100, 100, 100, 100}));
    // As long as nothing is known of any, nothing is wrong with them.
    w = look(of, {member(1, State::unknown), member(2, State::unknown)});
    EXPECT_FALSE(w.pool.panic);
    EXPECT_EQ(w.weights(), (Weights{0, 0}));
    w = look(of, {up(1), up(2), down(3), down(4)});
    EXPECT_FALSE(w.pool.panic);
    EXPECT_EQ(w.weights(), (Weights{100, 100, 0, 0}));
    // Backups that stand by do not count, and those that serve do.
    w = look(of, {up(1), up(2), backup(down(3)), backup(down(4)), backup(down(5))});
    EXPECT_FALSE(w.pool.panic);
    w = look(of, {down(1), backup(up(2))});
    EXPECT_FALSE(w.pool.panic);
    EXPECT_EQ(w.weights(), (Weights{0, 100}));
}

TEST(Pool, MaxDownLetsThoseGoThatWentFirstAndKeepsTheOthers) {
    model::Service of = service();
    of.pool.max_down = 50;
    Member late = down(1), early = down(2), middle = down(3);
    late.since = 30 * s;
    early.since = 10 * s;
    middle.since = 20 * s;
    const Whole w = look(of, {late, early, middle, up(4)});
    EXPECT_EQ(w.weights(), (Weights{100, 0, 0, 100}));
    EXPECT_EQ(w.decisions[0].cause, Cause::kept);
    EXPECT_EQ(w.pool.kept, 1U);
    of.pool.max_down = 0;
    EXPECT_EQ(look(of, {late, early, up(4)}).weights(), (Weights{100, 100, 100}));
}

TEST(Pool, MaxDownPutsNobodyIntoServiceWhoNeverPassed) {
    model::Service of = service();
    of.pool.max_down = 20;
    Member first = down(5), second = down(6);
    first.unproven = second.unproven = true;
    Whole w = look(of, {up(1), up(2), up(3), up(4), first, second});
    EXPECT_EQ(w.weights(), (Weights{100, 100, 100, 100, 0, 0}));
    EXPECT_EQ(w.decisions[5].cause, Cause::down);
    EXPECT_EQ(w.pool.kept, 0U);
    // Nor do they count as some that health has taken out of service, or as some of which it may.
    of.pool.max_down = 50;
    w = look(of, {up(1), up(2), down(3), down(4), first, second});
    EXPECT_EQ(w.weights(), (Weights{100, 100, 0, 0, 0, 0}));
    w = look(of, {up(1), down(2), down(3), down(4), first, second});
    EXPECT_EQ(w.weights(), (Weights{100, 0, 0, 100, 0, 0}));
    of.pool.max_down = 0;
    EXPECT_EQ(look(of, {down(1), first}).weights(), (Weights{100, 0}));
}

TEST(Pool, WhoIsUpGetsNoLessThanTheDeadThatMaxDownKeeps) {
    model::Service of = service();
    of.pool.max_down = 50;
    of.pool.slow_start = 60s;
    Member returned = up(1);
    returned.back_since = 1000 * s;
    returned.ratio = 0.5;
    for (const Recovery recovery : {Recovery::ramp, Recovery::history}) {
        of.pool.recovery = recovery;
        EXPECT_EQ(look(of, {returned, down(2), down(3), down(4)}).weights(), (Weights{100, 0, 0, 100}));
        EXPECT_LT(look(of, {returned, up(2), up(3), down(4)}).weights()[0], 100U) << "as ever";
    }
}

TEST(Pool, RandomPoolsKeepTheRules) {
    std::mt19937_64 random(7);
    const auto below = [&](uint64_t n) { return random() % n; };
    const char* schedulers[] = {"wrr", "rr", "sh", "mh", "dh", "fo", "ovf", "wlc"};
    for (int round = 0; round < 100'000; ++round) {
        model::Service of = service(schedulers[below(8)]);
        of.pool.on_down = below(2) ? OnDown::remove : OnDown::weight_zero;
        of.pool.quorum = static_cast<uint32_t>(1 + below(4));
        of.pool.hysteresis = static_cast<uint32_t>(below(of.pool.quorum));
        of.pool.panic_threshold = below(2) ? static_cast<uint32_t>(below(101)) : 0;
        of.pool.max_down = below(2) ? static_cast<uint32_t>(below(101)) : 100;
        of.pool.recovery = below(2) ? Recovery::ramp : Recovery::immediate;
        if (of.pool.recovery == Recovery::ramp) of.pool.slow_start = 60s;
        std::vector<Member> members(below(8));
        for (size_t i = 0; i < members.size(); ++i) {
            Member& m = members[i];
            m = member(i + 1, static_cast<State>(below(3)), static_cast<uint32_t>(below(5) * 50));
            m.since = below(5) * s;
            m.backup = below(4) == 0;
            m.admin = below(6) == 0 ? static_cast<Admin>(1 + below(2)) : Admin::ready;
            m.back_since = below(2) ? (900 + below(100)) * s : 0;
            if (below(4) == 0) m.share = static_cast<uint8_t>(below(3) * 50);
            m.unproven = m.state == State::down && below(3) == 0;
        }
        const bool was = below(2);
        const Whole w = look(of, members, 1000 * s, was);

        size_t down_and_out = 0, known = 0;
        for (size_t i = 0; i < members.size(); ++i) {
            const Member& m = members[i];
            const Decision& d = w.decisions[i];
            ASSERT_LE(d.effective, m.configured);
            if (m.admin != Admin::ready) {
                ASSERT_EQ(d.effective, 0U);
            }
            if (m.state == State::unknown && !w.pool.panic) {
                ASSERT_EQ(d.effective, 0U);
            }
            if (!d.present) {
                ASSERT_EQ(d.effective, 0U);
            }
            if (m.backup && w.pool.quorum_met) {
                ASSERT_EQ(d.effective, 0U);
            }
            const bool unwilling = m.share == 0 && m.state == State::up;
            const bool serving = m.admin == Admin::ready && m.configured > 0 && !unwilling &&
                                 (!m.backup || !w.pool.quorum_met);
            if (serving && m.state == State::up) {
                ASSERT_GT(d.effective, 0U);
            }
            if (m.unproven && !w.pool.panic) {
                ASSERT_EQ(d.effective, 0U);
            }
            if (serving && m.state != State::unknown && !m.unproven) ++known;
            if (serving && m.state == State::down && !m.unproven && d.effective == 0) ++down_and_out;
            if (serving && w.pool.panic) {
                ASSERT_EQ(d.effective, std::max(1U, m.configured / w.pool.divisor));
            }
            // Every weight below the configured one has a reason.
            if (d.effective < m.configured) {
                ASSERT_FALSE(words(of, d, "x").empty());
            }
        }
        ASSERT_LE(down_and_out * 100, known * of.pool.max_down);
        const bool any = std::ranges::any_of(w.decisions, [](const Decision& d) { return d.effective > 0; });
        if (w.pool.state == PoolState::down) {
            ASSERT_FALSE(any);
        }
        if (w.pool.state == PoolState::degraded) {
            ASSERT_TRUE(any);
        }
    }
}

TEST(Pool, WhatIsHeldServesAsItDidAndSaysWhy) {
    const model::Service web = service();
    Member held = up(1);  // what it was
    held.held = true;
    const Whole w = look(web, {held, up(2)});
    EXPECT_EQ(w.weights(), (std::vector<uint32_t>{100, 100}));
    EXPECT_EQ(w.decisions[0].cause, Cause::held);
    EXPECT_EQ(words(web, w.decisions[0], "connection refused"),
              "down, but it keeps its weight, because gorbd suspects its own machine (GET /readyz): "
              "connection refused");
    EXPECT_EQ(factor_words(web, w.decisions[0], "").health, words(web, w.decisions[0], ""));
}

TEST(Pool, AFirstResultThatIsHeldBackHasCountedAndIsNamed) {
    const model::Service web = service();
    Member keeps = member(1, State::unknown), none = member(2, State::unknown);  // what they were
    keeps.held = none.held = true;
    keeps.before = 100;
    const Whole w = look(web, {keeps, none});
    EXPECT_EQ(w.weights(), (Weights{100, 0}));
    EXPECT_EQ(words(web, w.decisions[0], "connection refused"),
              "down, but it keeps its weight, because gorbd suspects its own machine (GET /readyz): "
              "connection refused");
    EXPECT_EQ(words(web, w.decisions[1], "connection refused"), "down: connection refused");
}

}  // namespace
}  // namespace gorb::health::pool_test
