// The server where the kernel refuses to watch a socket: no memory, or more than fs.epoll.max_user_watches.
#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>

#include "server_fixture.h"

namespace gorb::rest::server_watch_test {
namespace {

using namespace std::chrono_literals;

std::atomic<int> failing_accepts{0}, failing_watches{0};

// Whether one of so many failures is this one's.
bool fails(std::atomic<int>& left) {
    int now = left;
    while (now > 0 && !left.compare_exchange_weak(now, now - 1)) {
    }
    return now > 0;
}

class WatchTest : public test::ServerTest {
  protected:
    void TearDown() override {
        failing_accepts = failing_watches = 0;
        ServerTest::TearDown();
    }
};

TEST_F(WatchTest, AListenerThatCanNotBeWatchedIsTriedAgain) {
    start();
    failing_watches = 3;
    failing_accepts = 2;  // the second one with the descriptor in reserve: then it looks away
    const auto began = test::Clock::now();
    auto c = client();
    ASSERT_TRUE(c.get("/a"));
    EXPECT_EQ(c.reply().status, 200);
    EXPECT_EQ(failing_accepts, 0);
    EXPECT_EQ(failing_watches, 0);
    EXPECT_GE(since(began), 300ms) << "it does not spin";
}

TEST_F(WatchTest, AClientThatCanNotBeWatchedIsToldSo) {
    start();
    failing_watches = 1;
    auto c = client();
    const test::Reply reply = c.reply();  // it comes without being asked
    EXPECT_TRUE(test::is_error(reply, 503)) << reply.status;
    EXPECT_EQ(reply.header("retry-after"), "1");
    EXPECT_EQ(c.end(), test::Ended::finished);
    auto next = client();
    ASSERT_TRUE(next.get("/a"));
    EXPECT_EQ(next.reply().status, 200);
}

}  // namespace
}  // namespace gorb::rest::server_watch_test

// In place of libc's.
extern "C" __attribute__((visibility("default"))) int epoll_ctl(int epoll, int op, int fd,
                                                                epoll_event* event) noexcept {
    static const auto real = reinterpret_cast<decltype(&epoll_ctl)>(dlsym(RTLD_NEXT, "epoll_ctl"));
    if (op == EPOLL_CTL_ADD &&
        gorb::rest::server_watch_test::fails(gorb::rest::server_watch_test::failing_watches)) {
        errno = ENOSPC;
        return -1;
    }
    return real(epoll, op, fd, event);
}
extern "C" __attribute__((visibility("default"))) int accept4(int fd, sockaddr* from, socklen_t* size,
                                                              int flags) {
    static const auto real = reinterpret_cast<decltype(&accept4)>(dlsym(RTLD_NEXT, "accept4"));
    if (gorb::rest::server_watch_test::fails(gorb::rest::server_watch_test::failing_accepts)) {
        errno = ENOMEM;
        return -1;
    }
    return real(fd, from, size, flags);
}
