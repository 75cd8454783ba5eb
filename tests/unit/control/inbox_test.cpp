// What the control thread takes, and when.
#include "control/inbox.h"

#include <gtest/gtest.h>

namespace gorb::control::inbox_test {
namespace {

using Steady = std::chrono::steady_clock;

constexpr uint64_t now = 1'000'000'000, a_moment = now + 1'000'000, long_after = now + 20'000'000'000;

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
    EXPECT_EQ(inbox.take(long_after, now).health.size(), Inbox::wave);
    size_t parts = 0, taken = 0;
    for (uint64_t turn = 0; taken < 10 * Inbox::wave; ++turn) {
        if (turn < 10) tell(inbox, 1000 * (turn + 1), Inbox::wave);
        // All that is told within the pause is one part.
        const size_t part = inbox.take(turn < 9 ? a_moment : long_after, now).health.size();
        taken += part;
        parts += part > 0 ? 1 : 0;
    }
    EXPECT_EQ(taken, 10 * Inbox::wave);
    EXPECT_LE(parts, 1 + static_cast<size_t>((Steady::now() - begin) / Inbox::pause));
}

TEST(Inbox, DoesNotHoldUpWhatIsNoWave) {
    Inbox inbox;
    const auto begin = Steady::now();
    size_t n = 0;
    for (uint64_t turn = 0; turn < 100 && Steady::now() - begin < Inbox::pause / 2; ++turn) {
        tell(inbox, 1000 * turn, Inbox::wave - 1);
        n = inbox.take(a_moment, now).health.size();
        ASSERT_EQ(n, Inbox::wave - 1);
    }
    EXPECT_GT(n, 0U);
}

TEST(Inbox, GivesOtherThingsAtOnceWhileAWaveIsGathered) {
    Inbox inbox;
    tell(inbox, 0, Inbox::wave);
    inbox.take(long_after, now);
    tell(inbox, 1000, 3);
    const auto begin = Steady::now();
    ASSERT_TRUE(inbox.put([] {}));
    const Inbox::Content question = inbox.take(long_after, now);
    EXPECT_EQ(question.questions.size(), 1U);
    if (Steady::now() - begin < Inbox::pause / 2) {
        EXPECT_EQ(question.health.size(), 0U);
        EXPECT_EQ(inbox.take(long_after, now).health.size(), 3U);
    }
}

TEST(Inbox, GivesAllThatItHasOnceItIsClosed) {
    Inbox inbox;
    tell(inbox, 0, Inbox::wave);
    inbox.take(long_after, now);
    tell(inbox, 1000, 3);
    inbox.close();
    const Inbox::Content last = inbox.take(long_after, now);
    EXPECT_TRUE(last.closed);
    EXPECT_EQ(last.health.size(), 3U);
}

}  // namespace
}  // namespace gorb::control::inbox_test
