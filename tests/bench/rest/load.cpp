#include "load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace gorb::bench {
namespace {

uint64_t nanoseconds(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

int connect_to(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

// One client. An answer is taken to have a Content-Length; its body is counted, not kept.
struct Client {
    int fd = -1;
    size_t next = 0;  // request
    uint64_t since = 0;
    std::string head;
    uint64_t body_left = 0;
    bool in_body = false, ok = false;

    bool send(const std::string& bytes) {
        since = nanoseconds(CLOCK_MONOTONIC);
        return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
    }
    // true: the answer is whole. One request is out at a time, so nothing follows it.
    bool take(std::string_view bytes) {
        if (!in_body) {
            head.append(bytes);
            const size_t end = head.find("\r\n\r\n");
            if (end == std::string::npos) return false;
            ok = head.compare(0, 12, "HTTP/1.1 200") == 0;
            const size_t length = head.find("Content-Length: ");
            body_left = length < end ? std::strtoull(head.c_str() + length + 16, nullptr, 10) : 0;
            const size_t body = head.size() - end - 4;
            body_left -= std::min<uint64_t>(body_left, body);
            head.clear();
            in_body = true;
        } else {
            body_left -= std::min<uint64_t>(body_left, bytes.size());
        }
        if (body_left > 0) return false;
        in_body = false;
        return true;
    }
};

double percentile(std::vector<uint32_t>& sorted, double share) {
    if (sorted.empty()) return 0;
    return sorted[static_cast<size_t>(static_cast<double>(sorted.size() - 1) * share)] / 1000.0;
}

}  // namespace

Figures run(const Load& load) {
    Figures out;
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::vector<Client> clients(static_cast<size_t>(load.connections));
    for (size_t i = 0; i < clients.size(); ++i) {
        clients[i].fd = connect_to(load.port);
        clients[i].next = i % load.requests.size();
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
    const auto ask = [&](Client& client) {
        if (!client.send(load.requests[client.next])) ++out.failures;
        client.next = (client.next + 1) % load.requests.size();
    };
    clockid_t server_clock{};
    if (clock_getcpuclockid(load.server, &server_clock) != 0) std::abort();

    std::vector<uint32_t> latencies;  // us
    latencies.reserve(1 << 20);
    const uint64_t warm_until = nanoseconds(CLOCK_MONOTONIC) + static_cast<uint64_t>(load.seconds * 1e8);
    uint64_t begun = 0, until = warm_until, cpu_before = 0;
    bool answered = false;
    for (Client& client : clients) ask(client);
    static std::array<char, 1 << 18> buffer;
    std::array<epoll_event, 256> ready;
    for (;;) {
        const uint64_t now = nanoseconds(CLOCK_MONOTONIC);
        if (now >= until && answered) {
            if (begun != 0) break;
            answered = false;
            begun = now;
            until = now + static_cast<uint64_t>(load.seconds * 1e9);
            cpu_before = nanoseconds(server_clock);
        }
        const int count = epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), 20);
        for (int i = 0; i < count; ++i) {
            Client& client = clients[ready[static_cast<size_t>(i)].data.u64];
            const ssize_t size = recv(client.fd, buffer.data(), buffer.size(), 0);
            if (size <= 0) {  // the server has ended it: count that, and go on with a new one
                ++out.failures;
                close(client.fd);
                client = {.fd = connect_to(load.port), .next = client.next};
                epoll_event event{};
                event.events = EPOLLIN;
                event.data.u64 = ready[static_cast<size_t>(i)].data.u64;
                epoll_ctl(epoll, EPOLL_CTL_ADD, client.fd, &event);
                ask(client);
                continue;
            }
            if (begun != 0) out.bytes += static_cast<uint64_t>(size);
            if (!client.take({buffer.data(), static_cast<size_t>(size)})) continue;
            answered = true;
            if (begun != 0) {
                latencies.push_back(
                    static_cast<uint32_t>((nanoseconds(CLOCK_MONOTONIC) - client.since) / 1000));
                if (!client.ok) ++out.failures;
            }
            ask(client);
        }
    }
    const uint64_t cpu = nanoseconds(server_clock) - cpu_before;
    out.seconds = static_cast<double>(nanoseconds(CLOCK_MONOTONIC) - begun) / 1e9;
    for (const Client& client : clients) close(client.fd);
    close(epoll);
    out.answers = latencies.size();
    out.cpu_us = out.answers ? static_cast<double>(cpu) / 1000.0 / static_cast<double>(out.answers) : 0;
    std::sort(latencies.begin(), latencies.end());
    out.best_ms = percentile(latencies, 0);
    out.p50_ms = percentile(latencies, 0.5);
    out.p99_ms = percentile(latencies, 0.99);
    return out;
}

std::string request(const std::string& method, const std::string& target, const std::string& body,
                    const std::string& headers) {
    std::string out =
        method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n";
    out += headers;
    if (!body.empty()) {
        out += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    }
    return out + "\r\n" + body;
}

std::string get(uint16_t port, const std::string& target) {
    const int fd = connect_to(port);
    std::string all = "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    [[maybe_unused]] const auto sent = send(fd, all.data(), all.size(), MSG_NOSIGNAL);
    all.clear();
    std::array<char, 65536> buffer;
    for (ssize_t size = 0; (size = recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
        all.append(buffer.data(), static_cast<size_t>(size));
    }
    close(fd);
    const size_t end = all.find("\r\n\r\n");
    return end == std::string::npos || all.compare(0, 12, "HTTP/1.1 200") != 0 ? "" : all.substr(end + 4);
}

}  // namespace gorb::bench
