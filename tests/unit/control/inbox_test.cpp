// What the control thread takes, and when.
#include "control/inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace gorb::control::inbox_test {
namespace {

using Steady = std::chrono::steady_clock;

constexpr uint64_t now = 1'000'000'000, a_moment = now + 1'000'000, long_after = now + 20'000'000'000;

// A turn that takes what there is, until that time at the latest, and is over.
Inbox::Content a_turn(Inbox& inbox, uint64_t until) {
    inbox.end_turn(until, now, false);
    auto content = inbox.take();
    inbox.end_turn(0, now, false);
    return content ? std::move(*content) : Inbox::Content();
}

void tell(Inbox& inbox, uint64_t first, size_t n) {
    std::vector<health::Changed> changes;
    for (size_t i = 0; i < n; ++i)
        changes.push_back({model::BackendId(first + i), health::State::down, 0, 1, 1, "told"});
    inbox.put(changes);
}

TEST(Inbox, GivesTheHealthOfAWaveInLargeParts) {
    Inbox inbox;
    tell(inbox, 0, Inbox::wave);
    const auto begin = Steady::now();
    EXPECT_EQ(a_turn(inbox, long_after).health.size(), Inbox::wave);
    size_t parts = 0, taken = 0;
    for (uint64_t turn = 0; taken < 10 * Inbox::wave; ++turn) {
        if (turn < 10) tell(inbox, 1000 * (turn + 1), Inbox::wave);
        // All that is told within the pause is one part.
        const size_t part = a_turn(inbox, turn < 9 ? a_moment : long_after).health.size();
        taken += part;
        parts += part > 0 ? 1 : 0;
    }
    EXPECT_EQ(taken, 10 * Inbox::wave);
    EXPECT_LE(parts, 1 + static_cast<size_t>((Steady::now() - begin) / Inbox::pause));
}

TEST(Inbox, TakesWhatWasToldOfHealthBeforeItsEndAndNothingThatIsToldAfterIt) {
    Inbox inbox;
    tell(inbox, 1, 1);
    inbox.close_to_health();
    tell(inbox, 2, 1);
    inbox.put(health::Suspicion{true, 1, "most fail"});
    const Inbox::Content content = a_turn(inbox, a_moment);
    EXPECT_EQ(content.health.size(), 1U);
    EXPECT_TRUE(content.health.contains(1));
    EXPECT_FALSE(content.suspicion);
}

TEST(Inbox, DoesNotHoldUpWhatIsNoWave) {
    Inbox inbox;
    const auto begin = Steady::now();
    size_t n = 0;
    for (uint64_t turn = 0; turn < 100 && Steady::now() - begin < Inbox::pause / 2; ++turn) {
        tell(inbox, 1000 * turn, Inbox::wave - 1);
        n = a_turn(inbox, a_moment).health.size();
        ASSERT_EQ(n, Inbox::wave - 1);
    }
    EXPECT_GT(n, 0U);
}

TEST(Inbox, GivesOtherThingsAtOnceWhileAWaveIsGathered) {
    Inbox inbox;
    tell(inbox, 0, Inbox::wave);
    a_turn(inbox, long_after);
    tell(inbox, 1000, 3);
    const auto begin = Steady::now();
    ASSERT_TRUE(inbox.put([] {}));
    const Inbox::Content question = a_turn(inbox, long_after);
    EXPECT_EQ(question.questions.size(), 1U);
    if (Steady::now() - begin < Inbox::pause / 2) {
        EXPECT_EQ(question.health.size(), 0U);
        EXPECT_EQ(a_turn(inbox, long_after).health.size(), 3U);
    }
}

TEST(Inbox, GivesAllThatItHasOnceItIsClosed) {
    Inbox inbox;
    tell(inbox, 0, Inbox::wave);
    a_turn(inbox, long_after);
    tell(inbox, 1000, 3);
    inbox.close();
    const Inbox::Content last = a_turn(inbox, long_after);
    EXPECT_TRUE(last.closed);
    EXPECT_EQ(last.health.size(), 3U);
}

// ---- several threads take

TEST(Inbox, NobodyTakesDuringATurn) {
    Inbox inbox;
    ASSERT_TRUE(inbox.put([] {}));
    ASSERT_TRUE(inbox.take());
    ASSERT_TRUE(inbox.put([] {}));
    std::atomic<bool> over{false}, early{false};
    std::thread other([&] {
        const auto content = inbox.take();
        early = !over;
        EXPECT_TRUE(content && content->questions.size() == 1);
        inbox.end_turn(0, now, false);
    });
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    over = true;
    inbox.end_turn(0, now, true);
    other.join();
    EXPECT_FALSE(early);
}

TEST(Inbox, WhoLeavesHasAnotherTakeWhatCameInMeanwhile) {
    Inbox inbox;
    ASSERT_TRUE(inbox.put([] {}));
    ASSERT_TRUE(inbox.take());
    std::thread other([&] {
        const auto content = inbox.take();
        EXPECT_TRUE(content && content->replies.size() == 1);
    });
    inbox.reply([] {});
    inbox.end_turn(0, now, true);
    other.join();  // and does not wait for us
}

TEST(Inbox, WhoLeavesHasAnotherLookAtTheTime) {
    Inbox inbox;
    ASSERT_TRUE(inbox.put([] {}));
    ASSERT_TRUE(inbox.take());
    std::thread other([&] {
        const auto content = inbox.take();
        EXPECT_TRUE(content && content->questions.empty());
    });
    inbox.end_turn(a_moment, now, true);
    other.join();
}

TEST(Inbox, GivesATakerWhatItPutInItself) {
    Inbox inbox;
    ASSERT_TRUE(inbox.put([] {}));
    ASSERT_TRUE(inbox.take());
    inbox.end_turn(0, now, true);
    EXPECT_FALSE(inbox.filled());
    inbox.reply([] {});
    EXPECT_TRUE(inbox.filled());
    EXPECT_EQ(inbox.take()->replies.size(), 1U);
}

TEST(Inbox, EndsForAllThatWait) {
    Inbox inbox;
    std::vector<std::thread> waiting;
    waiting.reserve(3);
    for (int i = 0; i < 3; ++i) waiting.emplace_back([&] { EXPECT_FALSE(inbox.take()); });
    inbox.end();
    for (std::thread& one : waiting) one.join();
}

// Nothing is left in, and no turn overlaps another, however those who take and those who put meet.
TEST(Inbox, GivesEverythingOnce) {
    Inbox inbox;
    constexpr int each = 20'000;
    std::atomic<int> in_turn{0}, overlaps{0};
    int taken = 0;  // under the turns
    std::vector<std::thread> takers, putters;
    for (int t = 0; t < 2; ++t) {
        takers.emplace_back([&] {
            while (auto content = inbox.take()) {
                if (++in_turn > 1) ++overlaps;
                for (const auto& question : content->questions) question();
                if (content->closed) inbox.end();
                const bool leaves = taken % 3 == 0;
                --in_turn;
                inbox.end_turn(0, now, leaves);
            }
        });
    }
    for (int p = 0; p < 3; ++p) {
        putters.emplace_back([&] {
            for (int i = 0; i < each; ++i) ASSERT_TRUE(inbox.put([&taken] { ++taken; }));
        });
    }
    for (std::thread& putter : putters) putter.join();
    inbox.close();
    for (std::thread& taker : takers) taker.join();
    EXPECT_EQ(taken, 3 * each);
    EXPECT_EQ(overlaps, 0);
}

Submitted change() {
    return {DeleteBackend{"web", "b1", {}, base::Nanos(0)}, [](const auto&) {}};
}

// Somebody who waits in take(), as a thread of the control does. From when it is made it may take anything.
struct Taker {
    explicit Taker(Inbox& from)
        : inbox(from), thread([this] {
              while (auto content = inbox.take()) {
                  replies += content->replies.size();
                  taken += content->changes.size();
                  inbox.end_turn(0, now, false);
              }
          }) {}
    Taker(const Taker&) = delete;
    Taker& operator=(const Taker&) = delete;
    ~Taker() {
        inbox.end();
        thread.join();
    }
    static void wait_for(const std::atomic<size_t>& count, size_t n) {
        while (count < n) std::this_thread::yield();
    }
    Inbox& inbox;
    std::atomic<size_t> taken{0}, replies{0};
    std::thread thread;
};

TEST(Inbox, LeavesAFewChangesToTheOneThatHelpsAndWhatComesOfThem) {
    Inbox inbox;
    for (size_t i = 1; i <= Inbox::most_own; ++i) {
        EXPECT_TRUE(inbox.put_own(change()));
        EXPECT_EQ(inbox.own(), i);
    }
    auto content = inbox.take_own();
    ASSERT_TRUE(content);
    EXPECT_EQ(content->changes.size(), Inbox::most_own);
    EXPECT_EQ(inbox.own(), 0U);
    const Taker taker(inbox);
    inbox.end_turn(0, now, true);
    EXPECT_FALSE(inbox.take_more());
    inbox.reply([] {});
    content = inbox.take_more();
    if (content) {  // else the other one was awake
        EXPECT_EQ(content->replies.size(), 1U);
        inbox.end_turn(0, now, true);
    }
    inbox.leave();
    Taker::wait_for(taker.replies, content ? 0 : 1);
    EXPECT_EQ(taker.taken, 0U);
}

TEST(Inbox, LeavesNoMoreThanAFewChangesToTheOneThatHelps) {
    Inbox inbox;
    for (size_t i = 0; i <= Inbox::most_own; ++i) EXPECT_TRUE(inbox.put_own(change()));
    EXPECT_EQ(inbox.own(), 0U);
    EXPECT_FALSE(inbox.take_own());
    const Taker taker(inbox);
    Taker::wait_for(taker.taken, Inbox::most_own + 1);
}

TEST(Inbox, LeavesNothingToTheOneThatHelpsWhenAnythingElseComes) {
    Inbox inbox;
    EXPECT_TRUE(inbox.put_own(change()));
    tell(inbox, 1, 1);
    EXPECT_EQ(inbox.own(), 0U);
    EXPECT_FALSE(inbox.take_own());
    const Taker taker(inbox);
    Taker::wait_for(taker.taken, 1);
    EXPECT_TRUE(inbox.put_own(change()));
    inbox.close();
    Taker::wait_for(taker.taken, 2);
    EXPECT_FALSE(inbox.put_own(change()));
}

// Which may be of a change of very many: that is for those who do not give way.
TEST(Inbox, GivesTheOneThatHelpsNothingThatMayComeOfOthersChanges) {
    Inbox inbox;
    EXPECT_TRUE(inbox.put_own(change()));
    ASSERT_TRUE(inbox.take_own());
    const Taker taker(inbox);
    std::thread other([&] { EXPECT_TRUE(inbox.put(change())); });
    other.join();
    inbox.end_turn(0, now, true);
    Taker::wait_for(taker.taken, 1);
    inbox.reply([] {});
    EXPECT_FALSE(inbox.take_more());
    inbox.leave();
    Taker::wait_for(taker.replies, 1);
    // Nor what waits already when it comes.
    EXPECT_TRUE(inbox.put(change()));
    Taker::wait_for(taker.taken, 2);
}

TEST(Inbox, WakesForWhatTheOneThatHelpsHasPutInItself) {
    Inbox inbox;
    EXPECT_TRUE(inbox.put_own(change()));
    ASSERT_TRUE(inbox.take_own());
    const Taker taker(inbox);
    inbox.end_turn(0, now, true);
    EXPECT_TRUE(inbox.put(change()));
    EXPECT_FALSE(inbox.take_more());
    inbox.leave();
    Taker::wait_for(taker.taken, 1);
}

}  // namespace
}  // namespace gorb::control::inbox_test
