#include "health/text.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace gorb::health::text_test {
namespace {

TEST(Text, IsWhatItWasMadeOfWhateverItsLengthAndItsCharacters) {
    std::string words;
    for (int size = 0; size < 40; ++size) {
        const Text made(words);
        EXPECT_EQ(made.view(), words);
        EXPECT_EQ(made.empty(), words.empty());
        const Text copy = made;  // NOLINT(performance-unnecessary-copy-initialization)
        EXPECT_EQ(copy.view(), words);
        words.push_back(static_cast<char>(255 - size * 7));  // also of bytes with the highest bit, and of NUL
        words[static_cast<size_t>(size) / 2] = size % 3 == 0 ? '\0' : words[static_cast<size_t>(size) / 2];
    }
}

TEST(Text, CopiesMovesAndAssignmentsKeepTheWordsApart) {
    const std::vector<std::string> all = {"", "a", "web-001", "web-0001", "connection refused"};
    for (const std::string& from : all) {
        for (const std::string& to : all) {
            Text a(from), b(to);
            a = b;
            EXPECT_EQ(a.view(), to);
            EXPECT_EQ(b.view(), to);
            b = Text(from);
            EXPECT_EQ(a.view(), to);
            EXPECT_EQ(b.view(), from);
            Text c(std::move(a));
            EXPECT_EQ(c.view(), to);
            EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
            a = c;
            EXPECT_EQ(a.view(), to);
            Text& same = a;
            a = same;
            EXPECT_EQ(a.view(), to);
        }
    }
}

TEST(Text, CopiesShareTheirCharactersAndOutliveEachOther) {
    auto a = std::make_unique<Text>("connection refused");
    Text b = *a;
    EXPECT_EQ(a->view().data(), b.view().data());
    a = nullptr;
    EXPECT_EQ(b.view(), "connection refused");
}

TEST(Text, ThoseOfLateAreShared) {
    Texts texts;
    const Text a = texts.of("no answer in time");
    EXPECT_EQ(texts.of("no answer in time").view().data(), a.view().data());
    for (int i = 0; i < 16; ++i) texts.of(std::to_string(i));
    EXPECT_NE(texts.of("no answer in time").view().data(), a.view().data());
    EXPECT_TRUE(texts.of("").empty());
    EXPECT_EQ(texts.of("ok").view(), "ok");
}

TEST(Text, MayBeCopiedByManyThreads) {
    const Text text("connection refused");
    std::vector<std::thread> threads;
    threads.reserve(3);
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 10'000; ++i) {
                const Text copy = text;  // NOLINT: that is the point
                ASSERT_EQ(copy.view(), "connection refused");
            }
        });
    }
    for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace gorb::health::text_test
