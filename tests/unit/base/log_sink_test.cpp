#include "base/log_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gorb::base::log_sink_test {
namespace {

using std::chrono::milliseconds;

std::string lost_line(uint64_t lost) {
    return "lost " + std::to_string(lost) + "\n";
}

std::string numbered(int i, size_t size = 100) {
    std::string line = std::to_string(i) + " ";
    line.resize(size - 1, 'x');
    return line + "\n";
}

enum class Kind { pipe, socket, terminal, locked_terminal };

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::pipe:
            return "Pipe";
        case Kind::socket:
            return "Socket";
        case Kind::terminal:
            return "Terminal";
        case Kind::locked_terminal:
            break;
    }
    return "TerminalThatCanNotBeOpened";
}

// A limit of this process that is lower for a while.
class Limit {
  public:
    Limit(int which, rlim_t lower, bool really = true) : which_(which) {
        EXPECT_EQ(getrlimit(which_, &before_), 0);
        rlimit now = before_;
        if (really) now.rlim_cur = lower;
        EXPECT_EQ(setrlimit(which_, &now), 0);
    }
    ~Limit() { EXPECT_EQ(setrlimit(which_, &before_), 0); }
    Limit(const Limit&) = delete;
    Limit& operator=(const Limit&) = delete;

  private:
    int which_;
    rlimit before_{};
};

