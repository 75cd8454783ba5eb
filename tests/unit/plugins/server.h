// A TCP server of one test, on loopback: serves its connections one after the other, on a thread of its own.
#pragma once
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace plugin_test {

// What the handler has of a connection. Everything ends when the server is destroyed.
class Peer {
  public:
    Peer(int fd, int stop) : fd_(fd), stop_(stop) {}

    // Until `end` has been read; all bytes read.
    std::string read_until(std::string_view end) {
        std::string text;
        char byte = 0;
        while (text.find(end) == std::string::npos && readable() && recv(fd_, &byte, 1, 0) == 1) text += byte;
        return text;
    }
    // `size` bytes; fewer when the other side has ended.
    std::string read(size_t size) {
        std::string text;
        char byte = 0;
        while (text.size() < size && readable() && recv(fd_, &byte, 1, 0) == 1) text += byte;
        return text;
    }
    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return;
            bytes.remove_prefix(static_cast<size_t>(n));
        }
    }
    // Each byte in a packet of its own.
    void write_slowly(std::string_view bytes) {
        const int on = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        for (const char byte : bytes) {
            write({&byte, 1});
            std::this_thread::sleep_for(std::chrono::microseconds(300));
        }
    }
    // How the other side ends: 0 for a finished stream, or the errno (ECONNRESET).
    int wait_for_end() {
        char buffer[4096];
        while (readable()) {
            const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
            if (n == 0) return 0;
            if (n < 0) return errno;
        }
        return -1;
    }
    // The close that follows is a reset.
    void reset() {
        const linger now = {1, 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }

  private:
    bool readable() {
        pollfd fds[] = {{stop_, POLLIN, 0}, {fd_, POLLIN, 0}};
        poll(fds, 2, -1);
        return fds[0].revents == 0;
    }
    int fd_, stop_;
};

class Server {
  public:
    using Handler = std::function<void(Peer&)>;

    explicit Server(Handler handler, bool v6 = false)
        : handler_(std::move(handler)), stop_(eventfd(0, EFD_CLOEXEC)) {
        listener_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_storage addr{};
        socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
        if (v6) {
            reinterpret_cast<sockaddr_in6&>(addr) = {AF_INET6, 0, 0, in6addr_loopback, 0};
        } else {
            auto& in = reinterpret_cast<sockaddr_in&>(addr);
            in.sin_family = AF_INET;
            in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
        if (bind(listener_, reinterpret_cast<sockaddr*>(&addr), size) != 0 || listen(listener_, 64) != 0)
            throw std::runtime_error("no port is free on loopback");
        getsockname(listener_, reinterpret_cast<sockaddr*>(&addr), &size);
        port_ = ntohs(v6 ? reinterpret_cast<sockaddr_in6&>(addr).sin6_port
                         : reinterpret_cast<sockaddr_in&>(addr).sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~Server() {
        const uint64_t one = 1;
        while (write(stop_, &one, sizeof one) < 0) continue;
        thread_.join();
        close(listener_);
        close(stop_);
    }
    uint16_t port() const { return port_; }

  private:
    void serve() {
        for (;;) {
            pollfd fds[] = {{stop_, POLLIN, 0}, {listener_, POLLIN, 0}};
            poll(fds, 2, -1);
            if (fds[0].revents) return;
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            Peer peer(fd, stop_);
            handler_(peer);
            close(fd);
        }
    }
    const Handler handler_;
    const int stop_;
    int listener_ = -1;
    uint16_t port_ = 0;
    std::thread thread_;
};

// A server that reads one request and answers with `reply`; what it read is kept.
class HttpServer {
  public:
    explicit HttpServer(std::string reply, bool v6 = false)
        : reply_(std::move(reply)), server_([this](Peer& peer) { answer(peer); }, v6) {}
    uint16_t port() const { return server_.port(); }
    std::string request() const {
        std::lock_guard<std::mutex> lock(mutex_);
        return request_;
    }

  private:
    void answer(Peer& peer) {
        const std::string request = peer.read_until("\r\n\r\n");
        {
            std::lock_guard<std::mutex> lock(mutex_);
            request_ = request;
        }
        peer.write(reply_);
        peer.wait_for_end();
    }
    const std::string reply_;
    mutable std::mutex mutex_;
    std::string request_;
    Server server_;
};

// A port where nobody listens, and nobody else can while this lives.
class ClosedPort {
  public:
    ClosedPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in addr{};
        socklen_t size = sizeof addr;
        addr.sin_family = AF_INET;
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(fd_, reinterpret_cast<sockaddr*>(&addr), size) != 0)
            throw std::runtime_error("no port is free");
        getsockname(fd_, reinterpret_cast<sockaddr*>(&addr), &size);
        port_ = ntohs(addr.sin_port);
    }
    ~ClosedPort() { close(fd_); }
    ClosedPort(const ClosedPort&) = delete;
    ClosedPort& operator=(const ClosedPort&) = delete;
    uint16_t port() const { return port_; }

  private:
    const int fd_;
    uint16_t port_ = 0;
};

}  // namespace plugin_test
