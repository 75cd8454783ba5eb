// The least that checking costs: no policy, no statistics, no plugins, only what the kernel must be asked.
//
//   bench_floor tcp|http|fresh TARGETS INTERVAL_MS PORT
//
// tcp: one socket for each check that is under way, used again after connect(AF_UNSPEC); TCP_DEFER_ACCEPT
// keeps the last ACK back, so the server's accept() never wakes. http: one kept connection a target. fresh:
// one connection a check. Due times lie on a wheel of 10 ms; at most 64 checks are started before the sockets
// are looked at again.
//
// "stats" on stdin -> "DONE FAILED LATE_P50_US LATE_P99_US" since the last time. Ends with its stdin.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr uint64_t tick = 10'000'000;
constexpr size_t starts_per_turn = 64;
constexpr uint32_t none = UINT32_MAX;
constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
constexpr std::string_view last_request = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

enum class Mode : uint8_t { tcp, http, fresh };

uint64_t clock_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

struct Target {
    uint64_t due = 0;
    uint32_t next = none;  // in its slot of the wheel, or in the queue
    int fd = -1;           // http: the kept connection
};

struct Socket {
    uint32_t target = none;  // whose check is under way
    bool connected = false;
};

class Floor {
  public:
    Floor(Mode mode, uint32_t targets, uint64_t interval, uint16_t port)
        : mode_(mode),
          interval_(interval),
          port_(htons(port)),
          epoll_(epoll_create1(EPOLL_CLOEXEC)),
          targets_(targets),
          wheel_(interval / tick + 2, none) {
        const uint64_t start = clock_ns();
        tick_ = start / tick;
        for (uint32_t i = 0; i < targets; ++i) {
            targets_[i].due = start + interval * i / targets;
            wait(i);
        }
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = STDIN_FILENO;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    }

    void run() {
        std::array<epoll_event, 1024> events{};
        for (;;) {
            const uint64_t now = clock_ns();
            for (; tick_ < now / tick; ++tick_) expire(tick_ + 1);
            for (size_t i = 0; i < starts_per_turn && first_ != none; ++i) start(take(), now);
            const int wait_ms =
                first_ != none ? 0 : static_cast<int>(((tick_ + 1) * tick - now) / 1'000'000 + 1);
            const int n = epoll_wait(epoll_, events.data(), events.size(), wait_ms);
            for (int i = 0; i < n; ++i) {
                const epoll_event& event = events.at(static_cast<size_t>(i));
                if (event.data.fd == STDIN_FILENO) {
                    if (!tell()) return;
                } else {
                    ready(event.data.fd, event.events);
                }
            }
        }
    }

  private:
    void wait(uint32_t i) {
        uint32_t& slot = wheel_[(targets_[i].due / tick + 1) % wheel_.size()];
        targets_[i].next = slot;
        slot = i;
    }
    void expire(uint64_t t) {
        uint32_t& slot = wheel_[t % wheel_.size()];
        while (slot != none) {
            const uint32_t i = slot;
            slot = targets_[i].next;
            targets_[i].next = none;
            (first_ == none ? first_ : targets_[last_].next) = i;
            last_ = i;
        }
    }
    uint32_t take() {
        const uint32_t i = first_;
        first_ = targets_[i].next;
        return i;
    }

