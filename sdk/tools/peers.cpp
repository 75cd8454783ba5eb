#include "peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace gorb::check {
namespace {

int bound(int type, uint16_t port) {
    const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    sockaddr_in addr{};
    addr.sin_family = AF_INET;
    addr.sin_port = htons(port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&addr), sizeof addr) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

uint16_t port_of(int fd) {
    sockaddr_in addr{};
    socklen_t size = sizeof addr;
    getsockname(fd, reinterpret_cast<sockaddr*>(&addr), &size);
    return ntohs(addr.sin_port);
}

// Waits until `fd` has something or `stop` is asked for; false: stop.
bool wait_for(int fd, int stop, int ms) {
    pollfd fds[] = {{stop, POLLIN, 0}, {fd, POLLIN, 0}};
    poll(fds, fd < 0 ? 1 : 2, ms);
    return fds[0].revents == 0;
}

void babble(int fd, size_t bytes, size_t at_once, int stop) {
    uint32_t state = 12345;
    std::string text;
    for (size_t i = 0; i < bytes; ++i) {
        state = state * 1664525u + 1013904223u;
        text += static_cast<char>(state >> 24);
    }
    for (size_t at = 0; at < text.size(); at += at_once) {
        const size_t size = std::min(at_once, text.size() - at);
        if (send(fd, text.data() + at, size, MSG_NOSIGNAL) < 0) return;
        if (at_once == 1 && !wait_for(-1, stop, 5)) return;
    }
}

}  // namespace

Peer::Peer(Manner manner) {
    for (int attempt = 0; attempt < 50 && udp_ < 0;
         ++attempt) {  // both ports of one number are not always free
        if (tcp_ >= 0) close(tcp_);
        tcp_ = bound(SOCK_STREAM, 0);
        if (tcp_ < 0) continue;
        port_ = port_of(tcp_);
        udp_ = bound(SOCK_DGRAM, port_);
    }
    if (udp_ < 0) throw std::runtime_error("no port is free on 127.0.0.1");
    if (manner == Manner::closed) {
        // Bound but not listening: refused, and nobody else takes the number meanwhile. For UDP there is no
        // such state.
        close(udp_);
        udp_ = -1;
        return;
    }
    if (listen(tcp_, 1024) != 0) throw std::runtime_error("listen() failed on 127.0.0.1");
    if (manner == Manner::silent) return;
    stop_ = eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this, manner] { serve(manner); });
}

Peer::~Peer() {
    if (thread_.joinable()) {
        const uint64_t one = 1;
        while (write(stop_, &one, sizeof one) < 0) continue;
        thread_.join();
    }
    for (const int fd : {tcp_, udp_, stop_})
        if (fd >= 0) close(fd);
}

void Peer::serve(Manner manner) {
    while (wait_for(tcp_, stop_, -1)) {
        const int client = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) continue;
        if (manner == Manner::babble) babble(client, 100000, 4096, stop_);
        if (manner == Manner::drip) babble(client, 40, 1, stop_);
        close(client);
    }
}

}  // namespace gorb::check
