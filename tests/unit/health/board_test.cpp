#include "health/board.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <random>
#include <vector>

namespace gorb::health {
namespace {

using plugin::Report;
using plugin::Verdict;

TargetPtr target(model::BackendId id, const std::string& address = "10.0.0.1:80") {
    Target t;
    t.id = id;
    t.service = "web";
    t.backend = "b" + std::to_string(id);
    t.address = *base::Endpoint::parse(address);
    t.pulse.rise = 2;
    t.pulse.fall = 3;
    return std::make_shared<const Target>(t);
}

Report pass(uint32_t share = 100) {
    return {Verdict::pass, share, 200, 5, "connected"};
}
Report failure() {
    return {Verdict::fail, 100, 111, 7, "connection refused"};
}
Report unknown() {
    return {Verdict::unknown, 100, 24, 0, "too many open files"};
}

TEST(Board, ATargetIsUnknownBeforeItsFirstResult) {
    Board board;
    EXPECT_EQ(board.put(target(1), 10, 20).put, Board::Put::added);
    const auto view = board.read(1, 500);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->state, State::unknown);
    EXPECT_FALSE(view->checked);
    EXPECT_EQ(view->since, 10U);
    EXPECT_EQ(view->since_wall, 20);
    EXPECT_EQ(view->ratio, 1.0);
    EXPECT_EQ(view->uptime_ns, 0U);
    EXPECT_EQ(view->reason, "");
    EXPECT_EQ(view->because, "");
    EXPECT_FALSE(board.read(2, 500));
    EXPECT_EQ(board.size(), 1U);
}

TEST(Board, KeepsTheLastResultAndCountsAll) {
    Board board;
    const auto t = target(1);
    board.put(t, 10, 20);
    const auto up = board.record(t, pass(), 100, 1000);
    ASSERT_TRUE(up);
    EXPECT_EQ(up->before, State::unknown);
    EXPECT_EQ(up->after, State::up);
    EXPECT_EQ(up->because, "connected");
    EXPECT_FALSE(board.record(t, pass(), 200, 2000)->state_changed());
    EXPECT_FALSE(board.record(t, unknown(), 250, 2500)->state_changed());
    EXPECT_EQ(board.read(1, 260)->verdict, Verdict::unknown);
    EXPECT_EQ(board.read(1, 260)->reason, "too many open files");
    EXPECT_FALSE(board.record(t, failure(), 300, 3000)->state_changed());

    const View v = *board.read(1, 350);
    EXPECT_EQ(v.state, State::up);
    EXPECT_EQ(v.since, 100U);
    EXPECT_EQ(v.since_wall, 1000);
    EXPECT_EQ(v.uptime_ns, 250U);
    EXPECT_TRUE(v.checked);
    EXPECT_EQ(v.verdict, Verdict::fail);
    EXPECT_EQ(v.reason, "connection refused");
    EXPECT_EQ(v.because, "connected");
    EXPECT_EQ(v.code, 111);
    EXPECT_EQ(v.latency_ns, 7U);
    EXPECT_EQ(v.last_wall, 3000);
    EXPECT_EQ(v.passes, 2U);
    EXPECT_EQ(v.failures, 1U);
    EXPECT_EQ(v.unknowns, 1U);
    EXPECT_EQ(v.changes, 1U);
    EXPECT_EQ(v.passes_in_row, 0U);
    EXPECT_EQ(v.failures_in_row, 1U);
    EXPECT_DOUBLE_EQ(v.ratio, 2.0 / 3);
}

TEST(Board, GoingDownSaysWhyAndEndsTheUptime) {
    Board board;
    const auto t = target(1);
    board.put(t, 10, 20);
    board.record(t, pass(), 100, 0);
    board.record(t, failure(), 200, 0);
    board.record(t, failure(), 300, 0);
    const auto down = board.record(t, failure(), 400, 0);
    EXPECT_EQ(down->after, State::down);
    EXPECT_EQ(down->because, "connection refused (3 failures in a row)");
    EXPECT_EQ(board.read(1, 450)->uptime_ns, 0U);
    EXPECT_EQ(board.read(1, 450)->since, 400U);
    // One pass does not bring it up, and why it is down stays known.
    board.record(t, pass(), 500, 0);
    EXPECT_EQ(board.read(1, 550)->reason, "connected");
    EXPECT_EQ(board.read(1, 550)->because, "connection refused (3 failures in a row)");
}

TEST(Board, OnlyAPassAsksForAShare) {
    Board board;
    const auto t = target(1);
    board.put(t, 0, 0);
    EXPECT_TRUE(board.record(t, pass(50), 0, 0)->share_changed());
    EXPECT_FALSE(board.record(t, pass(50), 0, 0)->share_changed());
    EXPECT_FALSE(board.record(t, failure(), 0, 0)->share_changed());
    EXPECT_FALSE(board.record(t, unknown(), 0, 0)->share_changed());
    EXPECT_EQ(board.read(1, 0)->share, 50U);
    const auto effect = board.record(t, pass(100), 0, 0);
    EXPECT_EQ(effect->share_before, 50U);
    EXPECT_EQ(effect->share, 100U);
}

TEST(Board, TroubleIsToldWhenItBegins) {
    Board board;
    const auto t = target(1);
    board.put(t, 0, 0);
    EXPECT_TRUE(board.record(t, unknown(), 0, 0)->trouble_began);
    EXPECT_FALSE(board.record(t, unknown(), 0, 0)->trouble_began);
    EXPECT_FALSE(board.record(t, pass(), 0, 0)->trouble_began);
    EXPECT_TRUE(board.record(t, unknown(), 0, 0)->trouble_began);
}

TEST(Board, TheRatioIsThatOfTheLastHundredCountedResults) {
    Board board;
    const auto t = target(1);
    board.put(t, 0, 0);
    std::mt19937_64 random(3);
    std::deque<bool> last;
    for (int i = 0; i < 1000; ++i) {
        const auto v = static_cast<Verdict>(random() % 3);
        board.record(t, v == Verdict::pass ? pass() : v == Verdict::fail ? failure() : unknown(), 0, 0);
        if (v != Verdict::unknown) last.push_back(v == Verdict::pass);
        if (last.size() > 100) last.pop_front();
        const double expected = last.empty()
                                    ? 1.0
                                    : static_cast<double>(std::count(last.begin(), last.end(), true)) /
                                          static_cast<double>(last.size());
        ASSERT_DOUBLE_EQ(board.read(1, 0)->ratio, expected) << i;
    }
}

TEST(Board, WhatIsCheckedInAnotherWayKeepsItsPast) {
    Board board;
    const auto t = target(1);
    board.put(t, 0, 0);
    board.record(t, pass(), 0, 0);
    EXPECT_EQ(board.put(target(1), 5, 5).put, Board::Put::same);

    Target other = *t;
    other.pulse.interval = std::chrono::seconds(1);
    const auto placed = board.put(std::make_shared<const Target>(other), 5, 5);
    EXPECT_EQ(placed.put, Board::Put::kept);
    EXPECT_FALSE(placed.lost_state);
    EXPECT_EQ(board.read(1, 0)->passes, 1U);
    EXPECT_EQ(board.read(1, 0)->state, State::up);
}

TEST(Board, AnotherAddressPulseOrServiceBeginsAnew) {
    const auto changes = std::vector<std::function<void(Target&)>>{
        [](Target& t) { t.address.port = 81; },
        [](Target& t) { t.pulse.type = "http"; },
        [](Target& t) { t.service = "other"; },
    };
    for (const auto& change : changes) {
        Board board;
        const auto t = target(1);
        board.put(t, 0, 0);
        board.record(t, pass(50), 0, 0);
        Target other = *t;
        change(other);
        const auto placed = board.put(std::make_shared<const Target>(other), 5, 6);
        EXPECT_EQ(placed.put, Board::Put::restarted);
        EXPECT_TRUE(placed.lost_state);
        const View v = *board.read(1, 9);
        EXPECT_EQ(v.state, State::unknown);
        EXPECT_EQ(v.passes, 0U);
        EXPECT_EQ(v.share, 100U);
        EXPECT_EQ(v.since, 5U);
        EXPECT_EQ(v.because, "");
        EXPECT_EQ(board.size(), 1U);
    }
}

TEST(Board, AResultOfWhatWasReplacedOrRemovedIsDropped) {
    Board board;
    const auto old = target(1);
    board.put(old, 0, 0);
    const auto now = target(1, "10.0.0.2:80");
    board.put(now, 0, 0);
    EXPECT_FALSE(board.record(old, failure(), 0, 0));
    EXPECT_FALSE(board.read(1, 0)->checked);
    EXPECT_TRUE(board.record(now, pass(), 0, 0));
    board.forget(1);
    EXPECT_FALSE(board.record(now, pass(), 0, 0));
    EXPECT_FALSE(board.read(1, 0));
    EXPECT_FALSE(board.has(1));
    EXPECT_EQ(board.size(), 0U);
}

}  // namespace
}  // namespace gorb::health
