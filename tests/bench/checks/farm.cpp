// Servers for a benchmark of checks: every address of 127.0.0.0/8 is one more backend.
//
//   bench_farm --port PORT --hole PORT --victims N --victim-port PORT
//
// PORT answers TCP and HTTP on all addresses (keep-alive unless asked to close); `hole` drops every SYN;
// victim number i is a process of its own that listens on 127.255.i/250.i%250+1 and can be killed. Speaks on
// stdin and stdout, a line each: "stats" -> "REQUESTS ACCEPTED", "kill I" -> wall clock ns of just before it.
// Ends with its stdin. Run it in a network namespace of its own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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

constexpr std::string_view keep_reply = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
constexpr std::string_view close_reply =
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

int listener(uint32_t address, uint16_t port, int backlog) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in sa{};
    sa.sin_family = AF_INET;
    sa.sin_addr.s_addr = htonl(address);
    sa.sin_port = htons(port);
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&sa), sizeof(sa)) != 0 || listen(fd, backlog) != 0) {
        die("bench_farm: listen");
    }
    return fd;
}

// A listener whose queue is full drops what else comes.
void dig_hole(uint16_t port) {
    listener(INADDR_ANY, port, 0);
    sockaddr_in sa{};
    sa.sin_family = AF_INET;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sa.sin_port = htons(port);
    for (int i = 0; i < 2; ++i) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fd, reinterpret_cast<sockaddr*>(&sa), sizeof(sa)) != 0 && errno != EINPROGRESS) {
            die("bench_farm: hole");
        }
    }
}

class Server {
  public:
    explicit Server(int listen_fd) : listen_(listen_fd), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        watch(listen_);
    }

    void watch(int fd) const {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("bench_farm: epoll");
    }

    // Serves until `other` is readable.
    void serve_until(int other) {
        std::array<epoll_event, 256> events{};
        for (;;) {
            const int n = epoll_wait(epoll_, events.data(), events.size(), -1);
            bool done = false;
            for (int i = 0; i < n; ++i) {
                const int fd = events.at(static_cast<size_t>(i)).data.fd;
                if (fd == other) {
                    done = true;
                } else if (fd == listen_) {
                    accept_some();
                } else {
                    answer(fd);
                }
            }
            if (done) return;
        }
    }

    uint64_t requests() const { return requests_; }
    uint64_t accepted() const { return accepted_; }

  private:
    void accept_some() {
        for (int i = 0; i < 64; ++i) {
            const int fd = accept4(listen_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            ++accepted_;
            watch(fd);
        }
    }

    // A request comes in one piece here: they are short and sent at once.
    void answer(int fd) {
        std::array<char, 4096> buffer{};
        const ssize_t n = read(fd, buffer.data(), buffer.size());
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN) close(fd);
            return;
        }
        const std::string_view text(buffer.data(), static_cast<size_t>(n));
        bool close_it = false;
        for (size_t from = 0, end = 0; (end = text.find("\r\n\r\n", from)) != std::string_view::npos;
             from = end + 4) {
            const std::string_view head = text.substr(from, end - from);
            close_it = head.find("onnection: close") != std::string_view::npos ||
                       head.find("HTTP/1.0") != std::string_view::npos;
            ++requests_;
            const std::string_view reply = close_it ? close_reply : keep_reply;
            if (send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) close_it = true;
        }
        if (close_it) close(fd);
    }

    int listen_, epoll_;
    uint64_t requests_ = 0, accepted_ = 0;
};

std::vector<pid_t> start_victims(unsigned count, uint16_t port) {
    std::vector<pid_t> pids;
    for (unsigned i = 0; i < count; ++i) {
        const uint32_t address = (127U << 24) | (255U << 16) | (i / 250 << 8) | (i % 250 + 1);
        const int fd = listener(address, port, 128);
        const pid_t pid = fork();
        if (pid < 0) die("bench_farm: fork");
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            Server(fd).serve_until(-1);
        }
        close(fd);
        pids.push_back(pid);
    }
    return pids;
}

void command(const char* line, const Server& server, std::vector<pid_t>& victims) {
    unsigned which = 0;
    if (std::sscanf(line, "kill %u", &which) == 1 && which < victims.size() && victims[which] > 0) {
        timespec now{};
        clock_gettime(CLOCK_REALTIME, &now);
        kill(victims[which], SIGKILL);
        waitpid(victims[which], nullptr, 0);
        victims[which] = 0;
        std::printf("%lld\n", static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec);
    } else {
        std::printf("%llu %llu\n", static_cast<unsigned long long>(server.requests()),
                    static_cast<unsigned long long>(server.accepted()));
    }
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    unsigned port = 0, hole = 0, victims = 0, victim_port = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i];
        const auto value = static_cast<unsigned>(std::strtoul(argv[i + 1], nullptr, 10));
        (name == "--port"      ? port
         : name == "--hole"    ? hole
         : name == "--victims" ? victims
                               : victim_port) = value;
    }
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (hole != 0) dig_hole(static_cast<uint16_t>(hole));
    std::vector<pid_t> pids = start_victims(victims, static_cast<uint16_t>(victim_port));
    Server server(listener(INADDR_ANY, static_cast<uint16_t>(port), 65535));
    server.watch(STDIN_FILENO);
    std::puts("ready");
    std::fflush(stdout);
    std::array<char, 128> line{};
    for (;;) {
        server.serve_until(STDIN_FILENO);
        // One line at a time: whoever asks waits for the answer.
        const ssize_t n = read(STDIN_FILENO, line.data(), line.size() - 1);
        if (n <= 0) break;
        line.at(static_cast<size_t>(n)) = '\0';
        command(line.data(), server, pids);
    }
    for (const pid_t pid : pids) {
        if (pid > 0) kill(pid, SIGKILL);
    }
    return 0;
}
