// The server when the process has no descriptor left. In a process of its own: the limit is the process's.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <vector>

#include "base/log.h"
#include "rest/server.h"
#include "server_client.h"

namespace gorb::rest::server_descriptors_test {
namespace {

using namespace std::chrono_literals;
using test::Client;
using test::Reply;

// In the child: a server that can open no more than what the test leaves it.
class DescriptorsTest : public testing::Test {
  protected:
    void SetUp() override {
        int ready[2], go[2];
        ASSERT_EQ(pipe(ready), 0);
        ASSERT_EQ(pipe(go), 0);
        child_ = fork();
        ASSERT_GE(child_, 0);
        if (child_ == 0) {
            alarm(60);
            close(ready[0]);
            close(go[1]);
            serve(ready[1], go[0]);
            _exit(0);
        }
        close(ready[1]);
        close(go[0]);
        go_ = go[1];
        uint16_t port = 0;
        ASSERT_EQ(read(ready[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
        close(ready[0]);
        address_ = {*base::Ip::parse("127.0.0.1"), port};
    }
    void TearDown() override {
        close(go_);
        int status = -1;
        ASSERT_EQ(waitpid(child_, &status, 0), child_);
        EXPECT_EQ(status, 0);
    }

    static constexpr int spare = 4;

    static void serve(int ready, int go) {
        Responder kept[spare];
        int count = 0;
        auto server =
            Server::listen({*base::Ip::parse("127.0.0.1"), 0}, {}, [&](auto request, auto responder) {
                if (request->path == "/later" && count < spare) {
                    kept[count++] = std::move(responder);
                } else {
                    responder({.body = "{}"});
                }
            });
        if (!server) _exit(1);
        (*server)->start();
        // UBSan opens a pipe when it sees a class for the first time: let it see them now, and none of the
        // logger's later.
        base::set_log_level(base::LogLevel::error);
        {
            Client warm((*server)->address());
            warm.get("/a");
            if (warm.reply().status != 200) _exit(4);
            warm.finish_sending();
            if (warm.end() != Client::Ended::finished) _exit(5);
        }
        // The limit is a number of a descriptor: the one behind those to spare.
        std::vector<int> probes(spare);
        for (int& fd : probes) fd = dup(ready);
        const auto behind = static_cast<rlim_t>(probes.back()) + 1;
        for (const int fd : probes) close(fd);
        const rlimit limit{behind, behind};
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(2);
        const uint16_t port = (*server)->address().port;
        if (write(ready, &port, sizeof port) != static_cast<ssize_t>(sizeof port)) _exit(3);
        char byte = 0;
        [[maybe_unused]] const auto end = read(go, &byte, 1);
        (*server)->stop(0ms);
    }

    pid_t child_ = -1;
    int go_ = -1;
    base::Endpoint address_;
};

TEST_F(DescriptorsTest, IdleConnectionMakesRoom) {
    std::vector<Client> clients;
    for (int i = 0; i < 3 * spare; ++i) {
        clients.emplace_back(address_);
        clients.back().get("/a");
        EXPECT_EQ(clients.back().reply().status, 200) << i;
    }
    EXPECT_EQ(clients.front().end(), Client::Ended::finished);
}

TEST_F(DescriptorsTest, NewcomerIsToldWhenNobodyIsIdle) {
    std::vector<Client> busy;
    for (int i = 0; i < spare; ++i) {
        busy.emplace_back(address_);
        busy.back().get("/later");
    }
    // Those are with the handler once somebody else is refused; before that one of them might still look
    // idle.
    int refused = 0;
    for (int i = 0; i < 20; ++i) {
        Client c(address_);
        const Reply reply = c.reply();  // it comes without being asked
        if (reply.status != 503) continue;
        ++refused;
        EXPECT_EQ(reply.header("retry-after"), "1");
        EXPECT_EQ(reply.body, "{\"error\":\"the daemon has no descriptor left for this connection\"}");
        EXPECT_EQ(c.end(), Client::Ended::finished);
    }
    EXPECT_EQ(refused, 20);
    busy.back().reset();  // and when there is room again
    for (int i = 0; i < 100; ++i) {
        Client c(address_);
        c.get("/a");
        if (c.reply().status == 200) return;
    }
    FAIL() << "nobody is served after a descriptor has become free";
}

}  // namespace
}  // namespace gorb::rest::server_descriptors_test
