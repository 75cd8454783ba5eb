#include "base/log.h"

#include <Poco/Logger.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>
#include <vector>

namespace gorb::base::log_test {
namespace {

using testing::MatchesRegex;

std::string line(std::string_view message, std::initializer_list<LogField> fields = {}) {
    return log_line(LogLevel::info, message, {fields.begin(), fields.size()});
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

class Log : public testing::Test {
  protected:
    void TearDown() override { set_log_level(LogLevel::info); }
};

TEST_F(Log, ALineIsLogfmt) {
    EXPECT_EQ(line("virtual service created", {{"service", "web"}, {"vip", "10.0.0.1:80/tcp"}}),
              "info virtual service created service=web vip=10.0.0.1:80/tcp");
}

TEST_F(Log, ValuesThatNeedQuotesHaveThem) {
    EXPECT_EQ(
        line("m", {{"a", "two words"}, {"b", ""}, {"c", "say \"x\""}, {"d", "k=v"}, {"e", "back\\slash"}}),
        R"(info m a="two words" b="" c="say \"x\"" d="k=v" e="back\\slash")");
}

TEST_F(Log, WhateverIsInAMessageItStaysOneLine) {
    std::string nasty;
    for (int c = 0; c < 256; ++c) nasty += static_cast<char>(c);
    const std::string text = line(nasty, {{nasty, nasty}});
    EXPECT_TRUE(std::none_of(text.begin(), text.end(),
                             [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
    EXPECT_EQ(line("a\nb\x1b[0m", {{"v", "c\r\n\td"}}), "info a\\nb\\x1b[0m v=\"c\\r\\n\\td\"");
}

TEST_F(Log, LevelsAreReadAndWritten) {
    for (const char* text : {"error", "warning", "info", "debug"})
        EXPECT_EQ(log_level_text(*parse_log_level(text)), text);
    for (const char* text : {"", "INFO", "notice", "3"}) {
        const auto level = parse_log_level(text);
        ASSERT_FALSE(level) << text;
        EXPECT_NE(level.error().sentence.find("error, warning, info and debug"), std::string::npos);
    }
}

TEST_F(Log, TheLevelDecidesWhatIsWritten) {
    testing::internal::CaptureStderr();
    log_debug("not wanted");
    set_log_level(LogLevel::debug);
    log_debug("wanted");
    set_log_level(LogLevel::error);
    log_warning("not wanted");
    log_error("failed", {{"why", "x"}});
    const auto lines = lines_of(testing::internal::GetCapturedStderr());
    ASSERT_EQ(lines.size(), 2U);
    const std::string stamp = "....-..-..T..:..:..[.]...Z ";
    EXPECT_THAT(lines[0], MatchesRegex(stamp + "debug wanted"));
    EXPECT_THAT(lines[1], MatchesRegex(stamp + "error failed why=x"));
}

TEST_F(Log, WhatPocoLogsComesInTheSameForm) {
    testing::internal::CaptureStderr();
    log_info("first");  // the channel stands
    Poco::Logger::get("TCPServer").warning("two\nlines");
    Poco::Logger::get("TCPServer").debug("not wanted");
    const auto lines = lines_of(testing::internal::GetCapturedStderr());
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[1].substr(lines[1].find(' ') + 1), "warning two\\nlines source=TCPServer");
}

TEST_F(Log, LinesOfSeveralThreadsDoNotMix) {
    testing::internal::CaptureStderr();
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([t] {
            for (int i = 0; i < 200; ++i)
                log_info(std::string(300, static_cast<char>('a' + t)), {{"i", std::to_string(i)}});
        });
    }
    for (auto& thread : threads) thread.join();
    const auto lines = lines_of(testing::internal::GetCapturedStderr());
    ASSERT_EQ(lines.size(), 800U);
    std::set<std::string> different, whole;
    for (const std::string& l : lines) different.insert(l.substr(l.find(' ') + 1));
    for (int t = 0; t < 4; ++t) {
        for (int i = 0; i < 200; ++i) {
            whole.insert("info " + std::string(300, static_cast<char>('a' + t)) + " i=" + std::to_string(i));
        }
    }
    EXPECT_EQ(different, whole);
}

// A plugin is tried in a child, whose parent's other threads may be writing at that moment.
TEST_F(Log, AChildLogsWhateverItsParentWasDoing) {
    testing::internal::CaptureStderr();
    log_info("the first line makes what all of them need");
    std::atomic<bool> ending{false};
    std::thread busy([&] {
        while (!ending) log_info("busy");
    });
    int failed = 0;
    for (int i = 0; i < 50; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(20);
            log_info("from the child");
            _exit(0);
        }
        int status = -1;
        if (waitpid(child, &status, 0) != child || status != 0) ++failed;
        if (failed > 0) break;
    }
    ending = true;
    busy.join();
    const auto lines = lines_of(testing::internal::GetCapturedStderr());
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(
        std::ranges::count_if(lines, [](const std::string& l) { return l.ends_with("from the child"); }), 50);
}

// Whether stderr is the journal is found out once, so each case is a process of its own.
void log_to_journal(const char* path, bool same_stream) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct stat st {};
    if (fd < 0 || fstat(fd, &st) != 0 || dup2(fd, STDERR_FILENO) < 0) _exit(3);
    const std::string stream =
        std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino + (same_stream ? 0 : 1));
    setenv("JOURNAL_STREAM", stream.c_str(), 1);
    set_log_level(LogLevel::debug);
    log_error("e");
    log_warning("w");
    log_info("i");
    log_debug("d");
    _exit(0);
}

std::vector<std::string> journal_lines(bool same_stream) {
    // The child runs the test from its beginning, so it learns the file's name from the environment.
    constexpr const char* variable = "GORB_LOG_TEST_FILE";
    std::string path = testing::TempDir() + "gorb_log_test_XXXXXX";
    if (const char* inherited = getenv(variable)) {
        path = inherited;
    } else {
        close(mkstemp(path.data()));
        setenv(variable, path.c_str(), 1);
    }
    EXPECT_EXIT(log_to_journal(path.c_str(), same_stream), testing::ExitedWithCode(0), "");
    unsetenv(variable);
    std::ifstream in(path);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    unlink(path.c_str());
    return lines_of(text);
}

TEST(LogDeathTest, TheJournalGetsPrioritiesInsteadOfStamps) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EQ(journal_lines(true),
              (std::vector<std::string>{"<3>error e", "<4>warning w", "<6>info i", "<7>debug d"}));
}

TEST(LogDeathTest, AnInheritedJournalStreamOfAnotherFileCountsForNothing) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto lines = journal_lines(false);
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[0].substr(lines[0].find(' ')), " error e");
    EXPECT_EQ(lines[0].front(), '2');
}

}  // namespace
}  // namespace gorb::base::log_test
