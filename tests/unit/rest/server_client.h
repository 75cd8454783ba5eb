// A blocking HTTP client over a raw socket, for tests of what goes over the wire. Every wait is bounded.
#pragma once
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/address.h"

namespace gorb::rest::test {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Reply {
    int status = 0;  // 0: none came
    std::map<std::string, std::string> headers;
    std::string body;
    std::string header(const std::string& name) const {
        const auto it = headers.find(name);
        return it == headers.end() ? "" : it->second;
    }
};

class Client {
  public:
    enum class Ended { no, finished, reset };

    explicit Client(const base::Endpoint& to, int receive_buffer = 0) {
        fd_ = socket(to.ip.af(), SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (receive_buffer > 0)
            setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        const int on = 1;
        setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        sockaddr_storage address{};
        socklen_t size = sizeof(sockaddr_in);
        if (to.ip.v4()) {
            auto& v4 = reinterpret_cast<sockaddr_in&>(address);
            v4.sin_family = AF_INET;
            v4.sin_port = htons(to.port);
            std::memcpy(&v4.sin_addr, to.ip.bytes.data(), 4);
        } else {
            auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(to.port);
            std::memcpy(&v6.sin6_addr, to.ip.bytes.data(), 16);
            size = sizeof(sockaddr_in6);
        }
        connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), size) == 0;
    }
    ~Client() { close(); }
    Client(Client&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)),
          connected_(other.connected_),
          seen_(std::move(other.seen_)),
          ended_(other.ended_) {}
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    Client& operator=(Client&&) = delete;

    bool connected() const { return connected_; }
    int fd() const { return fd_; }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    void reset() {
        const linger now{1, 0};
        setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close();
    }
    void finish_sending() const { shutdown(fd_, SHUT_WR); }

    // false: the server does not take it any more.
    bool send(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t size = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
            if (size <= 0) return false;
            text.remove_prefix(static_cast<size_t>(size));
        }
        return true;
    }
    bool get(const std::string& path) const { return send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); }

    // The next answer; status 0 when none comes in time, or the connection ends before its end.
    Reply reply(milliseconds patience = milliseconds(10000), bool to_head = false) {
        const auto until = Clock::now() + patience;
        size_t end = 0;
        while ((end = seen_.find("\r\n\r\n")) == std::string::npos) {
            if (!receive(until)) return {};
        }
        Reply reply = parse_head(seen_.substr(0, end + 2));
        const bool has_body = !to_head && reply.status >= 200 && reply.status != 204 && reply.status != 304;
        const size_t length =
            has_body ? std::strtoul(reply.header("content-length").c_str(), nullptr, 10) : 0;
        while (seen_.size() < end + 4 + length) {
            if (!receive(until)) return {};
        }
        reply.body = seen_.substr(end + 4, length);
        seen_.erase(0, end + 4 + length);
        return reply;
    }

    // Reads to the end of the connection; `no` when it does not end in time.
    Ended end(milliseconds patience = milliseconds(10000)) {
        const auto until = Clock::now() + patience;
        while (receive(until)) continue;
        return ended_;
    }
    // What was received and not yet taken by reply().
    const std::string& rest() const { return seen_; }

    // Reads once. false: time is up, or the connection has ended.
    bool receive(Clock::time_point until) {
        const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
        pollfd ready{fd_, POLLIN, 0};
        if (left < 0 || poll(&ready, 1, static_cast<int>(left) + 1) <= 0) return false;
        char buffer[65536];
        const ssize_t size = recv(fd_, buffer, sizeof buffer, 0);
        if (size > 0) {
            seen_.append(buffer, static_cast<size_t>(size));
        } else {
            ended_ = size == 0 ? Ended::finished : Ended::reset;
        }
        return size > 0;
    }

  private:
    static Reply parse_head(const std::string& head) {
        Reply reply;
        size_t at = head.find("\r\n");
        if (head.rfind("HTTP/1.1 ", 0) == 0) reply.status = std::atoi(head.c_str() + 9);
        for (at += 2; at < head.size();) {
            const size_t end = head.find("\r\n", at);
            const std::string line = head.substr(at, end - at);
            const size_t colon = line.find(": ");
            std::string name = line.substr(0, colon);
            for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            reply.headers[name] = colon == std::string::npos ? "" : line.substr(colon + 2);
            at = end + 2;
        }
        return reply;
    }

    int fd_ = -1;
    bool connected_ = false;
    std::string seen_;
    Ended ended_ = Ended::no;
};

}  // namespace gorb::rest::test