    int open() {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) die("bench_floor: socket");
        if (static_cast<size_t>(fd) >= sockets_.size()) sockets_.resize(static_cast<size_t>(fd) * 2 + 64);
        sockets_[static_cast<size_t>(fd)] = {};
        epoll_event event{};
        event.events = EPOLLOUT | EPOLLET | (mode_ == Mode::tcp ? 0U : EPOLLIN | EPOLLRDHUP);
        event.data.fd = fd;
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("bench_floor: epoll");
        const int value = 1;
        const linger reset{1, 0};
        if (mode_ == Mode::tcp) setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, sizeof(value));
        if (mode_ == Mode::fresh) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        return fd;
    }

    void start(uint32_t i, uint64_t now) {
        Target& target = targets_[i];
        const uint64_t planned = (target.due / tick + 1) * tick;
        late_.push_back(static_cast<uint32_t>((now - std::min(now, planned)) / 1000));
        if (mode_ == Mode::http && target.fd >= 0) {
            sockets_[static_cast<size_t>(target.fd)].target = i;
            if (send(target.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) finish(target.fd, false);
            return;
        }
        int fd = -1;
        if (mode_ == Mode::tcp && !pool_.empty()) {
            fd = pool_.back();
            pool_.pop_back();
        } else {
            fd = open();
        }
        sockets_[static_cast<size_t>(fd)] = {i, false};
        sockaddr_in sa{};
        sa.sin_family = AF_INET;
        // 127.1.0.1 and on, no last byte 0 or above 250.
        sa.sin_addr.s_addr = htonl((127U << 24) + (1U << 16) + (i / 250 << 8) + i % 250 + 1);
        sa.sin_port = port_;
        if (connect(fd, reinterpret_cast<sockaddr*>(&sa), sizeof(sa)) != 0 && errno != EINPROGRESS)
            finish(fd, false);
    }

    void ready(int fd, uint32_t events) {
        Socket& s = sockets_[static_cast<size_t>(fd)];
        if (mode_ == Mode::tcp) {
            // The echo of a disconnect is an EPOLLHUP of a socket without a check.
            if (s.target != none) finish(fd, (events & (EPOLLERR | EPOLLHUP)) == 0);
            return;
        }
        if (!s.connected && (events & EPOLLOUT) != 0) {
            s.connected = true;
            const std::string_view text = mode_ == Mode::http ? request : last_request;
            if (send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) return finish(fd, false);
        }
        if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) == 0) return;
        std::array<char, 1024> buffer{};
        const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
        if (n < 0 && errno == EAGAIN) return;
        finish(fd, std::string_view(buffer.data(), static_cast<size_t>(std::max<ssize_t>(n, 0)))
                       .starts_with("HTTP/1.1 200"));
    }

    void finish(int fd, bool good) {
        Socket& s = sockets_[static_cast<size_t>(fd)];
        const uint32_t i = s.target;
        s.target = none;
        if (mode_ == Mode::tcp) {
            sockaddr none_at_all{};
            none_at_all.sa_family = AF_UNSPEC;
            static_cast<void>(connect(fd, &none_at_all, sizeof(none_at_all)));
            pool_.push_back(fd);
        } else if (mode_ == Mode::fresh || !good) {
            close(fd);
            if (i != none) targets_[i].fd = -1;
        } else {
            targets_[i].fd = fd;
        }
        if (i == none) return;
        ++(good ? done_ : failed_);
        targets_[i].due += interval_;
        const uint64_t now = clock_ns();
        if (targets_[i].due < now)
            targets_[i].due += (now - targets_[i].due) / interval_ * interval_ + interval_;
        wait(i);
    }

    bool tell() {
        std::array<char, 64> line{};
        if (read(STDIN_FILENO, line.data(), line.size()) <= 0) return false;
        std::sort(late_.begin(), late_.end());
        const auto part = [&](size_t percent) {
            return late_.empty() ? 0 : late_[(late_.size() - 1) * percent / 100];
        };
        std::printf("%llu %llu %u %u\n", static_cast<unsigned long long>(done_),
                    static_cast<unsigned long long>(failed_), part(50), part(99));
        std::fflush(stdout);
        late_.clear();
        done_ = failed_ = 0;
        return true;
    }

    Mode mode_;
    uint64_t interval_;
    uint16_t port_;
    int epoll_;
    std::vector<Target> targets_;
    std::vector<uint32_t> wheel_;
    uint64_t tick_ = 0;  // up to here the wheel has been emptied
    uint32_t first_ = none, last_ = none;
    std::vector<Socket> sockets_ = std::vector<Socket>(64);
    std::vector<int> pool_;
    std::vector<uint32_t> late_;
    uint64_t done_ = 0, failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fputs("usage: bench_floor tcp|http|fresh TARGETS INTERVAL_MS PORT\n", stderr);
        return 2;
    }
    const std::string mode = argv[1];
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    Floor(mode == "tcp"    ? Mode::tcp
          : mode == "http" ? Mode::http
                           : Mode::fresh,
          static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10)),
          std::strtoull(argv[3], nullptr, 10) * 1'000'000,
          static_cast<uint16_t>(std::strtoul(argv[4], nullptr, 10)))
        .run();
    return 0;
}
