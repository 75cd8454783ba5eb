// A name server of one test: UDP and TCP on the same loopback port, on a thread of its own; what it answers
// is the test's. Also a few records in wire form.
#pragma once
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace plugin_test {

inline std::string u16(unsigned n) {
    return {static_cast<char>(n >> 8 & 0xff), static_cast<char>(n & 0xff)};
}
// A record of the name that was asked for.
inline std::string record(unsigned type, const std::string& data, unsigned klass = 1) {
    return "\xc0\x0c" + u16(type) + u16(klass) + std::string("\0\0\0\x3c", 4) +
           u16(static_cast<unsigned>(data.size())) + data;
}
inline std::string a_record(unsigned char last) {
    return record(1, std::string("\xc0\0\2", 3) + static_cast<char>(last));  // 192.0.2.last
}
// The answer to `query` with these records and flags (0x8180: an answer, recursion available).
inline std::string answer(std::string_view query, const std::vector<std::string>& records,
                          unsigned flags = 0x8180) {
    std::string out(query.substr(0, 2));
    out += u16(flags) + u16(1) + u16(static_cast<unsigned>(records.size())) + u16(0) + u16(0);
    out += query.substr(12);  // the question, as we send no more than that
    for (const auto& one : records) out += one;
    return out;
}

class NameServer {
  public:
    // Messages to send for a query, in this order; none for silence.
    using Handler = std::function<std::vector<std::string>(std::string_view query, bool tcp)>;

    explicit NameServer(Handler handler) : handler_(std::move(handler)), stop_(eventfd(0, EFD_CLOEXEC)) {
        for (int turn = 0; turn < 100 && tcp_ < 0; ++turn) bind_both();
        if (tcp_ < 0) throw std::runtime_error("no port is free on loopback");
        thread_ = std::thread([this] { serve(); });
    }
    ~NameServer() {
        const uint64_t one = 1;
        while (write(stop_, &one, sizeof one) < 0) continue;
        thread_.join();
        for (const int fd : {udp_, tcp_, stop_}) close(fd);
    }
    NameServer(const NameServer&) = delete;
    NameServer& operator=(const NameServer&) = delete;
    uint16_t port() const { return port_; }
    int queries() const { return queries_; }
    std::atomic<bool> hangs_up{false};  // after a query over TCP

  private:
    void bind_both() {
        sockaddr_in addr{};
        socklen_t size = sizeof addr;
        addr.sin_family = AF_INET;
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* raw = reinterpret_cast<sockaddr*>(&addr);
        const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
                  tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool good = bind(tcp, raw, size) == 0 && listen(tcp, 16) == 0 &&
                          getsockname(tcp, raw, &size) == 0 && bind(udp, raw, size) == 0;
        if (!good) {
            close(udp);
            close(tcp);
            return;
        }
        port_ = ntohs(addr.sin_port);
        udp_ = udp;
        tcp_ = tcp;
    }
    void serve() {
        for (;;) {
            pollfd fds[] = {{stop_, POLLIN, 0}, {udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
            poll(fds, 3, -1);
            if (fds[0].revents) return;
            if (fds[1].revents) datagram();
            if (fds[2].revents) stream();
        }
    }
    void datagram() {
        char buffer[2048];
        sockaddr_in from{};
        socklen_t size = sizeof from;
        auto* raw = reinterpret_cast<sockaddr*>(&from);
        const ssize_t n = recvfrom(udp_, buffer, sizeof buffer, 0, raw, &size);
        if (n < 12) return;
        ++queries_;
        for (const auto& reply : handler_({buffer, static_cast<size_t>(n)}, false))
            sendto(udp_, reply.data(), reply.size(), 0, raw, size);
    }
    void stream() {
        const int fd = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
        std::string in;
        char byte = 0;
        while (readable(fd) && recv(fd, &byte, 1, 0) == 1) {
            in += byte;
            if (in.size() < 2 || in.size() < 2 + static_cast<size_t>(static_cast<unsigned char>(in[1])))
                continue;
            ++queries_;
            for (const auto& reply : handler_(std::string_view(in).substr(2), true)) {
                for (const char c : u16(static_cast<unsigned>(reply.size())) + reply)
                    if (send(fd, &c, 1, MSG_NOSIGNAL) != 1) break;  // byte by byte
            }
            if (hangs_up) break;
            in.clear();
        }
        close(fd);
    }
    bool readable(int fd) const {
        pollfd fds[] = {{stop_, POLLIN, 0}, {fd, POLLIN, 0}};
        poll(fds, 2, -1);
        return fds[0].revents == 0;
    }

    const Handler handler_;
    const int stop_;
    int udp_ = -1, tcp_ = -1;
    uint16_t port_ = 0;
    std::atomic<int> queries_{0};
    std::thread thread_;
};

}  // namespace plugin_test
