#include "io/socket.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <fstream>

namespace gorb::io {

SocketAddress::SocketAddress(const base::Endpoint& endpoint, uint32_t scope) {
    if (endpoint.ip.v4()) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(endpoint.port);
        std::memcpy(&in.sin_addr, endpoint.ip.bytes.data(), 4);
        size = sizeof in;
        std::memcpy(&storage, &in, sizeof in);
    } else {
        sockaddr_in6 in6{};
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(endpoint.port);
        in6.sin6_scope_id = scope;
        std::memcpy(&in6.sin6_addr, endpoint.ip.bytes.data(), 16);
        size = sizeof in6;
        std::memcpy(&storage, &in6, sizeof in6);
    }
}

namespace {

std::string words(int error) {
    switch (error) {
        case EMFILE:
            return "no free file descriptor in this process (RLIMIT_NOFILE)";
        case ENFILE:
            return "no free file descriptor on this machine";
        case EAGAIN:  // of UDP
            return "no free port to send from";
        case EADDRNOTAVAIL:
            return "this machine has no such address, or no free port to connect from";
        case ENETUNREACH:
            return "no route to that network";
        case EHOSTUNREACH:
            return "a route of this machine says unreachable";
        case EINVAL:
            return "this machine's routes do not allow it (blackhole?)";
        case ENODEV:
            return "no such network device";
        case ENETDOWN:
            return "the network device is down";
        case EPERM:
        case EACCES:
            return "not permitted (routes, firewall or capabilities of this machine)";
        case ENOBUFS:
            return "the kernel has no buffer space left";
        default:
            return std::strerror(error);
    }
}

base::Status prepare(int fd, const Way& way) {
    if (way.fwmark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &way.fwmark, sizeof way.fwmark) != 0) {
        return base::fail(socket_error("can not set fwmark " + std::to_string(way.fwmark), errno));
    }
    if (!way.interface.empty() && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, way.interface.data(),
                                             static_cast<socklen_t>(way.interface.size())) != 0) {
        return base::fail(socket_error("can not use interface " + way.interface, errno));
    }
    if (!way.source.ip) return {};
    const int on = 1;
    // The option is of SOL_IP for sockets of IPv6 as well.
    if (way.source.port == 0) {
        setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    const SocketAddress source(way.source, way.scope);
    if (bind(fd, source.get(), source.size) != 0) {
        const int error = errno;
        const std::string text = way.source.port == 0 ? way.source.ip.text() : way.source.text();
        return base::fail(socket_error("can not use source address " + text, error));
    }
    return {};
}

}  // namespace

base::Error socket_error(const std::string& what, int error) {
    const auto code = error == EPERM || error == EACCES ? base::Errc::forbidden : base::Errc::io;
    return {code, what + ": " + words(error), {}, error};
}

base::Result<int> make_socket(int af, int type, const Way& way) {
    const int fd = socket(af, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return base::fail(socket_error("can not make a socket", errno));
    if (auto status = prepare(fd, way); !status) {
        close(fd);
        return base::fail(std::move(status.error()));
    }
    return fd;
}

namespace {

// May the kernel choose this port to connect from? So that most checks need not ask for the socket's own
// port. The range is of this thread's network namespace, and looked at now and then: it can be changed at any
// time.
bool may_be_chosen(uint16_t port) {
    struct Range {
        time_t looked_at = 0;
        unsigned first = 0, last = 0;
    };
    static thread_local Range range;
    constexpr time_t trusted_for = 10;  // seconds
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (range.looked_at == 0 || now.tv_sec - range.looked_at >= trusted_for) {
        range = {std::max<time_t>(now.tv_sec, 1), 1024, 65535};
        std::ifstream file("/proc/sys/net/ipv4/ip_local_port_range");  // for IPv6 as well
        unsigned first = 0, last = 0;
        if (file >> first >> last) range = {range.looked_at, first, last};
    }
    return port >= range.first && port <= range.last;
}

}  // namespace

bool met_itself(int fd, uint16_t port) {
    if (!may_be_chosen(port)) return false;
    // The port is at the same place for both families.
    sockaddr_in6 mine{}, other{};
    socklen_t size = sizeof mine;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&mine), &size) != 0 || mine.sin6_port != htons(port))
        return false;
    size = sizeof other;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&other), &size) != 0) return false;
    if (mine.sin6_family == AF_INET6) return std::memcmp(&mine.sin6_addr, &other.sin6_addr, 16) == 0;
    return std::memcmp(&mine, &other, offsetof(sockaddr_in, sin_addr) + sizeof(in_addr)) == 0;
}

void reset_on_close(int fd) {
    const linger reset{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        const rlimit raised{limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

}  // namespace gorb::io
