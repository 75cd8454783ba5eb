// A UDP server of one test, on loopback, on a thread of its own.
#pragma once
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace plugin_test {

class UdpServer {
  public:
    // Says what to answer to the datagram, the count of which (from 1) is given; nullopt for nothing.
    using Handler = std::function<std::optional<std::string>(const std::string& datagram, size_t count)>;

    explicit UdpServer(Handler handler, bool v6 = false)
        : handler_(std::move(handler)),
          stop_(eventfd(0, EFD_CLOEXEC)),
          fd_(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_storage addr{};
        socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
        if (v6) {
            reinterpret_cast<sockaddr_in6&>(addr) = {AF_INET6, 0, 0, in6addr_loopback, 0};
        } else {
            auto& in = reinterpret_cast<sockaddr_in&>(addr);
            in.sin_family = AF_INET;
            in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
        if (bind(fd_, reinterpret_cast<sockaddr*>(&addr), size) != 0)
            throw std::runtime_error("no port is free on loopback");
        getsockname(fd_, reinterpret_cast<sockaddr*>(&addr), &size);
        port_ = ntohs(v6 ? reinterpret_cast<sockaddr_in6&>(addr).sin6_port
                         : reinterpret_cast<sockaddr_in&>(addr).sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~UdpServer() {
        const uint64_t one = 1;
        while (write(stop_, &one, sizeof one) < 0) continue;
        thread_.join();
        close(fd_);
        close(stop_);
    }
    UdpServer(const UdpServer&) = delete;
    UdpServer& operator=(const UdpServer&) = delete;

    uint16_t port() const { return port_; }
    std::vector<std::string> seen() const {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

  private:
    void serve() {
        for (;;) {
            std::array<pollfd, 2> fds{{{stop_, POLLIN, 0}, {fd_, POLLIN, 0}}};
            poll(fds.data(), fds.size(), -1);
            if (fds[0].revents) return;
            std::array<char, 65536> buffer{};
            sockaddr_storage from{};
            socklen_t size = sizeof from;
            const ssize_t got =
                recvfrom(fd_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
            if (got < 0) continue;
            const std::string datagram(buffer.data(), static_cast<size_t>(got));
            size_t count = 0;
            {
                const std::lock_guard lock(mutex_);
                seen_.push_back(datagram);
                count = seen_.size();
            }
            if (const auto answer = handler_(datagram, count))
                sendto(fd_, answer->data(), answer->size(), 0, reinterpret_cast<sockaddr*>(&from), size);
        }
    }
    const Handler handler_;
    const int stop_, fd_;
    uint16_t port_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::string> seen_;
    std::thread thread_;
};

// A UDP port where nobody listens: the datagrams come back as ICMP errors.
inline uint16_t closed_udp_port() {
    const UdpServer gone([](const std::string&, size_t) { return std::nullopt; });
    return gone.port();
}

}  // namespace plugin_test
