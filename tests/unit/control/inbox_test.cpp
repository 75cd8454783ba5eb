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

}  // namespace
}  // namespace gorb::control::inbox_test