// Two ends of something that is full after some thousand bytes, and whose reader has stopped.
class LogSinkTest : public testing::TestWithParam<Kind> {
  protected:
    LogSinkTest() {
        alarm(60);  // who waits for a reader does not wait for ever
        if (GetParam() == Kind::pipe) {
            EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0);
            EXPECT_GT(fcntl(ends_[1], F_SETPIPE_SZ, 4096), 0);
        } else if (terminal()) {
            EXPECT_EQ(openpty(&ends_[0], &ends_[1], nullptr, nullptr, nullptr), 0);
        } else {
            EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0);
            const int small = 4096;
            EXPECT_EQ(setsockopt(ends_[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        }
    }
    ~LogSinkTest() override {
        alarm(0);
        close(ends_[1]);
        if (ends_[0] >= 0) close(ends_[0]);
    }
    static bool terminal() { return GetParam() == Kind::terminal || GetParam() == Kind::locked_terminal; }
    int in() const { return ends_[1]; }
    LogSink sink_of(size_t most = size_t{1} << 20) const {
        const Limit no_descriptor(RLIMIT_NOFILE, 0, GetParam() == Kind::locked_terminal);
        return LogSink(in(), &lost_line, most);
    }
    void hang_up() { close(std::exchange(ends_[0], -1)); }
    // So many lines; fewer when nothing comes for a long time.
    std::vector<std::string> read(size_t lines) {
        std::vector<std::string> all;
        while (all.size() < lines) {
            const size_t end = text_.find('\n');
            if (end != std::string::npos) {
                all.push_back(text_.substr(0, end));
                text_.erase(0, end + 1);
                continue;
            }
            char bytes[4096];
            alarm(60);
            const ssize_t n = ::read(ends_[0], bytes, sizeof bytes);
            if (n <= 0) break;
            std::remove_copy(bytes, bytes + n, std::back_inserter(text_), '\r');  // which a terminal adds
        }
        return all;
    }

  private:
    int ends_[2] = {-1, -1};
    std::string text_;
};

TEST_P(LogSinkTest, WhatThereIsRoomForIsThereAtOnce) {
    LogSink sink = sink_of();
    sink.write("a\n");
    sink.write("b\n");
    EXPECT_EQ(read(2), (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(sink.flush(milliseconds(0)));
}

TEST_P(LogSinkTest, AReaderThatStopsStopsNobodyAndMissesNothing) {
    LogSink sink = sink_of();
    for (int i = 0; i < 2000; ++i) sink.write(numbered(i));  // 200 kB
    EXPECT_FALSE(sink.flush(milliseconds(0)));
    EXPECT_EQ(fcntl(in(), F_GETFL) & O_NONBLOCK, 0) << "it is others' too";
    const auto lines = read(2000);
    ASSERT_EQ(lines.size(), 2000U);
    for (int i = 0; i < 2000; ++i) EXPECT_EQ(lines[static_cast<size_t>(i)] + "\n", numbered(i));
    EXPECT_EQ(sink.lost(), 0U);
    EXPECT_TRUE(sink.flush(milliseconds(60'000)));
    sink.write("on it goes\n");
    EXPECT_EQ(read(1).at(0), "on it goes");
}

TEST_P(LogSinkTest, WhatIsTooMuchIsLostAndCounted) {
    LogSink sink = sink_of(50'000);
    for (int i = 0; i < 2000; ++i) sink.write(numbered(i));
    const uint64_t lost = sink.lost();
    EXPECT_GT(lost, terminal() ? 0U : 1000U);
    EXPECT_LT(lost, 1600U);
    if (terminal()) {
        // It makes room when the kernel gets to it, also between two lines: which ones are lost is not known.
        uint64_t kept = 0, told = 0;
        while (kept + told < 2000) {
            const auto line = read(1);
            ASSERT_EQ(line.size(), 1U) << kept << " kept, " << told << " told of";
            uint64_t here = 0;
            while (here <= lost && line[0] + "\n" != lost_line(here)) ++here;
            if (here > lost) ++kept;
            if (here <= lost) told += here;
        }
        EXPECT_EQ(told, lost);
        return;
    }
    const auto kept = read(2000 - lost);
    ASSERT_EQ(kept.size(), 2000 - lost);
    for (size_t i = 0; i < kept.size(); ++i)
        EXPECT_EQ(kept[i] + "\n", numbered(static_cast<int>(i)));  // the first ones: how it began is there
    EXPECT_EQ(read(1).at(0) + "\n", lost_line(lost));
    sink.write("on it goes\n");
    EXPECT_EQ(read(1).at(0), "on it goes");
    EXPECT_EQ(sink.lost(), lost);
}

TEST_P(LogSinkTest, ALineThatIsLongerThanAllRoomIsWhole) {
    LogSink sink = sink_of();
    const std::string line = numbered(1, 300'000);
    sink.write(line);
    sink.write("next\n");
    const auto lines = read(2);
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0] + "\n", line);
    EXPECT_EQ(lines[1], "next");
}

TEST_P(LogSinkTest, LinesOfManyThreadsDoNotMix) {
    LogSink sink = sink_of();
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&sink, t] {
            for (int i = 0; i < 500; ++i) sink.write(numbered(1000 * t + i));
        });
    }
    std::vector<int> next(4, 0);
    for (const std::string& line : read(2000)) {
        const auto t = static_cast<size_t>(std::stoi(line) / 1000);
        ASSERT_EQ(line + "\n", numbered(1000 * static_cast<int>(t) + next.at(t)++));
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(next, std::vector<int>(4, 500));
}

TEST_P(LogSinkTest, NobodyWaitsForAReaderThatIsGone) {
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    LogSink sink = sink_of();
    for (int i = 0; i < 1000; ++i) sink.write(numbered(i));
    hang_up();
    EXPECT_TRUE(sink.flush(milliseconds(60'000)));
    sink.write("to nobody\n");
    EXPECT_TRUE(sink.flush(milliseconds(60'000)));
    EXPECT_GT(sink.lost(), 0U);
    std::signal(SIGPIPE, before);
}

TEST_P(LogSinkTest, AFlushWaitsNoLongerThanItWasTold) {
    LogSink sink = sink_of();
    for (int i = 0; i < 1000; ++i) sink.write(numbered(i));
    EXPECT_FALSE(sink.flush(milliseconds(20)));
}

TEST_P(LogSinkTest, AChildWritesItsOwnLinesAndNoneOfItsParents) {
    LogSink sink = sink_of();
    for (int i = 0; i < 1000; ++i) sink.write(numbered(i));
    sink.before_fork();
    const pid_t child = fork();
    if (child == 0) {
        sink.after_fork_in_child();
        sink.write("from the child\n");
        _exit(sink.flush(milliseconds(60'000)) ? 0 : 1);
    }
    sink.after_fork_in_parent();
    std::string all, of_parent;
    for (const std::string& line : read(1001)) all += line + "\n";
    for (int i = 0; i < 1000; ++i) of_parent += numbered(i);
    const std::string of_child = "from the child\n";
    if (GetParam() == Kind::locked_terminal) {
        // Byte by byte: it may stand anywhere.
        std::string both = of_parent + of_child;
        std::sort(both.begin(), both.end());
        std::sort(all.begin(), all.end());
        EXPECT_EQ(all, both);
    } else {
        // It may stand in the middle of a line of the parent's, of which a part had been written.
        const size_t where = all.find(of_child);
        ASSERT_NE(where, std::string::npos);
        all.erase(where, of_child.size());
        EXPECT_EQ(all, of_parent);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

INSTANTIATE_TEST_SUITE_P(Each, LogSinkTest,
                         testing::Values(Kind::pipe, Kind::socket, Kind::terminal, Kind::locked_terminal),
                         [](const auto& end) { return std::string(name_of(end.param)); });

// Of a file, as large as it may be.
TEST(LogSinkFileTest, WhatAFullDiskDoesNotTakeIsCountedAndToldAndNoOtherLineIsGluedToIt) {
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    const int file = memfd_create("log", MFD_CLOEXEC);
    ASSERT_GE(file, 0);
    LogSink sink(file, &lost_line);
    sink.write(numbered(0));
    sink.write(numbered(1));
    {
        const Limit full(RLIMIT_FSIZE, 250);
        sink.write(numbered(2));
        sink.write(numbered(3));
    }
    EXPECT_EQ(sink.lost(), 2U);
    sink.write(numbered(4));
    std::string wanted =
        numbered(0) + numbered(1) + numbered(2).substr(0, 50) + "\n" + lost_line(2) + numbered(4);
    {
        const Limit full(RLIMIT_FSIZE, wanted.size());
        sink.write(numbered(5));
        EXPECT_TRUE(sink.flush(milliseconds(60'000)));
    }
    EXPECT_EQ(sink.lost(), 3U);
    EXPECT_TRUE(sink.flush(milliseconds(0)));
    wanted += lost_line(1);
    std::string found(2 * wanted.size(), '\0');
    found.resize(static_cast<size_t>(std::max<ssize_t>(pread(file, found.data(), found.size(), 0), 0)));
    EXPECT_EQ(found, wanted);
    close(file);
    std::signal(SIGXFSZ, before);
}

}  // namespace
}  // namespace gorb::base::log_sink_test
