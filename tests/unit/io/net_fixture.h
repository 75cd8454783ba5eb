// A loopback listener, and what a test of connections wants to know of this process.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "base/address.h"
#include "io/loop.h"
#include "io/socket.h"

namespace gorb::io {

inline base::Ip ip_of(const char* text) {
    return base::Ip::parse(text).value();
}

class Listener {
  public:
    explicit Listener(const char* address = "127.0.0.1", int backlog = 128) : ip_(ip_of(address)) {
        fd_ = socket(ip_.af(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const SocketAddress any({ip_, 0}, 0);
        EXPECT_EQ(bind(fd_, any.get(), any.size), 0);
        if (backlog >= 0) {
            EXPECT_EQ(listen(fd_, backlog), 0);
        }
        sockaddr_storage got{};
        socklen_t size = sizeof got;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&got), &size);
        port_ = ntohs(ip_.v4() ? reinterpret_cast<sockaddr_in*>(&got)->sin_port
                               : reinterpret_cast<sockaddr_in6*>(&got)->sin6_port);
    }
    ~Listener() {
        for (const int fd : fillers_) close(fd);
        close(fd_);
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    int fd() const { return fd_; }
    uint16_t port() const { return port_; }
    base::Endpoint endpoint() const { return {ip_, port_}; }
    // -1 where nobody waits.
    int accept() const { return accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }

    // Of one made with a backlog of 0: fills its queue, so that it answers nobody any more.
    void go_silent() {
        const SocketAddress to(endpoint(), 0);
        for (int i = 0; i < 4; ++i) {
            fillers_.push_back(socket(ip_.af(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            static_cast<void>(connect(fillers_.back(), to.get(), to.size));
        }
        pollfd first{fillers_[0], POLLOUT, 0};
        poll(&first, 1, 10'000);
    }

  private:
    base::Ip ip_;
    int fd_ = -1;
    uint16_t port_ = 0;
    std::vector<int> fillers_;
};

// A port of loopback that nobody listens on, and nobody can as long as this lives.
struct ClosedPort : Listener {
    explicit ClosedPort(const char* address = "127.0.0.1") : Listener(address, -1) {}
};

// Turns the loop until `done`, for a minute at most.
inline bool turn_until(Loop& loop, const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < until) {
        if (!loop.step()) poll(nullptr, 0, 1);
    }
    return done();
}

inline size_t open_descriptors() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

// TCP sockets with `port` at either end: "state local remote" as in /proc/net/tcp, in hex.
inline std::vector<std::string> kernel_sockets(uint16_t port) {
    char wanted[8];
    std::snprintf(wanted, sizeof wanted, ":%04X", port);
    std::vector<std::string> found;
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream lines(table);
        std::string line;
        std::getline(lines, line);
        while (std::getline(lines, line)) {
            std::istringstream words(line);
            std::string number, local, remote, state;
            words >> number >> local >> remote >> state;
            if (local.ends_with(wanted) || remote.ends_with(wanted))
                found.push_back(state.append(" ").append(local).append(" ").append(remote));
        }
    }
    return found;
}

inline size_t rss_kib() {
    std::ifstream status("/proc/self/status");
    std::string word;
    size_t value = 0;
    while (status >> word) {
        if (word == "VmRSS:") status >> value;
    }
    return value;
}

}  // namespace gorb::io
